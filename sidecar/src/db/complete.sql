-- $1 ids, $2 attempts, $3 results
select id, accepted from tradeflow.complete($1, $2, $3)
