-- Actions $1 to $2 that wait for a time far away, as rules with fire_at leave them.
insert into tradeflow.outbox (firing_id, rule, rule_version, source, event, subject, key, step, kind, target, lane, state, facts, run_at, fire_at)
select nextval('tradeflow.firing_id'), 'bench', 1, 'public.jobs', 'insert', 'w' || n, jsonb_build_object('n', n), 1, 'noop', 'there',
       'public.jobs:w' || n, 'waiting', jsonb_build_object('n', n), now() + interval '30 days' + n * interval '1 second',
       now() + interval '30 days' + n * interval '1 second'
from generate_series($1::bigint, $2::bigint) n
