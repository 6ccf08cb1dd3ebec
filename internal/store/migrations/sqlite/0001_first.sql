-- +goose Up

-- Times are ticks of 100 ns since 1970. A tenant leads every key and index,
-- except where the thing looked up is what tells the tenant: an enrolment
-- token's hash, a device's id (which its key proves), an upload's random id.
-- Lists of one thing that nothing searches (tags, roles, keys) are JSON.

CREATE TABLE tenants (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit log of each tenant: its head, its entries, its tree's hashes.

CREATE TABLE audit_logs (
    tenant TEXT    NOT NULL PRIMARY KEY REFERENCES tenants (id),
    size   INTEGER NOT NULL, -- leaves in the tree
    root   BLOB    NOT NULL  -- 32 bytes; zeros while the tree is empty
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_entries (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant  TEXT    NOT NULL REFERENCES tenants (id),
    leaf    INTEGER,          -- its number in the tree; NULL before it has one
    bytes   BLOB    NOT NULL, -- what the tree hashes
    opening TEXT    NOT NULL  -- JSON; never goes to a device
) STRICT;
CREATE UNIQUE INDEX audit_entries_leaf ON audit_entries (tenant, leaf);

CREATE TABLE audit_hashes (
    tenant   TEXT    NOT NULL,
    position INTEGER NOT NULL, -- tlog.StoredHashIndex
    hash     BLOB    NOT NULL,
    PRIMARY KEY (tenant, position)
) STRICT, WITHOUT ROWID;

-- Access.

CREATE TABLE apps (
    tenant  TEXT    NOT NULL REFERENCES tenants (id),
    id      TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    roles   TEXT    NOT NULL, -- JSON
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE app_secrets (
    tenant  TEXT    NOT NULL,
    app     TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    hash    BLOB    NOT NULL,
    expires INTEGER, -- NULL: never
    PRIMARY KEY (tenant, app, id),
    FOREIGN KEY (tenant, app) REFERENCES apps (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrollments (
    tenant    TEXT    NOT NULL REFERENCES tenants (id),
    id        TEXT    NOT NULL,
    hash      BLOB    NOT NULL UNIQUE, -- SHA-256 of the token
    remaining INTEGER CHECK (remaining >= 0), -- NULL: no count
    expires   INTEGER, -- NULL: never
    revoked   INTEGER NOT NULL,
    tags      TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE server_keys (
    purpose    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_to   INTEGER, -- NULL: in use
    public     BLOB,
    sealed     BLOB,    -- under the master key
    succession BLOB,
    PRIMARY KEY (purpose, id)
) STRICT;

-- Devices and what was asked of them.

CREATE TABLE devices (
    tenant        TEXT    NOT NULL REFERENCES tenants (id),
    id            TEXT    NOT NULL UNIQUE,
    keys          TEXT    NOT NULL, -- JSON, base64: the enrolment key first, the last one signs
    statements    TEXT    NOT NULL, -- JSON, base64
    name          TEXT    NOT NULL, -- lower case
    host_name     TEXT    NOT NULL, -- the name's first label
    system        TEXT    NOT NULL,
    platform      TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    build         INTEGER NOT NULL,
    arch          TEXT    NOT NULL,
    boot_id       TEXT    NOT NULL,
    agent_version TEXT    NOT NULL,
    agent_sha256  TEXT    NOT NULL,
    addresses     TEXT    NOT NULL, -- JSON
    last_address  TEXT    NOT NULL,
    external      TEXT    NOT NULL,
    catalog       TEXT    NOT NULL,
    tags          TEXT    NOT NULL, -- JSON
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX devices_name ON devices (tenant, name);
CREATE INDEX devices_host_name ON devices (tenant, host_name);
CREATE INDEX devices_newest ON devices (tenant, first_seen DESC, id DESC);

CREATE TABLE actions (
    tenant           TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    device           TEXT    NOT NULL,
    device_name      TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    profile          TEXT    NOT NULL,
    plan             TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    requestor        TEXT    NOT NULL,
    comment          TEXT    NOT NULL,
    external_id      TEXT    NOT NULL,
    created          INTEGER NOT NULL,
    updated          INTEGER NOT NULL,
    touched          INTEGER NOT NULL,
    due              INTEGER, -- NULL: the sweep need not look
    attempt          INTEGER NOT NULL,
    acked            INTEGER NOT NULL, -- the last attempt that the device acknowledged
    begun            INTEGER, -- NULL: not yet
    stage            INTEGER NOT NULL,
    items            INTEGER NOT NULL,
    items_of         INTEGER NOT NULL,
    bytes            INTEGER NOT NULL,
    taken_ms         INTEGER NOT NULL,
    cancel_requestor TEXT,    -- these three are NULL unless it was called off
    cancel_comment   TEXT,
    cancel_time      INTEGER,
    error_hresult    INTEGER NOT NULL,
    trouble          TEXT    NOT NULL,
    entry            INTEGER NOT NULL REFERENCES audit_entries (id),
    package_upload   TEXT,    -- these five are NULL unless it has a sealed package
    package_sha256   TEXT,
    package_size     INTEGER,
    package_sealed   INTEGER,
    package_receipt  BLOB,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, device) REFERENCES devices (tenant, id)
) STRICT;
-- The rule that a device has at most one action that has not ended.
CREATE UNIQUE INDEX actions_active ON actions (tenant, device) WHERE status IN ('Pending', 'InProgress');
CREATE INDEX actions_newest ON actions (tenant, created DESC, id DESC);
CREATE INDEX actions_of_device ON actions (tenant, device, created DESC, id DESC);
-- The sweep looks at all tenants at once.
CREATE INDEX actions_due ON actions (due) WHERE status IN ('Pending', 'InProgress');

CREATE TABLE uploads (
    id      TEXT    NOT NULL PRIMARY KEY,
    tenant  TEXT    NOT NULL,
    device  TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    attempt INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    flushed INTEGER NOT NULL, -- bytes
    length  INTEGER,          -- NULL: not known yet
    most    INTEGER NOT NULL, -- bytes it may have
    sha256  TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    FOREIGN KEY (tenant, action) REFERENCES actions (tenant, id)
) STRICT;
-- An attempt delivers once.
CREATE UNIQUE INDEX uploads_of_action ON uploads (tenant, action, attempt);
-- At most one attempt of an action is ever sealed.
CREATE UNIQUE INDEX uploads_sealed ON uploads (tenant, action) WHERE state = 'sealed';
-- The sweep looks at all tenants at once.
CREATE INDEX uploads_in_state ON uploads (state, updated);
