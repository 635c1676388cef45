-- Delivered rows go.
DELETE FROM {table} WHERE {delivered}
