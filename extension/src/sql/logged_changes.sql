-- The changes of a table that backtest() replays. $1 source, $2 since, $3 until (NULL: without end).
select l.id, l.changed_at, case l.event when 'insert' then 1 when 'update' then 2 else 3 end, l.old, l.new, l.subject, l.clock
from tradeflow.change_log l
where l.source = $1 and l.changed_at >= coalesce($2, '-infinity') and l.changed_at < coalesce($3, 'infinity') and not l.silent
