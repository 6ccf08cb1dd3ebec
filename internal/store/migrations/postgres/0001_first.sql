-- +goose Up

-- Times are ticks of 100 ns since 1970. A tenant leads every key and index,
-- except where the thing looked up is what tells the tenant: an enrolment
-- token's hash, a device's id (which its key proves), an upload's random id.
-- Lists of one thing that nothing searches (tags, roles, keys) are JSON.
-- Text is compared and sorted by its bytes, whatever the database's locale.

CREATE TABLE tenants (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL
);

-- The audit log of each tenant: its head, its entries, its tree's hashes.

CREATE TABLE audit_logs (
    tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES tenants (id),
    size   BIGINT NOT NULL, -- leaves in the tree
    root   BYTEA NOT NULL -- 32 bytes; zeros while the tree is empty
);

-- The tenant is no foreign key: every act of a tenant would lock the tenant's row
-- to add an entry, and thousands a second would queue there. What adds one looks
-- the tenant up, and no tenant is ever deleted.
CREATE TABLE audit_entries (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL,
    leaf    BIGINT, -- its number in the tree; NULL before it has one
    bytes   BYTEA NOT NULL, -- what the tree hashes
    opening TEXT COLLATE "C" NOT NULL -- JSON; never goes to a device
);
CREATE UNIQUE INDEX audit_entries_leaf ON audit_entries (tenant, leaf);
-- What waits for the sequencer.
CREATE INDEX audit_entries_waiting ON audit_entries (id) WHERE leaf IS NULL;

CREATE TABLE audit_hashes (
    tenant   TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL, -- tlog.StoredHashIndex
    hash     BYTEA NOT NULL,
    PRIMARY KEY (tenant, position)
);

-- Access.

CREATE TABLE apps (
    tenant  TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id      TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    roles   TEXT COLLATE "C" NOT NULL, -- JSON
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE app_secrets (
    tenant  TEXT COLLATE "C" NOT NULL,
    app     TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    hash    BYTEA NOT NULL,
    expires BIGINT, -- NULL: never
    PRIMARY KEY (tenant, app, id),
    FOREIGN KEY (tenant, app) REFERENCES apps (tenant, id)
);

CREATE TABLE enrollments (
    tenant    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id        TEXT COLLATE "C" NOT NULL,
    hash      BYTEA NOT NULL UNIQUE, -- SHA-256 of the token
    remaining BIGINT CHECK (remaining >= 0), -- NULL: no count
    expires   BIGINT, -- NULL: never
    revoked   BOOLEAN NOT NULL,
    tags      TEXT COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
);

CREATE TABLE server_keys (
    purpose    TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_to   BIGINT, -- NULL: in use
    public     BYTEA,
    sealed     BYTEA, -- under the master key
    succession BYTEA,
    PRIMARY KEY (purpose, id)
);

-- Devices and what was asked of them.

CREATE TABLE devices (
    tenant        TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    keys          TEXT COLLATE "C" NOT NULL, -- JSON, base64: the enrolment key first, the last one signs
    statements    TEXT COLLATE "C" NOT NULL, -- JSON, base64
    name          TEXT COLLATE "C" NOT NULL, -- lower case
    host_name     TEXT COLLATE "C" NOT NULL, -- the name's first label
    system        TEXT COLLATE "C" NOT NULL,
    platform      TEXT COLLATE "C" NOT NULL,
    version       TEXT COLLATE "C" NOT NULL,
    build         BIGINT NOT NULL,
    arch          TEXT COLLATE "C" NOT NULL,
    boot_id       TEXT COLLATE "C" NOT NULL,
    agent_version TEXT COLLATE "C" NOT NULL,
    agent_sha256  TEXT COLLATE "C" NOT NULL,
    addresses     TEXT COLLATE "C" NOT NULL, -- JSON
    last_address  TEXT COLLATE "C" NOT NULL,
    external      TEXT COLLATE "C" NOT NULL,
    catalog       TEXT COLLATE "C" NOT NULL,
    tags          TEXT COLLATE "C" NOT NULL, -- JSON
    first_seen    BIGINT NOT NULL,
    last_seen     BIGINT NOT NULL,
    revoked       BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX devices_name ON devices (tenant, name);
CREATE INDEX devices_host_name ON devices (tenant, host_name);
CREATE INDEX devices_newest ON devices (tenant, first_seen DESC, id DESC);

CREATE TABLE actions (
    tenant           TEXT COLLATE "C" NOT NULL,
    id               TEXT COLLATE "C" NOT NULL,
    device           TEXT COLLATE "C" NOT NULL,
    device_name      TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL,
    profile          TEXT COLLATE "C" NOT NULL,
    plan             TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    requestor        TEXT COLLATE "C" NOT NULL,
    comment          TEXT COLLATE "C" NOT NULL,
    external_id      TEXT COLLATE "C" NOT NULL,
    created          BIGINT NOT NULL,
    updated          BIGINT NOT NULL,
    touched          BIGINT NOT NULL,
    due              BIGINT, -- NULL: the sweep need not look
    attempt          BIGINT NOT NULL,
    acked            BIGINT NOT NULL, -- the last attempt that the device acknowledged
    begun            BIGINT, -- NULL: not yet
    stage            BIGINT NOT NULL,
    items            BIGINT NOT NULL,
    items_of         BIGINT NOT NULL,
    bytes            BIGINT NOT NULL,
    taken_ms         BIGINT NOT NULL,
    cancel_requestor TEXT COLLATE "C", -- these three are NULL unless it was called off
    cancel_comment   TEXT COLLATE "C",
    cancel_time      BIGINT,
    error_hresult    BIGINT NOT NULL,
    trouble          TEXT COLLATE "C" NOT NULL,
    entry            BIGINT NOT NULL REFERENCES audit_entries (id),
    package_upload   TEXT COLLATE "C", -- these five are NULL unless it has a sealed package
    package_sha256   TEXT COLLATE "C",
    package_size     BIGINT,
    package_sealed   BIGINT,
    package_receipt  BYTEA,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
);
-- The rule that a device has at most one action that has not ended.
CREATE UNIQUE INDEX actions_active ON actions (tenant, device) WHERE status IN ('Pending', 'InProgress');
CREATE INDEX actions_newest ON actions (tenant, created DESC, id DESC);
CREATE INDEX actions_of_device ON actions (tenant, device, created DESC, id DESC);
-- The sweep looks at all tenants at once.
CREATE INDEX actions_due ON actions (due) WHERE status IN ('Pending', 'InProgress');

CREATE TABLE uploads (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL,
    device  TEXT COLLATE "C" NOT NULL,
    action  TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    state   TEXT COLLATE "C" NOT NULL,
    flushed BIGINT NOT NULL, -- bytes
    length  BIGINT, -- NULL: not known yet
    most    BIGINT NOT NULL, -- bytes it may have
    sha256  TEXT COLLATE "C" NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    FOREIGN KEY (tenant, action) REFERENCES actions (tenant, id)
);
-- An attempt delivers once.
CREATE UNIQUE INDEX uploads_of_action ON uploads (tenant, action, attempt);
-- At most one attempt of an action is ever sealed.
CREATE UNIQUE INDEX uploads_sealed ON uploads (tenant, action) WHERE state = 'sealed';
-- The sweep looks at all tenants at once.
CREATE INDEX uploads_in_state ON uploads (state, updated);
