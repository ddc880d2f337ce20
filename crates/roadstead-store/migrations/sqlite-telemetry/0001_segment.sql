-- One UTC day of trace. A segment holds the entries of one device between two flushes.
-- Segments are appended; only the small index is written all over, so a flush costs few pages.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    number INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE segment (
    row      INTEGER PRIMARY KEY,
    device   INTEGER NOT NULL, -- device.number
    upto     INTEGER NOT NULL, -- registry journal.id of the flush
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX segment_device ON segment (device, upto);
