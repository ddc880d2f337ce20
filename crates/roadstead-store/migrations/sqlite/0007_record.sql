-- Records of the sides for phones; `body` is sealed. Those of a user end with the user, those of
-- a device with the device.
CREATE TABLE record (
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    space      TEXT NOT NULL,
    user       TEXT,
    device     TEXT,
    body       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_user ON record (user, kind) WHERE user IS NOT NULL;
CREATE INDEX record_device ON record (device, kind) WHERE device IS NOT NULL;
