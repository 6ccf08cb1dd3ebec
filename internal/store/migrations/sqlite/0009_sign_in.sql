-- +goose Up

-- Sign-in of people.

-- What people prove themselves by here.
CREATE TABLE user_credentials (
    tenant      TEXT NOT NULL,
    person      TEXT NOT NULL,
    password    TEXT NOT NULL,    -- its hash, in the PHC string format; '': none
    changed     INTEGER,          -- NULL: never
    must_change INTEGER NOT NULL,
    totp        BLOB,             -- the secret under the master key; NULL: none
    step        INTEGER NOT NULL, -- of the last one-time code
    recovery    TEXT NOT NULL,    -- JSON, base64: SHA-256 of the codes that are left
    PRIMARY KEY (tenant, person),
    FOREIGN KEY (tenant, person) REFERENCES users (tenant, id) ON DELETE CASCADE
) STRICT;

-- Of the three below a hash is SHA-256 of 256 random bits, which only the
-- application has. Rows are kept until they expire, used or not: what is used
-- twice is to be noticed.

-- Authorization codes.
CREATE TABLE sign_in_codes (
    tenant    TEXT NOT NULL,
    hash      BLOB NOT NULL,
    app       TEXT NOT NULL, -- client id
    scope     TEXT NOT NULL, -- JSON: what was asked for
    redirect  TEXT NOT NULL, -- as in the request; '': it named none
    challenge TEXT NOT NULL, -- of PKCE, S256; '': none
    nonce     TEXT NOT NULL,
    parent    TEXT NOT NULL, -- the browser's session
    session   TEXT NOT NULL, -- that it gave; '': it was not tried, or in vain
    used      INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT;
CREATE INDEX sign_in_codes_old ON sign_in_codes (expires);

-- Device codes (RFC 8628).
CREATE TABLE device_codes (
    tenant    TEXT NOT NULL,
    hash      BLOB NOT NULL,
    user_code TEXT NOT NULL, -- what the person types
    app       TEXT NOT NULL, -- client id
    scope     TEXT NOT NULL, -- JSON: what was asked for
    address   TEXT NOT NULL, -- where it was asked for
    agent     TEXT NOT NULL,
    state     TEXT NOT NULL, -- pending, approved, denied, used
    session   TEXT NOT NULL, -- that it gave; '' for none
    polled    INTEGER,       -- NULL: not yet
    expires   INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT;
CREATE UNIQUE INDEX device_codes_user_code ON device_codes (tenant, user_code);
CREATE INDEX device_codes_old ON device_codes (expires);

-- Refresh tokens. Those of one sign-in are a family: each took the place of the
-- one before it.
CREATE TABLE refresh_tokens (
    tenant  TEXT NOT NULL,
    hash    BLOB NOT NULL,
    session TEXT NOT NULL, -- the application's sign-in
    scope   TEXT NOT NULL, -- JSON: what the sign-in was asked for
    used    INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT;
CREATE INDEX refresh_tokens_old ON refresh_tokens (expires);

-- Those that began from a session end with it.
CREATE INDEX sessions_parent ON sessions (tenant, parent);
