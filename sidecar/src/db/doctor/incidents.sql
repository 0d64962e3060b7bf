select kind, rule, message, hint, count, last_seen_at from tradeflow.incidents
where acked_at is null order by last_seen_at desc limit 20
