-- A run begins.
insert into tradeflow.sync_state (resource, started_at) values ($1, now())
on conflict (resource) do update set started_at = excluded.started_at
