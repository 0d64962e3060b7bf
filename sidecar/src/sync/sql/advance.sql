-- A batch is committed. The watermark never goes back; of the position, what is named is replaced, and {} clears it.
update tradeflow.sync_state
set watermark = greatest(watermark, $2),
    position = case when $3::jsonb is null then position when $3::jsonb = '{}' then '{}' else position || $3::jsonb end
where resource = $1
