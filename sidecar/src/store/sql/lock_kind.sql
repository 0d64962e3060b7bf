-- One load of a table at a time: two that both bring a row nobody has yet would otherwise merge it with nothing, and
-- the second would blank what the first brought. Held to the end of the batch's transaction.
select pg_advisory_xact_lock(hashtextextended('tradeflow load ' || $1, 0))
