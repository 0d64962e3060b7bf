-- A rule as far as firing it without a change needs it. $1: its name.
select r.source, r.view, r.schedule, r.query, r.condition, r.fire_at, r.still, r.search_path,
       to_regrole(quote_ident(r.owner))::oid, r.max_firings, r.mode, tradeflow._is_asked(r),
       w.key, to_regclass(coalesce(r.source, r.view))::oid,
       coalesce(r.invalid, r.paused_reason)
from tradeflow.rules r
left join tradeflow.watched_tables w on w.name = r.source
where r.name = $1
