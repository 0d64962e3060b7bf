-- Upserts a batch of sales staff. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with sales_staff_id and any other columns; `lines`, where present, replaces the lines.
with incoming as (
  select (item ->> 'sales_staff_id')::bigint as sales_staff_id, item
  from pg_temp.incoming
),
merged as (
  select t.sales_staff_id is null as is_new,
         false as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.sales_staff t using (sales_staff_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.sales_staff as t (
    sales_staff_id, email, name, phone, role_name, company_count, raw
  )
  select
    sales_staff_id, email, name, phone, role_name, company_count, raw
  from merged
  where not is_outdated
  on conflict (sales_staff_id) do update set (
    email, name, phone, role_name, company_count, raw, synced_at
  ) = (
    excluded.email, excluded.name, excluded.phone, excluded.role_name, excluded.company_count, excluded.raw, now()
  )
  where (
    t.email, t.name, t.phone, t.role_name, t.company_count, t.raw
  ) is distinct from (
    excluded.email, excluded.name, excluded.phone, excluded.role_name, excluded.company_count, excluded.raw
  )
  returning t.sales_staff_id
),
incoming_lines as (
  select l.*
  from merged m
  cross join lateral jsonb_array_elements(m.item -> 'lines') as line
  cross join lateral jsonb_populate_record(null::store.company_sales_staff, line || jsonb_build_object('sales_staff_id', m.sales_staff_id)) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.company_sales_staff d
  using merged m
  where d.sales_staff_id = m.sales_staff_id and not m.is_outdated and m.item ? 'lines'
    and not exists (select from incoming_lines l where l.sales_staff_id = d.sales_staff_id and l.company_id = d.company_id)
  returning 1
),
written_lines as (
  insert into store.company_sales_staff as t (
    company_id, sales_staff_id, assigned_at, raw
  )
  select
    company_id, sales_staff_id, assigned_at, raw
  from incoming_lines
  on conflict (company_id, sales_staff_id) do update set (
    assigned_at, raw, synced_at
  ) = (
    excluded.assigned_at, excluded.raw, now()
  )
  where (
    t.assigned_at, t.raw
  ) is distinct from (
    excluded.assigned_at, excluded.raw
  )
  returning t.company_id, t.sales_staff_id
),
known_lines as (
  select w.company_id, w.sales_staff_id
  from written_lines w join store.company_sales_staff t using (company_id, sales_staff_id)
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
  select is_new, is_outdated, exists (select from written w where w.sales_staff_id = m.sales_staff_id) as is_written
  from merged m
) as outcome
