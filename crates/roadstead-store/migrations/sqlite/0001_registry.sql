-- Who, what, whose: spaces, users, products, devices, bindings; shadows and their journal.
-- Dates are Unix milliseconds. Columns named `secret` and `password_hash` hold sealed values.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE space (
    row        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    is_default INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE user (
    id            TEXT PRIMARY KEY,
    space         TEXT NOT NULL,
    name          TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL,
    password_hash BLOB NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_space ON user (space, name);

CREATE TABLE access_key (
    id         TEXT PRIMARY KEY,
    secret     BLOB NOT NULL,
    user       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_key_user ON access_key (user, id);

CREATE TABLE login (
    digest     BLOB PRIMARY KEY,
    user       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_user ON login (user, expires_at, digest);

CREATE TABLE product (
    id           TEXT PRIMARY KEY,
    space        TEXT NOT NULL,
    dialect      TEXT NOT NULL,
    name         TEXT NOT NULL,
    secret       BLOB,
    auth         TEXT NOT NULL,
    registration TEXT NOT NULL,
    rebind       TEXT NOT NULL,
    model        TEXT NOT NULL,
    attributes   TEXT NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX product_space ON product (space, id);

-- `row` is never used twice: journal records of a deleted device find nothing.
CREATE TABLE device (
    row          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    space        INTEGER NOT NULL, -- space.row
    product      TEXT NOT NULL,
    node         TEXT NOT NULL,
    name         TEXT NOT NULL,
    secret       BLOB,
    fingerprint  BLOB,
    gateway      TEXT,
    frozen       INTEGER NOT NULL,
    info         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    activated_at INTEGER
) STRICT;
CREATE UNIQUE INDEX device_node ON device (product, node);
CREATE INDEX device_space ON device (space, id);
CREATE INDEX device_gateway ON device (gateway, id) WHERE gateway IS NOT NULL;
CREATE INDEX device_activated ON device (space) WHERE activated_at IS NOT NULL;

-- A device is on line when `online` is set in the current run; a run is one life of the server.
CREATE TABLE presence (
    device       INTEGER PRIMARY KEY, -- device.row
    space        INTEGER NOT NULL,    -- space.row
    run          INTEGER NOT NULL,
    online       INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    online_at    INTEGER,
    offline_at   INTEGER,
    ending       TEXT,
    peer         TEXT,
    transport    TEXT,
    refusal      TEXT,
    refused_at   INTEGER
) STRICT;
CREATE INDEX presence_online ON presence (run, space) WHERE online = 1;

CREATE TABLE run (
    number     INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL
) STRICT;

CREATE TABLE shadow (
    device  INTEGER PRIMARY KEY, -- device.row
    applied INTEGER NOT NULL,    -- last journal.id that `body` contains
    body    BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE pending (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device   INTEGER NOT NULL, -- device.row
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    at       INTEGER           -- NULL: kept by a decision that has no clock
) STRICT;
CREATE INDEX pending_device ON pending (device, sequence);

CREATE TABLE bind_token (
    digest     BLOB PRIMARY KEY,
    space      TEXT NOT NULL,
    user       TEXT,
    device     TEXT,
    state      TEXT NOT NULL,
    auto_bind  INTEGER NOT NULL,
    attempt    TEXT,
    refusal    TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bind_token_user ON bind_token (user, expires_at) WHERE user IS NOT NULL;
CREATE INDEX bind_token_end ON bind_token (expires_at);

CREATE TABLE binding (
    id         TEXT PRIMARY KEY,
    space      TEXT NOT NULL,
    user       TEXT NOT NULL,
    device     TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX binding_device ON binding (device, user);
CREATE UNIQUE INDEX binding_owner ON binding (device) WHERE role = 'owner';
CREATE INDEX binding_user ON binding (user, created_at, id);
CREATE INDEX binding_space ON binding (space, id);
