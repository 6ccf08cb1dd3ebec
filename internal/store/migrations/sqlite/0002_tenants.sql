-- +goose Up

-- Organisations and applications may be withdrawn, and an application may
-- prove itself by a certificate.

ALTER TABLE tenants ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX tenants_name ON tenants (name); -- lower case: it stands in paths

ALTER TABLE apps ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;

ALTER TABLE app_secrets ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE app_secrets ADD COLUMN created INTEGER NOT NULL DEFAULT 0;

CREATE TABLE app_certificates (
    tenant  TEXT    NOT NULL,
    app     TEXT    NOT NULL,
    id      TEXT    NOT NULL, -- hex SHA-256 of der
    name    TEXT    NOT NULL,
    der     BLOB    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (tenant, app, id),
    FOREIGN KEY (tenant, app) REFERENCES apps (tenant, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE enrollments ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE enrollments ADD COLUMN created INTEGER NOT NULL DEFAULT 0;

-- What people say of devices.

ALTER TABLE devices ADD COLUMN value TEXT NOT NULL DEFAULT 'Normal';
ALTER TABLE devices ADD COLUMN risk TEXT NOT NULL DEFAULT '';       -- '': not assessed
ALTER TABLE devices ADD COLUMN exposure TEXT NOT NULL DEFAULT '';   -- '': not assessed
ALTER TABLE devices ADD COLUMN aad_device TEXT NOT NULL DEFAULT ''; -- '': not known
CREATE INDEX devices_aad_device ON devices (tenant, aad_device) WHERE aad_device <> '';

-- The tags of devices.tags once more, to be searched.
CREATE TABLE device_tags (
    tenant TEXT NOT NULL,
    tag    TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (tenant, tag, device),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_tags_of_device ON device_tags (tenant, device);
INSERT INTO device_tags (tenant, tag, device)
    SELECT DISTINCT d.tenant, t.value, d.id FROM devices d, json_each(d.tags) t WHERE t.type = 'text'; -- no tags may be null

-- From when until when a device told of an address, for a month.
CREATE TABLE device_addresses (
    tenant  TEXT    NOT NULL,
    address TEXT    NOT NULL,
    device  TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (tenant, address, device, since),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_addresses_of_device ON device_addresses (tenant, device, until);
CREATE INDEX device_addresses_old ON device_addresses (until);

-- A requestor is found by name or by id.
ALTER TABLE actions ADD COLUMN requestor_id TEXT NOT NULL DEFAULT '';
