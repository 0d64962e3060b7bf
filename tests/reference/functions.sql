-- Markdown of the functions that others than tradeflow itself call. One line a row.
with called as (
  select p.oid, p.proname as name, pg_get_function_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result,
         obj_description(p.oid, 'pg_proc') as comment, p.proacl as acl, p.proowner as owner, p.prokind as kind,
         pg_get_function_identity_arguments(p.oid) as identity
  from pg_proc p
  where p.pronamespace = 'tradeflow'::regnamespace and p.proname !~ '^(_|observer)' and p.prorettype <> 'trigger'::regtype
), said as (
  select c.*, split_part(c.comment, ' Errors: ', 1) as does, nullif(split_part(c.comment, ' Errors: ', 2), '') as errors,
    (select string_agg(case a.grantee when 0 then 'everyone' else format('`%s`', a.grantee::regrole) end, ', ' order by a.grantee = 0 desc, a.grantee::regrole::text)
     from aclexplode(coalesce(c.acl, acldefault('f', c.owner))) a
     where a.grantee <> c.owner) as callers
  from called c
)
select format(E'%s```sql\n%s(%s)%s\n```\n\n%s\n%s%s',
  case when s.identity = min(s.identity) over (partition by s.name) then format(E'## %s\n\n', s.name) else '' end,
  'tradeflow.' || s.name, s.arguments, format(' → %s', s.result), pg_temp.prose(s.does),
  E'\n- May be called by: ' || coalesce(s.callers, 'the owner of the extension') || E'\n',
  case when s.errors is not null then format(E'- Errors: %s\n', pg_temp.prose(s.errors)) else '' end)
from said s
order by s.name, s.identity;
