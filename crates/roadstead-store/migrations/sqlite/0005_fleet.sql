-- Devices by the million: newest-first lists, counts that are kept, tags, groups; second
-- credentials and the time to register.

ALTER TABLE device ADD COLUMN secondary_secret BLOB;
ALTER TABLE device ADD COLUMN secondary_fingerprint BLOB;
ALTER TABLE device ADD COLUMN secure INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN register_within_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN register_by INTEGER; -- NULL: never deleted for that
ALTER TABLE device ADD COLUMN tags TEXT;           -- JSON; NULL: none

-- An index ends in `row`, so that each of these lists its devices in the order of creation.
DROP INDEX device_space;
DROP INDEX device_gateway;
DROP INDEX device_activated;
CREATE INDEX device_space ON device (space);
CREATE INDEX device_product ON device (product);
CREATE INDEX device_gateway ON device (gateway) WHERE gateway IS NOT NULL;
CREATE INDEX device_register_by ON device (register_by)
    WHERE register_by IS NOT NULL AND activated_at IS NULL;

CREATE TABLE tag (
    device INTEGER NOT NULL, -- device.row
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (device, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_value ON tag (key, value, device);

CREATE TABLE device_group (
    row         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    space       TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    parent      TEXT,
    kind        TEXT NOT NULL,
    rule        TEXT,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_group_name ON device_group (space, name);
CREATE INDEX device_group_parent ON device_group (parent) WHERE parent IS NOT NULL;

CREATE TABLE member (
    device_group INTEGER NOT NULL, -- device_group.row
    device       INTEGER NOT NULL, -- device.row
    PRIMARY KEY (device_group, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_device ON member (device, device_group);

-- How many devices: of a space (0, space.row), of a product in a space (1, space.row/id), behind a gateway (2, id),
-- activated ones of a space (3, space.row); members of a group (4, device_group.row).
CREATE TABLE tally (
    kind INTEGER NOT NULL,
    key  ANY NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT 0, space, count(*) FROM device GROUP BY space;
INSERT INTO tally SELECT 1, space || '/' || product, count(*) FROM device GROUP BY space, product;
INSERT INTO tally SELECT 2, gateway, count(*) FROM device WHERE gateway IS NOT NULL GROUP BY gateway;
INSERT INTO tally SELECT 3, space, count(*) FROM device WHERE activated_at IS NOT NULL GROUP BY space;

CREATE TRIGGER device_insert AFTER INSERT ON device BEGIN
    INSERT INTO tally VALUES (0, NEW.space, 1), (1, NEW.space || '/' || NEW.product, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER device_insert_gateway AFTER INSERT ON device WHEN NEW.gateway IS NOT NULL BEGIN
    INSERT INTO tally VALUES (2, NEW.gateway, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER device_insert_activated AFTER INSERT ON device WHEN NEW.activated_at IS NOT NULL BEGIN
    INSERT INTO tally VALUES (3, NEW.space, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER device_delete AFTER DELETE ON device BEGIN
    UPDATE tally SET n = n - 1 WHERE kind = 0 AND key = OLD.space;
    UPDATE tally SET n = n - 1 WHERE kind = 1 AND key = OLD.space || '/' || OLD.product;
    UPDATE tally SET n = n - 1 WHERE kind = 2 AND key = OLD.gateway;
    UPDATE tally SET n = n - 1
        WHERE kind = 3 AND key = OLD.space AND OLD.activated_at IS NOT NULL;
    DELETE FROM tally WHERE n = 0 AND kind = 0 AND key = OLD.space;
    DELETE FROM tally WHERE n = 0 AND kind = 1 AND key = OLD.space || '/' || OLD.product;
    DELETE FROM tally WHERE n = 0 AND kind = 2 AND key = OLD.gateway;
END;
CREATE TRIGGER device_move AFTER UPDATE OF gateway ON device
    WHEN NEW.gateway IS NOT OLD.gateway BEGIN
    UPDATE tally SET n = n - 1 WHERE kind = 2 AND key = OLD.gateway;
    DELETE FROM tally WHERE n = 0 AND kind = 2 AND key = OLD.gateway;
    INSERT INTO tally SELECT 2, NEW.gateway, 1 WHERE NEW.gateway IS NOT NULL
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER device_activate AFTER UPDATE OF activated_at ON device
    WHEN (NEW.activated_at IS NULL) != (OLD.activated_at IS NULL) BEGIN
    INSERT INTO tally VALUES (3, NEW.space, (NEW.activated_at IS NOT NULL) * 2 - 1)
        ON CONFLICT DO UPDATE SET n = n + excluded.n;
END;
CREATE TRIGGER member_insert AFTER INSERT ON member BEGIN
    INSERT INTO tally VALUES (4, NEW.device_group, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER member_delete AFTER DELETE ON member BEGIN
    UPDATE tally SET n = n - 1 WHERE kind = 4 AND key = OLD.device_group;
    DELETE FROM tally WHERE n = 0 AND kind = 4 AND key = OLD.device_group;
END;
