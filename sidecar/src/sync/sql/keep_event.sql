-- A webhook is written down before it is answered. One that is there already was delivered twice.
insert into tradeflow.sync_events (event_id, source, scope, data) values ($1, 'bigcommerce', $2, $3)
on conflict (event_id) do nothing
