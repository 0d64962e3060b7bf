-- $1 ids, $2 attempts, $3 results. Nearly always all are accepted: only those that are not come back.
select id from tradeflow.complete($1, $2, $3) where not accepted
