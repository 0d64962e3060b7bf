select format(': %s, process %s of %s, since %s', a.usename, a.pid, coalesce(host(a.client_addr), 'the server itself'), to_char(a.xact_start, 'HH24:MI:SS'))
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.classid = 1953655924 and l.objid = 1 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
limit 1
