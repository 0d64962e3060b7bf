-- Markdown of the kinds of action, each with its parameters as the JSON Schema has them. One line a row.
with kind as (
  select k.*, coalesce(k.params -> 'properties', '{}') as properties
  from tradeflow.action_kinds k
), line as (
  select k.name, 0 as part, ''::text as parameter, format(E'## %s\n\n%s\n\nTarget: %s. Delivery: `%s`. An execution whose outcome is unknown %s.\n',
    k.name, pg_temp.prose(k.description), case when k.system is null then 'none, or one of any system' when k.system = 'none' then 'none' else format('of system `%s`', k.system) end,
    k.delivery, case when k.repeatable then 'is repeated' else 'waits for a person' end) as text
  from kind k
  union all
  select k.name, 1, '', E'| parameter | type | |\n|---|---|---|'
  from kind k where k.properties <> '{}'
  union all
  select k.name, 2, p.key, format('| `%s`%s | %s | %s |', p.key,
    case when k.params -> 'required' ? p.key then ' (required)' else '' end,
    coalesce((select string_agg(e #>> '{}', ', ') from jsonb_array_elements(p.value -> 'enum') e where e <> 'null'),
             (select string_agg(t, ' or ') from jsonb_array_elements_text(case jsonb_typeof(p.value -> 'type') when 'array' then p.value -> 'type' else jsonb_build_array(p.value -> 'type') end) t where t <> 'null'),
             'any'),
    concat_ws('; ', nullif(pg_temp.prose(p.value ->> 'description'), ''),
      (select 'with ' || string_agg(format('`%s`', q), ', ' order by q) from jsonb_object_keys(p.value -> 'properties') q),
      case when p.value ->> 'literal' = 'true' then 'no template is possible' end))
  from kind k, jsonb_each(k.properties) p
  union all
  select k.name, 3, '', E'\nOne of these is needed: ' || string_agg((select string_agg(format('`%s`', r), ' and ') from jsonb_array_elements_text(a.value -> 'required') r), '; or ' order by a.n) || '.'
  from kind k, jsonb_array_elements(k.params -> 'anyOf') with ordinality a(value, n)
  group by k.name
  union all
  select k.name, 4, '', E'\n```json\n' || string_agg(e.value::text, E'\n' order by e.n) || E'\n```'
  from kind k, jsonb_array_elements(k.params -> 'examples') with ordinality e(value, n)
  group by k.name
  union all
  select k.name, 5, '', ''
  from kind k
)
select l.text from line l order by l.name, l.part, l.parameter;
