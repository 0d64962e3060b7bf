-- The SQLSTATEs that functions name in their comments (Errors: …), with who raises them. $1: what each means, as JSON.
with named as (
  select distinct m.code[1] as code, p.proname as name
  from pg_proc p, regexp_matches(split_part(obj_description(p.oid, 'pg_proc'), 'Errors: ', 2), '(?:^|[ ,;])([0-9A-Z]{5})\M', 'g') m(code)
  where p.pronamespace = 'tradeflow'::regnamespace
)
select format('| `%s` | %s | %s |', n.code, coalesce($1::text::jsonb ->> n.code, 'MEANING MISSING: tests/tests/reference.rs'),
  coalesce(string_agg(format('[%1$s](#%1$s)', n.name), ', ' order by n.name) filter (where n.name !~ '^_'), 'what is written into the tables'))
from named n
group by n.code
order by n.code;
