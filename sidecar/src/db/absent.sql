-- $1 worker
select tradeflow.absent($1)
