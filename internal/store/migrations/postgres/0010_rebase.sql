-- +goose Up

-- By what devices go on with a log that was restored from a backup: each row is a
-- statement that the recovery key signed (package audit).
CREATE TABLE rebases (
    tenant    TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    number    BIGINT NOT NULL, -- Unix milliseconds of its making; the highest one counts
    statement BYTEA  NOT NULL,
    PRIMARY KEY (tenant, number)
);
