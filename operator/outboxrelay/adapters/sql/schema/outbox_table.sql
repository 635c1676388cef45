-- A good outbox table with the columns that the relay reads; a table that is there already stays as it is.
{hints}BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {table} (
{columns}
);
{indexes}COMMIT;
