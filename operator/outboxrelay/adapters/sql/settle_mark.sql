-- Delivered rows are marked, once.
UPDATE {table} SET {delivered_at} = {now} WHERE {delivered} AND {delivered_at} IS NULL
