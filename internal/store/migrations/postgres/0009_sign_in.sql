-- +goose Up

-- Sign-in of people.

-- What people prove themselves by here.
CREATE TABLE user_credentials (
    tenant      TEXT COLLATE "C" NOT NULL,
    person      TEXT COLLATE "C" NOT NULL,
    password    TEXT COLLATE "C" NOT NULL, -- its hash, in the PHC string format; '': none
    changed     BIGINT,                    -- NULL: never
    must_change BOOLEAN NOT NULL,
    totp        BYTEA,                     -- the secret under the master key; NULL: none
    step        BIGINT NOT NULL,           -- of the last one-time code
    recovery    TEXT COLLATE "C" NOT NULL, -- JSON, base64: SHA-256 of the codes that are left
    PRIMARY KEY (tenant, person),
    FOREIGN KEY (tenant, person) REFERENCES users (tenant, id) ON DELETE CASCADE
);

-- Of the three below a hash is SHA-256 of 256 random bits, which only the
-- application has. Rows are kept until they expire, used or not: what is used
-- twice is to be noticed.

-- Authorization codes.
CREATE TABLE sign_in_codes (
    tenant    TEXT COLLATE "C" NOT NULL,
    hash      BYTEA NOT NULL,
    app       TEXT COLLATE "C" NOT NULL, -- client id
    scope     TEXT COLLATE "C" NOT NULL, -- JSON: what was asked for
    redirect  TEXT COLLATE "C" NOT NULL, -- as in the request; '': it named none
    challenge TEXT COLLATE "C" NOT NULL, -- of PKCE, S256; '': none
    nonce     TEXT COLLATE "C" NOT NULL,
    parent    TEXT COLLATE "C" NOT NULL, -- the browser's session
    session   TEXT COLLATE "C" NOT NULL, -- that it gave; '': it was not tried, or in vain
    used      BOOLEAN NOT NULL,
    expires   BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
);
CREATE INDEX sign_in_codes_old ON sign_in_codes (expires);

-- Device codes (RFC 8628).
CREATE TABLE device_codes (
    tenant    TEXT COLLATE "C" NOT NULL,
    hash      BYTEA NOT NULL,
    user_code TEXT COLLATE "C" NOT NULL, -- what the person types
    app       TEXT COLLATE "C" NOT NULL, -- client id
    scope     TEXT COLLATE "C" NOT NULL, -- JSON: what was asked for
    address   TEXT COLLATE "C" NOT NULL, -- where it was asked for
    agent     TEXT COLLATE "C" NOT NULL,
    state     TEXT COLLATE "C" NOT NULL, -- pending, approved, denied, used
    session   TEXT COLLATE "C" NOT NULL, -- that it gave; '' for none
    polled    BIGINT,       -- NULL: not yet
    expires   BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
);
CREATE UNIQUE INDEX device_codes_user_code ON device_codes (tenant, user_code);
CREATE INDEX device_codes_old ON device_codes (expires);

-- Refresh tokens. Those of one sign-in are a family: each took the place of the
-- one before it.
CREATE TABLE refresh_tokens (
    tenant  TEXT COLLATE "C" NOT NULL,
    hash    BYTEA NOT NULL,
    session TEXT COLLATE "C" NOT NULL, -- the application's sign-in
    scope   TEXT COLLATE "C" NOT NULL, -- JSON: what the sign-in was asked for
    used    BOOLEAN NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (tenant, hash)
);
CREATE INDEX refresh_tokens_old ON refresh_tokens (expires);

-- Those that began from a session end with it.
CREATE INDEX sessions_parent ON sessions (tenant, parent);
