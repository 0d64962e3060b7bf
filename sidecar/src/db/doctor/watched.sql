-- Watched tables that are gone, or have lost triggers (a tool swapped the table by rename, for example). Looked up in the
-- catalog, for to_regclass() takes the right to use the schema, which a sidecar's login need not have.
select w.name,
       t.oid is not null as exists,
       array(
         select 'tradeflow_' || e from unnest('{insert,update,delete}'::text[]) e
         where not exists (
           select from pg_trigger g
           where g.tgrelid = t.oid and g.tgname = 'tradeflow_' || e and g.tgenabled <> 'D')
       ) as missing
from tradeflow.watched_tables w
left join (
  select c.oid, format('%I.%I', n.nspname, c.relname) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p')) t using (name)
order by w.name
