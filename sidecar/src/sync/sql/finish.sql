-- A run is over: well ($3 is NULL) or with an error. What it counted is told either way.
update tradeflow.sync_state
set last_error = $3,
    failures = case when $3::text is null then 0 else failures + 1 end,
    finished_at = case when $3::text is null then now() else finished_at end,
    caught_up_at = case when $3::text is null then $2 else caught_up_at end,
    swept_at = case when $3::text is null and $4 then $2 else swept_at end,
    read = $5, inserted = $6, updated = $7, unchanged = $8, deleted = $9, rejected = $10, requests = $11
where resource = $1
returning failures
