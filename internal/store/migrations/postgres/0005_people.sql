-- +goose Up

-- People, and who may do what.

ALTER TABLE apps ADD COLUMN scopes TEXT COLLATE "C" NOT NULL DEFAULT '[]';    -- JSON: in the name of people
ALTER TABLE apps ADD COLUMN redirects TEXT COLLATE "C" NOT NULL DEFAULT '[]'; -- JSON
ALTER TABLE apps ADD COLUMN public BOOLEAN NOT NULL DEFAULT FALSE;

-- The command line, as each new tenant gets it (auth.NewCommandLine).
INSERT INTO apps (tenant, id, name, roles, scopes, redirects, public, created, revoked)
    SELECT id, '00000000-0000-4000-8000-0000000000c1', 'Swab command line', '[]',
        '["Machine.CollectForensics","Machine.Read","Machine.ReadWrite","Swab.Administer"]',
        '["http://localhost","http://127.0.0.1"]', TRUE, created, revoked FROM tenants;

CREATE TABLE users (
    tenant    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id        TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL, -- lower case
    name      TEXT COLLATE "C" NOT NULL,
    created   BIGINT NOT NULL,
    disabled  BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX users_principal ON users (tenant, principal);

CREATE TABLE user_groups (
    tenant      TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    folded      TEXT COLLATE "C" NOT NULL, -- the name in lower case
    description TEXT COLLATE "C" NOT NULL,
    created     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_groups_name ON user_groups (tenant, folded);

CREATE TABLE user_group_members (
    tenant     TEXT COLLATE "C" NOT NULL,
    user_group TEXT COLLATE "C" NOT NULL,
    member     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, user_group, member),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id),
    FOREIGN KEY (tenant, member) REFERENCES users (tenant, id)
);
CREATE INDEX user_group_members_of ON user_group_members (tenant, member, user_group);

-- The built-in role has no row: every tenant has it.
CREATE TABLE roles (
    tenant      TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    folded      TEXT COLLATE "C" NOT NULL, -- the name in lower case
    description TEXT COLLATE "C" NOT NULL,
    permissions TEXT COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX roles_name ON roles (tenant, folded);

CREATE TABLE role_groups (
    tenant     TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL, -- of roles, or the built-in one's
    user_group TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, role, user_group),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id)
);
CREATE INDEX role_groups_of ON role_groups (tenant, user_group);

-- The default group has no row, unless it was given a description.
ALTER TABLE tenants ADD COLUMN last_device_group BIGINT NOT NULL DEFAULT 0; -- id of the last one that was made: none has it again
CREATE TABLE device_groups (
    tenant      TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id          BIGINT NOT NULL, -- from 1 on, never used again; 0 is the default group
    name        TEXT COLLATE "C" NOT NULL,
    folded      TEXT COLLATE "C" NOT NULL, -- the name in lower case
    description TEXT COLLATE "C" NOT NULL,
    rank        BIGINT NOT NULL, -- 1 is the highest; 0 for the default group
    rule        TEXT COLLATE "C" NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX device_groups_name ON device_groups (tenant, folded);

CREATE TABLE device_group_access (
    tenant       TEXT COLLATE "C" NOT NULL,
    device_group BIGINT NOT NULL,
    user_group   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, device_group, user_group),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id)
);
CREATE INDEX device_group_access_of ON device_group_access (tenant, user_group);

-- Sign-ins of people: of a browser, and from it of applications.
CREATE TABLE sessions (
    tenant  TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    hash    BYTEA NOT NULL, -- SHA-256 of the browser's cookie
    person  TEXT COLLATE "C" NOT NULL,
    app     TEXT COLLATE "C" NOT NULL, -- client id; '': the browser's own
    parent  TEXT COLLATE "C" NOT NULL, -- the browser's session that it began from; '' for none
    methods TEXT COLLATE "C" NOT NULL, -- JSON: pwd, otp
    proved  BIGINT NOT NULL, -- when the person proved who they are
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended   BOOLEAN NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    agent   TEXT COLLATE "C" NOT NULL, -- what the browser or program calls itself
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, person) REFERENCES users (tenant, id)
);
CREATE INDEX sessions_of ON sessions (tenant, person, created);
CREATE INDEX sessions_hash ON sessions (tenant, hash);
CREATE INDEX sessions_old ON sessions (expires);

-- Issuers beside this one.
CREATE TABLE trusted_issuers (
    tenant    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    id        TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    url       TEXT COLLATE "C" NOT NULL,
    keys      TEXT COLLATE "C" NOT NULL,
    audiences TEXT COLLATE "C" NOT NULL, -- this and those below: JSON
    claims    TEXT COLLATE "C" NOT NULL,
    groups    TEXT COLLATE "C" NOT NULL,
    roles     TEXT COLLATE "C" NOT NULL,
    networks  TEXT COLLATE "C" NOT NULL,
    created   BIGINT NOT NULL,
    revoked   BOOLEAN NOT NULL,
    PRIMARY KEY (tenant, id)
);
