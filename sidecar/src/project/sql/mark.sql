select (select case when is_called then last_value else 0 end from tradeflow.firing_id),
       (select coalesce(max(id), 0) from tradeflow.incidents)
