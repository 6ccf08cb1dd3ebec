-- +goose Up

-- Devices under administration. devices.name is the name that a device is found
-- by: what it says, or what people say in its place.

ALTER TABLE devices ADD COLUMN reported_name TEXT COLLATE "C"; -- what it says where people renamed it; NULL: they did not
ALTER TABLE devices ADD COLUMN retired BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE devices ADD COLUMN cloned BIGINT;                  -- when two live agents last held its key; NULL: never
ALTER TABLE devices ADD COLUMN key_asked BIGINT;               -- since when it is to have another key; NULL: it is not
ALTER TABLE devices ADD COLUMN key_since BIGINT;               -- since when it has its key; NULL: since it enrolled
CREATE INDEX devices_retired ON devices (tenant, first_seen DESC, id DESC) WHERE retired;
