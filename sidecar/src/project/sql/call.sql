-- The call that an action of kind sql makes, as tradeflow._do_sql() writes it; and where its names are looked up.
select format('%s(%s)', $1::jsonb ->> 'function', (
         select string_agg(format('%I => %s', a.key, case jsonb_typeof(a.value) when 'null' then 'null' else quote_literal(a.value #>> '{}') end), ', ')
         from jsonb_each(coalesce($1::jsonb -> 'args', '{}')) a)) as call,
       concat_ws(', ', nullif(trim(r.search_path), ''), 'pg_temp') as path,
       current_setting('search_path') as before
from tradeflow.rules r
where r.name = $2
