-- +goose Up

-- What audit entries are searched by, beside the leaf and the opening that have
-- it: who is kind and id of the caller, name the caller's in lower case.

ALTER TABLE audit_entries ADD COLUMN time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_entries ADD COLUMN act TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN object TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN device TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN result TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN who TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN correlation TEXT COLLATE "C" NOT NULL DEFAULT '';

-- A text has U+10FFFF twice where it has it once, and U+10FFFF U+0100 where it has
-- the NUL that PostgreSQL does not take. In openings the former is so already.
UPDATE audit_entries e SET (time, act, object, device, result, who, name, correlation) = (
    SELECT
        coalesce(CAST(extract(epoch FROM CAST(substr(j.leaf ->> 'time', 1, 19) || 'Z' AS TIMESTAMPTZ)) AS BIGINT) * 10000000
            + CAST(substr(j.leaf ->> 'time', 21, 7) AS BIGINT), 0),
        coalesce(j.leaf ->> 'act', ''),
        coalesce(j.leaf ->> 'object', ''),
        coalesce(j.leaf ->> 'device', ''),
        coalesce(j.leaf ->> 'result', ''),
        coalesce(j.opening -> 'hidden' ->> 'who', ''),
        lower(coalesce(j.opening -> 'hidden' ->> 'name', '') COLLATE "C"),
        coalesce(j.opening -> 'hidden' ->> 'correlation', '')
    FROM (
        SELECT
            CAST(regexp_replace(replace(convert_from(e.bytes, 'UTF8'), chr(1114111), chr(1114111) || chr(1114111)),
                '(?<!\\)((\\\\)*)\\u0000', '\1' || chr(1114111) || chr(256), 'g') AS JSONB) AS leaf,
            CAST(regexp_replace(e.opening, '(?<!\\)((\\\\)*)\\u0000', '\1' || chr(1114111) || chr(256), 'g') AS JSONB) AS opening
        OFFSET 0 -- each is read once, not once a column
    ) j
);

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

-- The planner knows nothing of the columns yet, and would sort the whole log.
ANALYZE audit_entries;
