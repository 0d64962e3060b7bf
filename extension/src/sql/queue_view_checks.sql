-- Subjects to be asked about at the end of the transaction; one row a rule. $1 rule, $2 subject: arrays of one length.
insert into tradeflow.view_checks (rule, subjects)
select c.rule, array_agg(c.subject)
from unnest($1::text[], $2::text[]) c(rule, subject)
group by c.rule
order by c.rule
