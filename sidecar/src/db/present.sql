-- $1 worker, $2 kinds it executes, $3 version, $4 how many at the same time
select tradeflow.present($1, $2, $3, $4)
