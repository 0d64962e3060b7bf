-- Databases that runs made (run.sql, and a number) whose session is not there any more.
select d.datname::text
from pg_database d, regexp_match(d.datname, '^tradeflow_test_(\d+)_(\d+)_\d+$') m
where m is not null
  and not exists (select from pg_stat_activity a where a.pid::text = m[1] and (extract(epoch from a.backend_start) * 1000000)::bigint::text = m[2])
order by 1
