-- $1 id: where an action is
select coalesce((select o.state from tradeflow.outbox o where o.id = $1), (select h.state from tradeflow.outbox_history h where h.id = $1))
