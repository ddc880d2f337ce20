-- Asynchronous commands (kind 0) and messages (kind 1) of devices: queue and history.

CREATE TABLE outbox (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    device     INTEGER NOT NULL, -- device.row
    kind       INTEGER NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    status     TEXT NOT NULL,
    open       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER,
    body       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_id ON outbox (device, kind, id);
CREATE INDEX outbox_device ON outbox (device, kind, sequence);
CREATE INDEX outbox_open ON outbox (device, kind, sequence) WHERE open = 1;
CREATE INDEX outbox_due ON outbox (kind, due_at) WHERE due_at IS NOT NULL;
