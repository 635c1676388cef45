-- Autovacuum of {shown}. Every delivered row leaves a dead one behind, and a read must step over the dead ones
-- until vacuum has been there. The defaults wait for dead rows in proportion to a table that is empty most of the time
-- and then, after a backlog, is not; these settings wait for a number of rows, and vacuum at full speed. A partitioned
-- table takes no such settings: its partitions get them. Run this again when you add some.
-- Set for the server, since tables cannot: autovacuum_naptime = '15s' (default 1 min: how often it looks).
-- Nothing helps against a transaction that stays open for long: no vacuum may remove what it could still see. Set
-- idle_in_transaction_session_timeout, and hot_standby_feedback only where standbys need it.
DO ${tag}$
DECLARE
    leaf regclass;
BEGIN
    SET LOCAL lock_timeout = '5s';
    FOR leaf IN
        SELECT c.oid FROM pg_class c
        WHERE c.relkind = 'r' AND (c.oid = {literal}::regclass
            OR c.oid IN (SELECT p.relid FROM pg_partition_tree({literal}::regclass) p))
    LOOP
        EXECUTE format('ALTER TABLE %s SET ('
            'autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, '
            'autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, '
            'autovacuum_vacuum_cost_delay = 0, '
            'toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000, '
            'toast.autovacuum_vacuum_cost_delay = 0)', leaf);
    END LOOP;
END
${tag}$;
