-- What names this run, on this server and for all time: the session that keeps its databases.
select format('%s_%s', pid, (extract(epoch from backend_start) * 1000000)::bigint) from pg_stat_activity where pid = pg_backend_pid()
