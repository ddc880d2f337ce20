-- Onboarding attempts; state of free MQTT topics.

CREATE TABLE attempt (
    id         TEXT PRIMARY KEY,
    space      TEXT NOT NULL,
    user       TEXT,
    device     TEXT,
    started_at INTEGER NOT NULL,
    open       INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_space ON attempt (space, started_at, id);
CREATE INDEX attempt_user ON attempt (user, started_at) WHERE user IS NOT NULL;
CREATE INDEX attempt_device ON attempt (device, started_at) WHERE device IS NOT NULL;
CREATE INDEX attempt_open ON attempt (started_at, id) WHERE open = 1;

CREATE TABLE retained (
    topic   TEXT PRIMARY KEY,
    payload BLOB NOT NULL,
    qos     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
    client         TEXT PRIMARY KEY,
    filters        TEXT NOT NULL,
    next_packet_id INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queued (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    client   TEXT NOT NULL,
    topic    TEXT NOT NULL,
    payload  BLOB NOT NULL,
    qos      INTEGER NOT NULL
) STRICT;
CREATE INDEX queued_client ON queued (client, sequence);
