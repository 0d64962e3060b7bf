-- Subjects to be asked about at the end of the transaction; one row a rule. $1 rule, $2 subject: arrays of one length.
-- $3: only members is brought up to date.
insert into tradeflow.view_checks (rule, subjects, silent)
select c.rule, array_agg(c.subject), $3
from unnest($1::text[], $2::text[]) c(rule, subject)
group by c.rule
order by c.rule
