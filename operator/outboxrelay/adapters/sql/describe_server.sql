-- Whether this server accepts writes, and from this user.
SELECT pg_is_in_recovery() AS recovering,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_user::text AS role,
       pg_postmaster_start_time()::text AS started,
       current_setting('server_encoding') AS encoding
