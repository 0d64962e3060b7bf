-- Whoever said so may have gone to rest. $1: whether it is this session.
select $1 or pg_try_advisory_lock(1953654380, 3)
