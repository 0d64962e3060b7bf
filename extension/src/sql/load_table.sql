-- Everything that compiling the rules of a table needs, as one JSON document; no row when it is not watched.
-- $1: the table whose rows change: the watched one, or a partition of it at any depth. $2: with its rules.
select jsonb_build_object(
    'name', w.name,
    'root', a.relid::oid::bigint,
    'key', w.key,
    'ignore', w.ignore,
    'log', w.log,
    'owner', (select c.relowner::bigint from pg_catalog.pg_class c where c.oid = a.relid),
    'settings', (select coalesce(jsonb_object_agg(s.name, s.value), '{}') from tradeflow.settings s),
    'clock', (select (extract(epoch from c.at) * 1000000)::bigint from tradeflow.clock c),
    'extension_owner', (select c.relowner::bigint from pg_catalog.pg_class c where c.oid = 'tradeflow.outbox'::regclass),
    'rules', (
        select coalesce(jsonb_agg(x.rule order by x.rule ->> 'name'), '[]')
        from (
            select jsonb_build_object(
                'name', r.name, 'events', r.events, 'condition', r.condition, 'fires', r.fires,
                'still', r.still, 'columns', r.columns, 'query', r.query, 'fire_at', r.fire_at, 'max_firings', r.max_firings,
                'search_path', r.search_path, 'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
                'delayed', exists (select from tradeflow.actions x where x.rule = r.name and x.edge = 'enter' and (x.delay <> '0' or x.recheck)),
                'version', r.version, 'mode', r.mode, 'max_per_subject', r.max_per_subject,
                'first', coalesce((select f.actions from tradeflow._first_actions f where f.rule = r.name), '{}'),
                'leaves', exists (select from tradeflow.actions x where x.rule = r.name and x.edge = 'leave')) as rule
            from tradeflow.rules r
            where r.source = w.name and tradeflow._is_asked(r)
            union all
            select jsonb_build_object(
                'name', r.name, 'events', '["insert", "update", "delete"]'::jsonb, 'fires', 'always', 'max_firings', r.max_firings,
                'search_path', r.search_path, 'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
                'view', r.view, 'subject', i.subject, 'subject_type', tradeflow._view_subject_type(r.view)::oid::bigint)
            from tradeflow.rule_inputs i
            join tradeflow.rules r on r.name = i.rule
            where i.source = w.name and tradeflow._is_asked(r)) x
        where $2)
)::text
from (select $1 as relid, 0 as depth
      union
      select p.relid::oid, p.depth from pg_catalog.pg_partition_ancestors($1) with ordinality p(relid, depth)) a
join tradeflow.watched_tables w on w.name = tradeflow._qualified_name(a.relid)
order by a.depth desc
limit 1
