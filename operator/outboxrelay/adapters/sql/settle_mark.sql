-- Delivered rows are marked, once.
UPDATE {table} SET {delivered_at} = {now} WHERE {id} = ANY($1::{ids}) AND {delivered_at} IS NULL
