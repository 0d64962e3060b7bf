-- One sync of a resource at a time, in all processes; held until the session ends.
select pg_try_advisory_lock(hashtextextended('tradeflow sync ' || $1, 0))
