-- +goose Up

-- What each caller has used of the limits of each API, and what nodes hold of
-- them. A row goes an hour after its last moment.

CREATE TABLE call_limits (
    tenant TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    caller TEXT COLLATE "C" NOT NULL, -- kind and id
    api    TEXT COLLATE "C" NOT NULL,
    holds  TEXT COLLATE "C" NOT NULL, -- JSON: who, how many calls, the last moment of them
    last   BIGINT NOT NULL, -- the latest of those moments
    PRIMARY KEY (tenant, caller, api)
);
CREATE INDEX call_limits_old ON call_limits (last);
