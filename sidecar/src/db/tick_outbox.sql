select tradeflow.tick_outbox()
