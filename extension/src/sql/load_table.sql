-- Everything that compiling the rules of a table needs, as one JSON document; no row when it is not watched.
-- $1: the table whose rows change: the watched one, or a partition of it at any depth. $2: with its rules.
select jsonb_build_object(
    'name', w.name,
    'root', a.relid::oid::bigint,
    'key', w.key,
    'ignore', w.ignore,
    'settings', (select coalesce(jsonb_object_agg(s.name, s.value), '{}') from tradeflow.settings s),
    'clock', (select (extract(epoch from c.at) * 1000000)::bigint from tradeflow.clock c),
    'extension_owner', (select c.relowner::bigint from pg_catalog.pg_class c where c.oid = 'tradeflow.outbox'::regclass),
    'rules', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', r.name, 'events', r.events, 'condition', r.condition, 'fires', r.fires,
            'still', r.still, 'columns', r.columns, 'query', r.query, 'fire_at', r.fire_at, 'max_firings', r.max_firings,
            'search_path', r.search_path, 'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
            'delayed', exists (select from tradeflow.actions x where x.rule = r.name and x.edge = 'enter' and x.delay <> '0')
        ) order by r.name), '[]')
        from tradeflow.rules r
        where $2 and r.source = w.name and r.mode <> 'off' and r.invalid is null
          and to_regrole(quote_ident(r.owner)) is not null)
)::text
from (select $1 as relid, 0 as depth
      union
      select p.relid::oid, p.depth from pg_catalog.pg_partition_ancestors($1) with ordinality p(relid, depth)) a
join tradeflow.watched_tables w on w.name = tradeflow._qualified_name(a.relid)
order by a.depth desc
limit 1
