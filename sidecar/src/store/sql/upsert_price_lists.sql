-- Upserts a batch of price lists. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with price_list_id and any other columns; `lines`, where present, replaces the lines.
with incoming as (
  select (item ->> 'price_list_id')::bigint as price_list_id, item
  from pg_temp.incoming
),
merged as (
  select t.price_list_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.price_lists t using (price_list_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.price_lists as t (
    price_list_id, name, is_active, created_at, updated_at, raw
  )
  select
    price_list_id, name, is_active, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (price_list_id) do update set (
    name, is_active, created_at, updated_at, raw, synced_at
  ) = (
    excluded.name, excluded.is_active, excluded.created_at, excluded.updated_at, excluded.raw, now()
  )
  where (
    t.name, t.is_active, t.created_at, t.updated_at, t.raw
  ) is distinct from (
    excluded.name, excluded.is_active, excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.price_list_id
),
incoming_lines as (
  select l.*
  from merged m
  cross join lateral jsonb_array_elements(m.item -> 'lines') as line
  cross join lateral jsonb_populate_record(null::store.price_list_assignments, line || jsonb_build_object('price_list_id', m.price_list_id)) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.price_list_assignments d
  using merged m
  where d.price_list_id = m.price_list_id and not m.is_outdated and m.item ? 'lines'
    and not exists (select from incoming_lines l where l.assignment_id = d.assignment_id)
  returning 1
),
written_lines as (
  insert into store.price_list_assignments as t (
    assignment_id, price_list_id, bc_customer_group_id, channel_id, raw
  )
  select
    assignment_id, price_list_id, bc_customer_group_id, channel_id, raw
  from incoming_lines
  on conflict (assignment_id) do update set (
    price_list_id, bc_customer_group_id, channel_id, raw, synced_at
  ) = (
    excluded.price_list_id, excluded.bc_customer_group_id, excluded.channel_id, excluded.raw, now()
  )
  where (
    t.price_list_id, t.bc_customer_group_id, t.channel_id, t.raw
  ) is distinct from (
    excluded.price_list_id, excluded.bc_customer_group_id, excluded.channel_id, excluded.raw
  )
  returning t.assignment_id
),
known_lines as (
  select w.assignment_id
  from written_lines w join store.price_list_assignments t using (assignment_id)
)
select
  count(*) filter (where is_new and is_written) as inserted,
  count(*) filter (where not is_new and is_written) as updated,
  count(*) filter (where not is_outdated and not is_written) as unchanged,
  count(*) filter (where is_outdated) as outdated,
  (select count(*) from written_lines) - (select count(*) from known_lines) as lines_inserted,
  (select count(*) from known_lines) as lines_updated,
  (select count(*) from incoming_lines) - (select count(*) from written_lines) as lines_unchanged,
  (select count(*) from deleted_lines) as lines_deleted
from (
  select is_new, is_outdated, exists (select from written w where w.price_list_id = m.price_list_id) as is_written
  from merged m
) as outcome
