-- $1 worker, $2 how many at most, $3 lease in seconds, $4 kinds this sidecar knows, $5 how many of which target
select id, attempt, rule, rule_version, source, event, subject, occurrence, step, action, kind, target,
       params, facts, steps, idempotency_key, run_at, created_at, clock_timestamp() as claimed_at, firing_id, traceparent,
       attempt = 1 and steps = '{}' as first
from tradeflow.claim($1, $2, make_interval(secs => $3), $4, $5)
