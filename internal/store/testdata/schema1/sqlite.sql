-- A database of schema 1, as its release left it: what later ones migrate.

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

CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1);

INSERT INTO tenants (id, name, created) VALUES ('0000000a-0000-7000-8000-000000000001', 'one', 17723664000000000);
INSERT INTO tenants (id, name, created) VALUES ('0000000a-0000-7000-8000-000000000002', 'two', 17723664010000000);
INSERT INTO audit_logs (tenant, size, root) VALUES ('0000000a-0000-7000-8000-000000000001', 6, X'7f3f8b80230370c7d4a910d095401f9297514d02037142efe385b4da08f634de');
INSERT INTO audit_logs (tenant, size, root) VALUES ('0000000a-0000-7000-8000-000000000002', 1, X'd56c87d413d745b20f74f825c5ac7267bf44f65f312f3206d080fe14855a609b');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (1, '0000000a-0000-7000-8000-000000000001', 0, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2230222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a34613837383339346334373666393366616233326462343064623665313066636339666364343165353130393930623965646166326665613030326337396164227d', '{"salt":"I+WzqPXySE3wZpBWIciH6QYcNG2G/MlWxoIkqTMF3n0=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (2, '0000000a-0000-7000-8000-000000000001', 1, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2231222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a63623539653736663932373833613636646336336563363361663839343737653537333933316238343433373061616633306363383331316137613330613630227d', '{"salt":"kgtnBAfbDk6HmYdRUspF6hhjETBKiqDRNywa6ZZ2HW8=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (3, '0000000a-0000-7000-8000-000000000002', 0, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2230222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a34396233353532656462343162363062383837376537323934333138323234353764303863326166343234633865336561313134626338343031306336323336227d', '{"salt":"/JVsPyxSgr5Us1gjxpaFNOWAZZhCRhddNvTfGWytsdY=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (4, '0000000a-0000-7000-8000-000000000001', 2, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2232222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a66303836613465653663616635393935666638643139313738343935623762623533323937333839326139356133636265336233643561363365613339613464227d', '{"salt":"pbAp7xEovSDH0SNZ8elLXg+kyTBus0FdcjXa6HX4eFQ=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (5, '0000000a-0000-7000-8000-000000000001', 3, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2231222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a38396166663061353339613463376563633964663664396535333136363533323561306164306362313162323938383736636638396238346162353435363637227d', '{"salt":"xfkFDcv8HF/Nx+jkGhPAEo5paLFkLB9Uwz5rpNrcnJo=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (6, '0000000a-0000-7000-8000-000000000001', 4, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2233222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a39366361393830373162653130643935656334393936626661373561643537633461653932313337343366643639613530646564333138343635316566393866227d', '{"salt":"U1QpA6MJ8+/508iWO4gxa2lNqLAYTbPZSNWXp+mOw9A=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) VALUES (7, '0000000a-0000-7000-8000-000000000001', 5, X'7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2234222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a64656565313166343164383736646634326264613933363932353365386366386366373431653065613365363861383064326433333662396538366637353764227d', '{"salt":"SLB8V782vaMyzOoscFYB8CbUSC/55QkRfQQ13rFAKqI=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 0, X'6a7b80e5675902219a5bd469852ea7243c34e9ad679cea1a43888deffcec2b06');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 1, X'f351760e5d58983117862e528d1a20a2f2496d8726bd98ac737c362facb101b1');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 2, X'bd606be8c7624bc58ebe699b796ff6594337385fa7de008ad3390161a5833da4');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 3, X'f9586ef0de0541d194a17e0da7fa521634d4141696c3035933ea45ad400aa7bb');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 4, X'58d7a68d6e5398d06f5ee1e09f99d5738d21416522911e3c7c3cc0287ddb3646');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 5, X'bf08aab9067b742f750ef06eaa03a6d5ff5c1d9b233e955acb272ab0cb8e902e');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 6, X'fa2f78c6d50faf4a5fbcc038978d547fe771617882d02e9e9344a456983616be');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 7, X'15f4a78d53a452bf2249bb78c421b212a80e61521155fd36f252bc7c4367729b');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 8, X'f4d41f9c3365d2119e8683852def74917ef8dc7374099e0ee2fecc070d8217fd');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 9, X'fc8fb1c116249e3718871a957504669aafd95629dad7f2f9f0f737e2a029a717');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000002', 0, X'd56c87d413d745b20f74f825c5ac7267bf44f65f312f3206d080fe14855a609b');
INSERT INTO apps (tenant, id, name, roles, created) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 'siem', '["Machine.CollectForensics"]', 17723664000000000);
INSERT INTO app_secrets (tenant, app, id, hash, expires) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 's1', X'e8bc163c82eee18733288c7d4ac636db3a6deb013ef2d37b68322be20edc45cc', NULL);
INSERT INTO app_secrets (tenant, app, id, hash, expires) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 's2', X'ad328846aa18b32a335816374511cac1063c704b8c57999e51da9f908290a7a4', 17723700000000000);
INSERT INTO enrollments (tenant, id, hash, remaining, expires, revoked, tags) VALUES ('0000000a-0000-7000-8000-000000000001', 'token', X'3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0', NULL, NULL, 0, 'null');
INSERT INTO enrollments (tenant, id, hash, remaining, expires, revoked, tags) VALUES ('0000000a-0000-7000-8000-000000000001', 'counted', X'8898e2a8552492475c01aa61898fe4cacf5f9e50f9a35cb3bbeeffdf32b07bf6', 2, 53723664000000000, 0, '["web","Zürich","web"]');
INSERT INTO server_keys (purpose, id, valid_from, valid_to, public, sealed, succession) VALUES ('audit-log', 'k1', 17723664000000000, NULL, X'010203', X'00ff07', NULL);
INSERT INTO devices (tenant, id, keys, statements, name, host_name, system, platform, version, build, arch, boot_id, agent_version, agent_sha256, addresses, last_address, external, catalog, tags, first_seen, last_seen, revoked) VALUES ('0000000a-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', '["zQP73cqqJwPCUWVtXM3Zn1Y1seBlPAY2uVGjo9sh2tQ="]', 'null', 'host1.example.org', 'host1', 'linux', 'Debian', '12.11', 0, 'amd64', '', '', '', 'null', '', '198.51.100.7', '', 'null', 17723664000000000, 17723664000000000, 0);
INSERT INTO devices (tenant, id, keys, statements, name, host_name, system, platform, version, build, arch, boot_id, agent_version, agent_sha256, addresses, last_address, external, catalog, tags, first_seen, last_seen, revoked) VALUES ('0000000a-0000-7000-8000-000000000001', 'c918f94e305e2543b7c3f3c15c35cf41cba8a5b3', '["+E0f4Ka2I0wVXw9CB4b0xXUBUxfB9B6csrVdzR467mg="]', 'null', 'host2.example.org', 'host2', 'windows', '', '', 0, '', '', '', '', 'null', '', '', '', '["web","Zürich","web"]', 17723664000000000, 17723664000000000, 0);
INSERT INTO actions (tenant, id, device, device_name, status, profile, plan, source, requestor, comment, external_id, created, updated, touched, due, attempt, acked, begun, stage, items, items_of, bytes, taken_ms, cancel_requestor, cancel_comment, cancel_time, error_hresult, trouble, entry, package_upload, package_sha256, package_size, package_sealed, package_receipt) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000c-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', 'host1.example.org', 'Succeeded', 'triage', 'sha256:1', 'PublicApi', 'tester', 'naïve "quotes"; ''--'' 😀
line two', 'case-7', 17723664000010000, 17723664000010000, 17723664000010000, NULL, 1, 0, 17723664600000000, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, '', 5, 'u1', 'ff', 8589934592, 17723700000000000, X'000102ff');
INSERT INTO actions (tenant, id, device, device_name, status, profile, plan, source, requestor, comment, external_id, created, updated, touched, due, attempt, acked, begun, stage, items, items_of, bytes, taken_ms, cancel_requestor, cancel_comment, cancel_time, error_hresult, trouble, entry, package_upload, package_sha256, package_size, package_sealed, package_receipt) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000c-0000-7000-8000-000000000002', 'c918f94e305e2543b7c3f3c15c35cf41cba8a5b3', 'host2.example.org', 'Pending', 'triage', 'sha256:1', 'PublicApi', 'tester', 'alert 1234', '', 17723664000020000, 17723664000020000, 17723664000020000, 17726256000020000, 1, 0, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, '', 7, NULL, NULL, NULL, NULL, NULL);
INSERT INTO uploads (id, tenant, device, action, attempt, state, flushed, length, most, sha256, reason, created, updated) VALUES ('u1', '0000000a-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', '0000000c-0000-7000-8000-000000000001', 1, 'sealed', 0, NULL, 17179869184, '', '', 17723664000000000, 17723664000000000);
