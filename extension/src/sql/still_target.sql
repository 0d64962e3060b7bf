-- The definition of a rule whose timer is due, as far as asking again needs it. $1: the rule's name.
select r.source, r.condition, r.query, r.still, r.search_path, to_regrole(quote_ident(r.owner))::oid, w.key,
       to_regclass(r.source)::oid
from tradeflow.rules r
join tradeflow.watched_tables w on w.name = r.source
where r.name = $1
