-- +goose Up

-- How long packages are kept, and what is kept whatever the rules say.

CREATE TABLE retentions (
    tenant   TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (id),
    days     INTEGER NOT NULL, -- 0 in these three: no such rule
    packages INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    revision INTEGER NOT NULL  -- of the rules, the holds, and what has expired
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    tenant  TEXT    NOT NULL REFERENCES tenants (id),
    id      TEXT    NOT NULL,
    device  TEXT    NOT NULL,
    action  TEXT    NOT NULL, -- '': the whole device
    reason  TEXT    NOT NULL,
    holder  TEXT    NOT NULL, -- the display name of who added it
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_of_device ON holds (tenant, device, action);

-- What may expire, the oldest first. The sums of packages come from the first one
-- alone, and so it has all that they need, the state for SQLite.
CREATE INDEX uploads_packages ON uploads (tenant, updated, id, flushed, state) WHERE state = 'sealed';
CREATE INDEX uploads_unverified ON uploads (tenant, updated, id) WHERE state IN ('quarantined', 'partial');
