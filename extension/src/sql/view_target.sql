-- View rules, as far as asking them needs it. $1: their names.
select r.name, r.view, to_regrole(quote_ident(r.owner))::oid, r.search_path, r.max_firings,
       format_type(tradeflow._view_subject_type(r.view), null),
       (select array_agg(a.attname::text) from pg_catalog.pg_attribute a
        where a.attrelid = to_regclass(r.view) and a.attnum > 0 and not a.attisdropped)
from tradeflow.rules r
where r.name = any ($1::text[]) and r.view is not null and tradeflow._is_asked(r)
