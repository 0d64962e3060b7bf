-- From here on whoever fires tells (extension/src/outbox/tell.rs). $1: whether this session is the one that is awake.
select pg_advisory_lock_shared(1953654380, 2), case when $1 then pg_advisory_unlock(1953654380, 3) end
