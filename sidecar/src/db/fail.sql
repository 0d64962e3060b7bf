-- $1 id, $2 attempt, $3 error, $4 outcome, $5 seconds to wait at least, or null, $6 whether the whole target is to wait
select tradeflow.fail($1, $2, $3, $4, make_interval(secs => $5), $6)
