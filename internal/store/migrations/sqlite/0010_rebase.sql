-- +goose Up

-- By what devices go on with a log that was restored from a backup: each row is a
-- statement that the recovery key signed (package audit).
CREATE TABLE rebases (
    tenant    TEXT    NOT NULL REFERENCES tenants (id),
    number    INTEGER NOT NULL, -- Unix milliseconds of its making; the highest one counts
    statement BLOB    NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
