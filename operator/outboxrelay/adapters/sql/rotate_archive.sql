-- Partitions for the days to come, and those that are too old go: see schema/archive.sql.
SELECT outboxrelay.rotate_archive($1::text, $2::text, make_interval(secs => $3::double precision)) AS done
