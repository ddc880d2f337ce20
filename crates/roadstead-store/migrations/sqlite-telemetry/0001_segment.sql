-- One UTC day of trace. A segment holds the entries of one device between two flushes.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE segment (
    device   TEXT NOT NULL,
    upto     INTEGER NOT NULL, -- registry journal.id of the flush
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (device, upto)
) STRICT, WITHOUT ROWID;
