-- +goose Up

-- People, and who may do what.

ALTER TABLE apps ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';    -- JSON: in the name of people
ALTER TABLE apps ADD COLUMN redirects TEXT NOT NULL DEFAULT '[]'; -- JSON
ALTER TABLE apps ADD COLUMN public INTEGER NOT NULL DEFAULT 0;

-- The command line, as each new tenant gets it (auth.NewCommandLine).
INSERT INTO apps (tenant, id, name, roles, scopes, redirects, public, created, revoked)
    SELECT id, '00000000-0000-4000-8000-0000000000c1', 'Swab command line', '[]',
        '["Machine.CollectForensics","Machine.Read","Machine.ReadWrite","Swab.Administer"]',
        '["http://localhost","http://127.0.0.1"]', 1, created, revoked FROM tenants;

CREATE TABLE users (
    tenant    TEXT NOT NULL REFERENCES tenants (id),
    id        TEXT NOT NULL,
    principal TEXT NOT NULL, -- lower case
    name      TEXT NOT NULL,
    created   INTEGER NOT NULL,
    disabled  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX users_principal ON users (tenant, principal);

CREATE TABLE user_groups (
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    folded      TEXT NOT NULL, -- the name in lower case
    description TEXT NOT NULL,
    created     INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX user_groups_name ON user_groups (tenant, folded);

CREATE TABLE user_group_members (
    tenant     TEXT NOT NULL,
    user_group TEXT NOT NULL,
    member     TEXT NOT NULL,
    PRIMARY KEY (tenant, user_group, member),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id),
    FOREIGN KEY (tenant, member) REFERENCES users (tenant, id)
) STRICT;
CREATE INDEX user_group_members_of ON user_group_members (tenant, member, user_group);

-- The built-in role has no row: every tenant has it.
CREATE TABLE roles (
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    folded      TEXT NOT NULL, -- the name in lower case
    description TEXT NOT NULL,
    permissions TEXT NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX roles_name ON roles (tenant, folded);

CREATE TABLE role_groups (
    tenant     TEXT NOT NULL,
    role       TEXT NOT NULL, -- of roles, or the built-in one's
    user_group TEXT NOT NULL,
    PRIMARY KEY (tenant, role, user_group),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id)
) STRICT;
CREATE INDEX role_groups_of ON role_groups (tenant, user_group);

-- The default group has no row, unless it was given a description.
ALTER TABLE tenants ADD COLUMN last_device_group INTEGER NOT NULL DEFAULT 0; -- id of the last one that was made: none has it again
CREATE TABLE device_groups (
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    id          INTEGER NOT NULL, -- from 1 on, never used again; 0 is the default group
    name        TEXT NOT NULL,
    folded      TEXT NOT NULL, -- the name in lower case
    description TEXT NOT NULL,
    rank        INTEGER NOT NULL, -- 1 is the highest; 0 for the default group
    rule        TEXT NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE UNIQUE INDEX device_groups_name ON device_groups (tenant, folded);

CREATE TABLE device_group_access (
    tenant       TEXT NOT NULL,
    device_group INTEGER NOT NULL,
    user_group   TEXT NOT NULL,
    PRIMARY KEY (tenant, device_group, user_group),
    FOREIGN KEY (tenant, user_group) REFERENCES user_groups (tenant, id)
) STRICT;
CREATE INDEX device_group_access_of ON device_group_access (tenant, user_group);

-- Sign-ins of people: of a browser, and from it of applications.
CREATE TABLE sessions (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    hash    BLOB NOT NULL, -- SHA-256 of the browser's cookie
    person  TEXT NOT NULL,
    app     TEXT NOT NULL, -- client id; '': the browser's own
    parent  TEXT NOT NULL, -- the browser's session that it began from; '' for none
    methods TEXT NOT NULL, -- JSON: pwd, otp
    proved  INTEGER NOT NULL, -- when the person proved who they are
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended   INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent   TEXT NOT NULL, -- what the browser or program calls itself
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, person) REFERENCES users (tenant, id)
) STRICT;
CREATE INDEX sessions_of ON sessions (tenant, person, created);
CREATE INDEX sessions_hash ON sessions (tenant, hash);
CREATE INDEX sessions_old ON sessions (expires);

-- Issuers beside this one.
CREATE TABLE trusted_issuers (
    tenant    TEXT NOT NULL REFERENCES tenants (id),
    id        TEXT NOT NULL,
    name      TEXT NOT NULL,
    url       TEXT NOT NULL,
    keys      TEXT NOT NULL,
    audiences TEXT NOT NULL, -- this and those below: JSON
    claims    TEXT NOT NULL,
    groups    TEXT NOT NULL,
    roles     TEXT NOT NULL,
    networks  TEXT NOT NULL,
    created   INTEGER NOT NULL,
    revoked   INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
