-- Delivered rows go.
DELETE FROM {table} WHERE {id} = ANY($1::{ids})
