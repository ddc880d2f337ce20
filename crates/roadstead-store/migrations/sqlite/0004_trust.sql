-- Authorities, device certificates, policies and templates, whole; `key` is what no two of a
-- kind in a space share, `name` what lists are searched by, `seq` the order of creation.
CREATE TABLE trust (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,
    UNIQUE (kind, id),
    UNIQUE (kind, space, key)
) STRICT;

-- What policies are bound to. `rank` orders kinds as the platform does.
CREATE TABLE policy_target (
    policy TEXT NOT NULL,
    kind   TEXT NOT NULL,
    target TEXT NOT NULL,
    rank   INTEGER NOT NULL GENERATED ALWAYS AS (
        CASE kind WHEN 'device' THEN 0 WHEN 'product' THEN 1 ELSE 2 END
    ) STORED,
    PRIMARY KEY (policy, kind, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_target_by_target ON policy_target (kind, target);
