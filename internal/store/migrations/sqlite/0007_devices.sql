-- +goose Up

-- Devices under administration. devices.name is the name that a device is found
-- by: what it says, or what people say in its place.

ALTER TABLE devices ADD COLUMN reported_name TEXT;     -- what it says where people renamed it; NULL: they did not
ALTER TABLE devices ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN cloned INTEGER;         -- when two live agents last held its key; NULL: never
ALTER TABLE devices ADD COLUMN key_asked INTEGER;      -- since when it is to have another key; NULL: it is not
ALTER TABLE devices ADD COLUMN key_since INTEGER;      -- since when it has its key; NULL: since it enrolled
CREATE INDEX devices_retired ON devices (tenant, first_seen DESC, id DESC) WHERE retired;
