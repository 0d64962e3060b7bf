-- What these view rules answered last about everybody. $1: rules.
select m.rule, m.subject, m.occurrence, m.entered_at, m.fire_at, m.recheck_at
from tradeflow.members m
where m.rule = any ($1::text[])
