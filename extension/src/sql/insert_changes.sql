-- Changes of logged tables. $1 source, $2 event, $3 subject, $4 old, $5 new: arrays of one length, in the order of the changes.
insert into tradeflow.change_log (source, event, subject, old, new, silent, clock)
select x.source, x.event, x.subject, x.old, x.new, coalesce(current_setting('tradeflow.mode', true) = 'silent', false),
       (select c.at from tradeflow.clock c)
from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[]) with ordinality x(source, event, subject, old, new, n)
order by x.n
