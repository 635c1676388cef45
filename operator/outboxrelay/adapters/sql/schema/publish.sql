-- Writes one event into {shown} and returns its id, which arrives in header id. Call it inside the transaction
-- that changes what the event tells of: both are committed, or neither. It runs with the caller's privileges
-- (INSERT on the columns that it names{select_hint}), and changes no setting.
--   SELECT {call};
{notes}BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';
DO ${tag}$
DECLARE
    old regprocedure;
BEGIN
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = {literal}::regclass AND attname = {payload_literal}
               AND atttypid = 'bytea'::regtype) THEN
        RAISE EXCEPTION 'the payload column is bytea, and this function writes JSON: insert such rows by a statement';
    END IF;
    -- One with other arguments, from another manifest of this table: beside it a call would be ambiguous.
    FOR old IN
        SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = {schema_literal} AND p.proname = {name_literal} AND p.proargnames <> {names_literal}::text[]
        AND obj_description(p.oid, 'pg_proc') LIKE 'outboxrelay sql, part publish, version %'
    LOOP
        EXECUTE format('DROP FUNCTION %s', old);
    END LOOP;
END
${tag}$;
CREATE OR REPLACE FUNCTION {function}(
{arguments}
) RETURNS text LANGUAGE plpgsql VOLATILE AS
${tag}$
DECLARE
{variables}
BEGIN
{checks}
    INSERT INTO {table} AS outboxrelay_row ({columns})
    VALUES ({values}){returning};
    RETURN outboxrelay_id::pg_catalog.text;
END
${tag}$;
COMMENT ON FUNCTION {function}({types})
    IS 'outboxrelay sql, part publish, version 1: writes one event, returns its id';
COMMIT;
