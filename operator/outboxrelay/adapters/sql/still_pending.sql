-- Which of given rows are still pending; nothing of what they hold is read.
SELECT t.{id}{id_text} AS row_id FROM {table} t WHERE t.{id} = ANY($1::{ids}) AND {there}
