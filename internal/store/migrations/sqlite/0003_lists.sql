-- +goose Up

-- What lists are filtered and sorted by. Each index goes on in the order of the
-- list, so that the first page of what has one value is read off it; it ends
-- with the id, so that a page is found without the rows. Where nearly all rows
-- have one value, they are not in the index.

CREATE INDEX actions_of_status ON actions (tenant, status, created DESC, id DESC);
CREATE INDEX actions_of_requestor ON actions (tenant, requestor, created DESC, id DESC);
CREATE INDEX actions_of_requestor_id ON actions (tenant, requestor_id, created DESC, id DESC);
CREATE INDEX actions_updated ON actions (tenant, updated DESC, id DESC);
CREATE INDEX actions_external_id ON actions (tenant, external_id, created DESC, id DESC) WHERE external_id <> '';

DROP INDEX devices_name;
CREATE INDEX devices_name ON devices (tenant, name, first_seen DESC, id DESC);
CREATE INDEX devices_seen ON devices (tenant, last_seen DESC, id DESC);
CREATE INDEX devices_platform ON devices (tenant, platform, first_seen DESC, id DESC);
CREATE INDEX devices_version ON devices (tenant, version, first_seen DESC, id DESC);
CREATE INDEX devices_agent_version ON devices (tenant, agent_version, first_seen DESC, id DESC);
CREATE INDEX devices_last_address ON devices (tenant, last_address, first_seen DESC, id DESC);
CREATE INDEX devices_external ON devices (tenant, external, first_seen DESC, id DESC);
CREATE INDEX devices_value ON devices (tenant, value, first_seen DESC, id DESC) WHERE value <> 'Normal';
CREATE INDEX devices_risk ON devices (tenant, risk, first_seen DESC, id DESC) WHERE risk <> '';
CREATE INDEX devices_exposure ON devices (tenant, exposure, first_seen DESC, id DESC) WHERE exposure <> '';
CREATE INDEX devices_revoked ON devices (tenant, first_seen DESC, id DESC) WHERE revoked;
