-- What these view rules answered last about these subjects. $1: rules. $2: subjects.
select m.rule, m.subject, m.occurrence, m.entered_at, m.fire_at, m.recheck_at
from unnest($2::text[]) s(subject)
-- One look into the index for each subject, not for each pair.
join tradeflow.members m on m.subject = s.subject and m.rule || '' = any ($1::text[])
