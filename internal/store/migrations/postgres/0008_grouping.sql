-- +goose Up

-- Which device group each device is in, and each action by its device: what lists
-- are read off for those who do not reach all devices. The rules say it; here it
-- stands as the settled generation of the rules has it, or a later one.

CREATE TABLE groupings (
    tenant     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenants (id),
    revision   BIGINT NOT NULL, -- of the groups; each change of them, their names and who may see them too, makes another
    generation BIGINT NOT NULL, -- of the rules and ranks; each change of them makes another
    settled    BIGINT NOT NULL, -- the generation by which every device stands in its group
    rules      TEXT COLLATE "C" NOT NULL, -- JSON: of this generation, in the order of ranks, each group's id with the digest of its rule
    changed    TEXT COLLATE "C" NOT NULL  -- JSON: the groups that changed since the settled generation, each with its id and whether it came with this one
);
INSERT INTO groupings (tenant, revision, generation, settled, rules, changed) SELECT id, 0, 0, 0, '[]', '[]' FROM tenants;

CREATE TABLE grouped_devices (
    tenant       TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    device_group BIGINT NOT NULL,
    first_seen   BIGINT NOT NULL, -- as in devices
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES devices (tenant, id)
);
INSERT INTO grouped_devices (tenant, id, device_group, first_seen) SELECT tenant, id, 0, first_seen FROM devices;
CREATE INDEX grouped_devices_newest ON grouped_devices (tenant, device_group, first_seen DESC, id DESC);

-- No foreign key: it would be checked for each action that moves.
CREATE TABLE grouped_actions (
    tenant       TEXT COLLATE "C" NOT NULL,
    device_group BIGINT NOT NULL,
    created      BIGINT NOT NULL, -- as in actions
    id           TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, device_group, created, id)
);
INSERT INTO grouped_actions (tenant, device_group, created, id) SELECT tenant, 0, created, id FROM actions ORDER BY tenant, created, id;
