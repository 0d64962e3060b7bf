select name, invalid from tradeflow.rules where invalid is not null and mode <> 'off' order by name
