-- $1 the project's schema. A table is not taken away by itself: it may hold what only people know.
select 'view' as kind, c.relname::text as name, jsonb_build_object('definition', pg_get_viewdef(c.oid, true)) as definition,
       format('drop view %I.%I', n.nspname, c.relname) as removal
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind = 'v'
union all
select 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', jsonb_build_object('definition', pg_get_functiondef(p.oid)),
       format('drop function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1 and p.prokind = 'f'
union all
select 'table', c.relname::text,
       jsonb_build_object(
         'columns', (select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
                                             || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''))
                     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
         'constraints', (select coalesce(jsonb_object_agg(k.conname, pg_get_constraintdef(k.oid)), '{}') from pg_constraint k where k.conrelid = c.oid)),
       null
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p')
union all
select 'watch', w.name, jsonb_build_object('key', w.key, 'ignore', w.ignore, 'log', w.log), null
from tradeflow.watched_tables w
