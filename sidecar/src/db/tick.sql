select tradeflow.tick()
