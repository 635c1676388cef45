-- As read, for tables of small rows: payload and headers of more than {light} bytes stay in the database, which bounds what
-- comes without summing up sizes.
SELECT row_id, event_id, key, type, CASE WHEN {size} <= {light} THEN payload END, ms, {size}{tail_light}
FROM (
{found}) AS found
