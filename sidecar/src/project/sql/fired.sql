-- $1 the last firing before
select rule, subject, occurrence, edge, event, state, run_at, facts
from tradeflow.firings
where firing_id > $1
order by firing_id
