-- Watched tables that are gone, or have lost triggers (a tool swapped the table by rename, for example).
select w.name,
       to_regclass(w.name) is not null as exists,
       array(
         select 'tradeflow_' || e from unnest('{insert,update,delete}'::text[]) e
         where not exists (
           select from pg_trigger t
           where t.tgrelid = to_regclass(w.name) and t.tgname = 'tradeflow_' || e and t.tgenabled <> 'D')
       ) as missing
from tradeflow.watched_tables w
order by w.name
