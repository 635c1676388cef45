-- Tables that may be the one that was meant: the same name elsewhere first, then outbox-like names.
SELECT n.nspname || '.' || c.relname AS name
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND (lower(c.relname) = lower($1) OR c.relname ILIKE '%outbox%')
ORDER BY lower(c.relname) <> lower($1), 1
LIMIT 5
