-- +goose Up

-- How long packages are kept, and what is kept whatever the rules say.

CREATE TABLE retentions (
    tenant   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenants (id),
    days     BIGINT  NOT NULL, -- 0 in these three: no such rule
    packages BIGINT  NOT NULL,
    bytes    BIGINT  NOT NULL,
    revision BIGINT  NOT NULL  -- of the rules, the holds, and what has expired
);

CREATE TABLE holds (
    tenant  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id      TEXT COLLATE "C" NOT NULL,
    device  TEXT COLLATE "C" NOT NULL,
    action  TEXT COLLATE "C" NOT NULL, -- '': the whole device
    reason  TEXT COLLATE "C" NOT NULL,
    holder  TEXT COLLATE "C" NOT NULL, -- the display name of who added it
    created BIGINT  NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
);
CREATE INDEX holds_of_device ON holds (tenant, device, action);

-- What may expire, the oldest first. The sums of packages come from the first one
-- alone, and so it has all that they need, the state for SQLite.
CREATE INDEX uploads_packages ON uploads (tenant, updated, id, flushed, state) WHERE state = 'sealed';
CREATE INDEX uploads_unverified ON uploads (tenant, updated, id) WHERE state IN ('quarantined', 'partial');
