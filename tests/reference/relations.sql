-- Markdown of the relations of one schema: $1 the schema, $2 their kinds ('{r,p}' tables, '{v}' views). One line a row.
-- Partitions are the same table once more; what begins with _ is nobody else's.
with relation as (
  select c.oid, c.relname as name, obj_description(c.oid, 'pg_class') as comment, c.relacl as acl, c.relowner as owner
  from pg_class c
  where c.relnamespace = $1::text::regnamespace and c.relkind = any ($2::text::"char"[]) and not c.relispartition and c.relname !~ '^_'
), line as (
  select r.name, 0 as part, 0 as n, format(E'## %s\n\n%s\n\n| column | type | | |\n|---|---|---|---|', r.name, pg_temp.prose(r.comment)) as text
  from relation r
  union all
  select r.name, 1, a.attnum, format('| `%s` | %s | %s | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
    concat_ws(', ', case when a.attnotnull then 'not null' end,
      case when a.attgenerated = 's' then 'generated' when a.attidentity <> '' then 'identity'
           when d.adbin is not null then format('default `%s`', pg_temp.cell(pg_get_expr(d.adbin, d.adrelid))) end),
    pg_temp.prose(col_description(r.oid, a.attnum)))
  from relation r
  join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
  union all
  select r.name, 2, 0, ''
  from relation r
  union all
  select r.name, 3, row_number() over (partition by r.name order by c.contype <> 'p', c.contype <> 'u', c.contype <> 'f', c.conname)::int,
    format('- `%s`', regexp_replace(pg_get_constraintdef(c.oid), '\s+', ' ', 'g'))
  from relation r
  join pg_constraint c on c.conrelid = r.oid and c.contype in ('p', 'u', 'f', 'c')
  union all
  select r.name, 4, 0, format('- %s may: %s', g.grantee, g.rights)
  from relation r, lateral (
    select string_agg(format('`%s` %s', x.grantee, x.rights), '; ' order by x.grantee) as rights, 'Besides the owner' as grantee
    from (
      select a.grantee::regrole::text as grantee, string_agg(lower(a.privilege_type), ', ' order by lower(a.privilege_type)) as rights
      from aclexplode(r.acl) a
      where a.grantee <> r.owner and a.grantee <> 0
      group by a.grantee
      union all
      select a.grantee::regrole::text, format('%s of %s', string_agg(distinct lower(a.privilege_type), ', '), string_agg(distinct t.attname, ', '))
      from pg_attribute t, aclexplode(t.attacl) a
      where t.attrelid = r.oid and a.grantee <> r.owner and a.grantee <> 0
      group by a.grantee
    ) x
  ) g
  where g.rights is not null
  union all
  select r.name, 5, 0, ''
  from relation r
)
select l.text from line l order by l.name, l.part, l.n;
