-- +goose Up

-- What each caller has used of the limits of each API, and what nodes hold of
-- them. A row goes an hour after its last moment.

CREATE TABLE call_limits (
    tenant TEXT    NOT NULL REFERENCES tenants (id),
    caller TEXT    NOT NULL, -- kind and id
    api    TEXT    NOT NULL,
    holds  TEXT    NOT NULL, -- JSON: who, how many calls, the last moment of them
    last   INTEGER NOT NULL, -- the latest of those moments
    PRIMARY KEY (tenant, caller, api)
) STRICT;
CREATE INDEX call_limits_old ON call_limits (last);
