-- Counted at most every five seconds for all sidecars together.
select tradeflow.health('5 seconds') || jsonb_build_object('extension', tradeflow.version())
