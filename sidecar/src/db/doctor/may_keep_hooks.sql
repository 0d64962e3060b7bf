-- Whether what a webhook tells can be written down: as a member of tradeflow_sync, or by a grant.
select coalesce(has_table_privilege('tradeflow.sync_events', 'insert, update'), false)
