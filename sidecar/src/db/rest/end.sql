-- This sidecar looks by itself. One of those who do says so.
select pg_advisory_unlock_shared(1953654380, 2), pg_try_advisory_lock(1953654380, 3)
