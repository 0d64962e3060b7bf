-- Whether all who fired without telling have ended.
select case when pg_try_advisory_lock(1953654380, 1) then pg_advisory_unlock(1953654380, 1) else false end
