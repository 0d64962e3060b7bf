-- $1 ids, $2 attempts, $3 lease in seconds
select id, accepted from tradeflow.extend($1, $2, make_interval(secs => $3))
