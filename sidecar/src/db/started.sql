select tradeflow.started($1, $2)
