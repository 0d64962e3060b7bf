select tradeflow.tick_rules()
