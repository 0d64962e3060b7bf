-- $1 rules
select o.rule, o.state, count(*) as actions
from tradeflow.outbox o
where o.rule = any ($1) and o.state in ('waiting', 'ready', 'held', 'shadow')
group by o.rule, o.state
order by o.rule, o.state
