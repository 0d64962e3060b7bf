select name, value from tradeflow.settings
