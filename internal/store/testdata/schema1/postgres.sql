-- A database of schema 1, as its release left it: what later ones migrate.

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

CREATE TABLE goose_db_version (
    id         INTEGER PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    version_id BIGINT NOT NULL,
    is_applied BOOLEAN NOT NULL,
    tstamp     TIMESTAMP NOT NULL DEFAULT now()
);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true);

INSERT INTO tenants (id, name, created) VALUES ('0000000a-0000-7000-8000-000000000001', 'one', 17723664000000000);
INSERT INTO tenants (id, name, created) VALUES ('0000000a-0000-7000-8000-000000000002', 'two', 17723664010000000);
INSERT INTO audit_logs (tenant, size, root) VALUES ('0000000a-0000-7000-8000-000000000001', 6, '\x7f3f8b80230370c7d4a910d095401f9297514d02037142efe385b4da08f634de');
INSERT INTO audit_logs (tenant, size, root) VALUES ('0000000a-0000-7000-8000-000000000002', 1, '\xd56c87d413d745b20f74f825c5ac7267bf44f65f312f3206d080fe14855a609b');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (1, '0000000a-0000-7000-8000-000000000001', 0, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2230222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a34613837383339346334373666393366616233326462343064623665313066636339666364343165353130393930623965646166326665613030326337396164227d', '{"salt":"I+WzqPXySE3wZpBWIciH6QYcNG2G/MlWxoIkqTMF3n0=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (2, '0000000a-0000-7000-8000-000000000001', 1, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2231222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a63623539653736663932373833613636646336336563363361663839343737653537333933316238343433373061616633306363383331316137613330613630227d', '{"salt":"kgtnBAfbDk6HmYdRUspF6hhjETBKiqDRNywa6ZZ2HW8=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (3, '0000000a-0000-7000-8000-000000000002', 0, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2230222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a34396233353532656462343162363062383837376537323934333138323234353764303863326166343234633865336561313134626338343031306336323336227d', '{"salt":"/JVsPyxSgr5Us1gjxpaFNOWAZZhCRhddNvTfGWytsdY=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (4, '0000000a-0000-7000-8000-000000000001', 2, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2232222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a66303836613465653663616635393935666638643139313738343935623762623533323937333839326139356133636265336233643561363365613339613464227d', '{"salt":"pbAp7xEovSDH0SNZ8elLXg+kyTBus0FdcjXa6HX4eFQ=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (5, '0000000a-0000-7000-8000-000000000001', 3, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2231222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a38396166663061353339613463376563633964663664396535333136363533323561306164306362313162323938383736636638396238346162353435363637227d', '{"salt":"xfkFDcv8HF/Nx+jkGhPAEo5paLFkLB9Uwz5rpNrcnJo=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (6, '0000000a-0000-7000-8000-000000000001', 4, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2233222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a39366361393830373162653130643935656334393936626661373561643537633461653932313337343366643639613530646564333138343635316566393866227d', '{"salt":"U1QpA6MJ8+/508iWO4gxa2lNqLAYTbPZSNWXp+mOw9A=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_entries (id, tenant, leaf, bytes, opening) OVERRIDING SYSTEM VALUE VALUES (7, '0000000a-0000-7000-8000-000000000001', 5, '\x7b2276223a312c2274696d65223a22323032362d30332d30315431323a30303a30302e303030303030305a222c22616374223a227061636b6167652e6c696e6b222c226f626a656374223a2234222c22646576696365223a22222c2270726f66696c65223a22222c22726573756c74223a22646f6e65222c2264657461696c223a22222c22636f6d6d69746d656e74223a227368613235363a64656565313166343164383736646634326264613933363932353365386366386366373431653065613365363861383064326433333662396538366637353764227d', '{"salt":"SLB8V782vaMyzOoscFYB8CbUSC/55QkRfQQ13rFAKqI=","hidden":{"who":"application/1","name":"","from":"","correlation":"","comment":""}}');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 0, '\x6a7b80e5675902219a5bd469852ea7243c34e9ad679cea1a43888deffcec2b06');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 1, '\xf351760e5d58983117862e528d1a20a2f2496d8726bd98ac737c362facb101b1');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 2, '\xbd606be8c7624bc58ebe699b796ff6594337385fa7de008ad3390161a5833da4');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 3, '\xf9586ef0de0541d194a17e0da7fa521634d4141696c3035933ea45ad400aa7bb');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 4, '\x58d7a68d6e5398d06f5ee1e09f99d5738d21416522911e3c7c3cc0287ddb3646');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 5, '\xbf08aab9067b742f750ef06eaa03a6d5ff5c1d9b233e955acb272ab0cb8e902e');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 6, '\xfa2f78c6d50faf4a5fbcc038978d547fe771617882d02e9e9344a456983616be');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 7, '\x15f4a78d53a452bf2249bb78c421b212a80e61521155fd36f252bc7c4367729b');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 8, '\xf4d41f9c3365d2119e8683852def74917ef8dc7374099e0ee2fecc070d8217fd');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000001', 9, '\xfc8fb1c116249e3718871a957504669aafd95629dad7f2f9f0f737e2a029a717');
INSERT INTO audit_hashes (tenant, position, hash) VALUES ('0000000a-0000-7000-8000-000000000002', 0, '\xd56c87d413d745b20f74f825c5ac7267bf44f65f312f3206d080fe14855a609b');
INSERT INTO apps (tenant, id, name, roles, created) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 'siem', '["Machine.CollectForensics"]', 17723664000000000);
INSERT INTO app_secrets (tenant, app, id, hash, expires) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 's1', '\xe8bc163c82eee18733288c7d4ac636db3a6deb013ef2d37b68322be20edc45cc', NULL);
INSERT INTO app_secrets (tenant, app, id, hash, expires) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000d-0000-7000-8000-000000000001', 's2', '\xad328846aa18b32a335816374511cac1063c704b8c57999e51da9f908290a7a4', 17723700000000000);
INSERT INTO enrollments (tenant, id, hash, remaining, expires, revoked, tags) VALUES ('0000000a-0000-7000-8000-000000000001', 'token', '\x3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0', NULL, NULL, FALSE, 'null');
INSERT INTO enrollments (tenant, id, hash, remaining, expires, revoked, tags) VALUES ('0000000a-0000-7000-8000-000000000001', 'counted', '\x8898e2a8552492475c01aa61898fe4cacf5f9e50f9a35cb3bbeeffdf32b07bf6', 2, 53723664000000000, FALSE, '["web","Zürich","web"]');
INSERT INTO server_keys (purpose, id, valid_from, valid_to, public, sealed, succession) VALUES ('audit-log', 'k1', 17723664000000000, NULL, '\x010203', '\x00ff07', NULL);
INSERT INTO devices (tenant, id, keys, statements, name, host_name, system, platform, version, build, arch, boot_id, agent_version, agent_sha256, addresses, last_address, external, catalog, tags, first_seen, last_seen, revoked) VALUES ('0000000a-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', '["zQP73cqqJwPCUWVtXM3Zn1Y1seBlPAY2uVGjo9sh2tQ="]', 'null', 'host1.example.org', 'host1', 'linux', 'Debian', '12.11', 0, 'amd64', '', '', '', 'null', '', '198.51.100.7', '', 'null', 17723664000000000, 17723664000000000, FALSE);
INSERT INTO devices (tenant, id, keys, statements, name, host_name, system, platform, version, build, arch, boot_id, agent_version, agent_sha256, addresses, last_address, external, catalog, tags, first_seen, last_seen, revoked) VALUES ('0000000a-0000-7000-8000-000000000001', 'c918f94e305e2543b7c3f3c15c35cf41cba8a5b3', '["+E0f4Ka2I0wVXw9CB4b0xXUBUxfB9B6csrVdzR467mg="]', 'null', 'host2.example.org', 'host2', 'windows', '', '', 0, '', '', '', '', 'null', '', '', '', '["web","Zürich","web"]', 17723664000000000, 17723664000000000, FALSE);
INSERT INTO actions (tenant, id, device, device_name, status, profile, plan, source, requestor, comment, external_id, created, updated, touched, due, attempt, acked, begun, stage, items, items_of, bytes, taken_ms, cancel_requestor, cancel_comment, cancel_time, error_hresult, trouble, entry, package_upload, package_sha256, package_size, package_sealed, package_receipt) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000c-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', 'host1.example.org', 'Succeeded', 'triage', 'sha256:1', 'PublicApi', 'tester', 'naïve "quotes"; ''--'' 😀
line two', 'case-7', 17723664000010000, 17723664000010000, 17723664000010000, NULL, 1, 0, 17723664600000000, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, '', 5, 'u1', 'ff', 8589934592, 17723700000000000, '\x000102ff');
INSERT INTO actions (tenant, id, device, device_name, status, profile, plan, source, requestor, comment, external_id, created, updated, touched, due, attempt, acked, begun, stage, items, items_of, bytes, taken_ms, cancel_requestor, cancel_comment, cancel_time, error_hresult, trouble, entry, package_upload, package_sha256, package_size, package_sealed, package_receipt) VALUES ('0000000a-0000-7000-8000-000000000001', '0000000c-0000-7000-8000-000000000002', 'c918f94e305e2543b7c3f3c15c35cf41cba8a5b3', 'host2.example.org', 'Pending', 'triage', 'sha256:1', 'PublicApi', 'tester', 'alert 1234', '', 17723664000020000, 17723664000020000, 17723664000020000, 17726256000020000, 1, 0, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0, '', 7, NULL, NULL, NULL, NULL, NULL);
INSERT INTO uploads (id, tenant, device, action, attempt, state, flushed, length, most, sha256, reason, created, updated) VALUES ('u1', '0000000a-0000-7000-8000-000000000001', 'ce06685804a0917a1c8b72038e768ee1e5103c2b', '0000000c-0000-7000-8000-000000000001', 1, 'sealed', 0, NULL, 17179869184, '', '', 17723664000000000, 17723664000000000);
SELECT setval(pg_get_serial_sequence('audit_entries', 'id'), (SELECT max(id) FROM audit_entries));
