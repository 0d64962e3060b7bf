-- View rules that are asked, as far as asking and firing them needs it: one JSON document each. $1: their names.
select jsonb_build_object(
    'view', r.view,
    'view_id', to_regclass(r.view)::oid::bigint,
    'subject_type', format_type(tradeflow._view_subject_type(r.view), null),
    'columns', (select jsonb_agg(a.attname) from pg_catalog.pg_attribute a
                where a.attrelid = to_regclass(r.view) and a.attnum > 0 and not a.attisdropped),
    'rule', jsonb_build_object(
        'name', r.name, 'events', '[]'::jsonb, 'fires', 'always', 'max_firings', r.max_firings,
        'search_path', r.search_path, 'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
        'version', r.version, 'mode', r.mode, 'max_per_subject', r.max_per_subject,
        'first', coalesce((select f.actions from tradeflow._first_actions f where f.rule = r.name), '{}')))::text
from tradeflow.rules r
where r.name = any ($1::text[]) and r.view is not null and tradeflow._is_asked(r) and tradeflow._view_subject_type(r.view) is not null
order by r.name collate "C"
