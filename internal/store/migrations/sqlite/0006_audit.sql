-- +goose Up

-- What audit entries are searched by, beside the leaf and the opening that have
-- it: who is kind and id of the caller, name the caller's in lower case.

ALTER TABLE audit_entries ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit_entries ADD COLUMN act TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN object TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN result TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN correlation TEXT NOT NULL DEFAULT '';

UPDATE audit_entries SET
    time = coalesce(unixepoch(substr(json_extract(CAST(bytes AS TEXT), '$.time'), 1, 19)) * 10000000
        + CAST(substr(json_extract(CAST(bytes AS TEXT), '$.time'), 21, 7) AS INTEGER), 0),
    act = coalesce(json_extract(CAST(bytes AS TEXT), '$.act'), ''),
    object = coalesce(json_extract(CAST(bytes AS TEXT), '$.object'), ''),
    device = coalesce(json_extract(CAST(bytes AS TEXT), '$.device'), ''),
    result = coalesce(json_extract(CAST(bytes AS TEXT), '$.result'), ''),
    who = coalesce(json_extract(opening, '$.hidden.who'), ''),
    name = lower(coalesce(json_extract(opening, '$.hidden.name'), '')),
    correlation = coalesce(json_extract(opening, '$.hidden.correlation'), '')
WHERE json_valid(CAST(bytes AS TEXT)) AND json_valid(opening);

-- Each collection makes two entries, and each entry a row of each index that it
-- is in. So most are in few: those by which nothing is found that another index,
-- or the list of actions, does not find as well have left them out.
CREATE INDEX audit_entries_newest ON audit_entries (tenant, time DESC, id DESC);
CREATE INDEX audit_entries_of_object ON audit_entries (tenant, object, time DESC, id DESC);
CREATE INDEX audit_entries_of_who ON audit_entries (tenant, who, time DESC, id DESC) WHERE who < 'device/' OR who >= 'device0';
CREATE INDEX audit_entries_of_person ON audit_entries (tenant, name, time DESC, id DESC) WHERE who >= 'user/' AND who < 'user0';
CREATE INDEX audit_entries_of_act ON audit_entries (tenant, act, time DESC, id DESC) WHERE act NOT IN ('action.collect', 'action.seal');
CREATE INDEX audit_entries_of_device ON audit_entries (tenant, device, time DESC, id DESC)
    WHERE device <> '' AND (act NOT IN ('action.collect', 'action.seal') OR result <> 'done');
CREATE INDEX audit_entries_refused ON audit_entries (tenant, time DESC, id DESC) WHERE result = 'refused';
