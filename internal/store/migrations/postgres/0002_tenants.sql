-- +goose Up

-- Organisations and applications may be withdrawn, and an application may
-- prove itself by a certificate.

ALTER TABLE tenants ADD COLUMN revoked BOOLEAN NOT NULL DEFAULT FALSE;
CREATE UNIQUE INDEX tenants_name ON tenants (name); -- lower case: it stands in paths

ALTER TABLE apps ADD COLUMN revoked BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE app_secrets ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE app_secrets ADD COLUMN created BIGINT NOT NULL DEFAULT 0;

CREATE TABLE app_certificates (
    tenant  TEXT COLLATE "C" NOT NULL,
    app     TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL, -- hex SHA-256 of der
    name    TEXT COLLATE "C" NOT NULL,
    der     BYTEA NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (tenant, app, id),
    FOREIGN KEY (tenant, app) REFERENCES apps (tenant, id)
);

ALTER TABLE enrollments ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE enrollments ADD COLUMN created BIGINT NOT NULL DEFAULT 0;

-- What people say of devices.

ALTER TABLE devices ADD COLUMN value TEXT COLLATE "C" NOT NULL DEFAULT 'Normal';
ALTER TABLE devices ADD COLUMN risk TEXT COLLATE "C" NOT NULL DEFAULT '';       -- '': not assessed
ALTER TABLE devices ADD COLUMN exposure TEXT COLLATE "C" NOT NULL DEFAULT '';   -- '': not assessed
ALTER TABLE devices ADD COLUMN aad_device TEXT COLLATE "C" NOT NULL DEFAULT ''; -- '': not known
CREATE INDEX devices_aad_device ON devices (tenant, aad_device) WHERE aad_device <> '';

-- The tags of devices.tags once more, to be searched.
CREATE TABLE device_tags (
    tenant TEXT COLLATE "C" NOT NULL,
    tag    TEXT COLLATE "C" NOT NULL,
    device TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, tag, device),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
);
CREATE INDEX device_tags_of_device ON device_tags (tenant, device);
INSERT INTO device_tags (tenant, tag, device)
    SELECT DISTINCT d.tenant, t.tag, d.id FROM devices d,
        json_array_elements_text(CASE d.tags WHEN 'null' THEN '[]' ELSE d.tags END::json) t (tag);

-- From when until when a device told of an address, for a month.
CREATE TABLE device_addresses (
    tenant  TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    device  TEXT COLLATE "C" NOT NULL,
    since   BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (tenant, address, device, since),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
);
CREATE INDEX device_addresses_of_device ON device_addresses (tenant, device, until);
CREATE INDEX device_addresses_old ON device_addresses (until);

-- A requestor is found by name or by id.
ALTER TABLE actions ADD COLUMN requestor_id TEXT COLLATE "C" NOT NULL DEFAULT '';
