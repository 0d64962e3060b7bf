-- Upserts a batch of company users. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with b2b_user_id and any other columns.
with incoming as (
  select (item ->> 'b2b_user_id')::bigint as b2b_user_id, item
  from pg_temp.incoming
),
merged as (
  select t.b2b_user_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.company_users t using (b2b_user_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.company_users as t (
    b2b_user_id, company_id, bc_customer_id, email, first_name, last_name, phone, role, company_role_id,
    company_role_name, external_uuid, channels, extra_fields, created_at, updated_at, raw
  )
  select
    b2b_user_id, company_id, bc_customer_id, email, first_name, last_name, phone, role, company_role_id,
    company_role_name, external_uuid, channels, extra_fields, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (b2b_user_id) do update set (
    company_id, bc_customer_id, email, first_name, last_name, phone, role, company_role_id, company_role_name,
    external_uuid, channels, extra_fields, created_at, updated_at, raw, synced_at
  ) = (
    excluded.company_id, excluded.bc_customer_id, excluded.email, excluded.first_name, excluded.last_name,
    excluded.phone, excluded.role, excluded.company_role_id, excluded.company_role_name, excluded.external_uuid,
    excluded.channels, excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.raw, now()
  )
  where (
    t.company_id, t.bc_customer_id, t.email, t.first_name, t.last_name, t.phone, t.role, t.company_role_id,
    t.company_role_name, t.external_uuid, t.channels, t.extra_fields, t.created_at, t.updated_at, t.raw
  ) is distinct from (
    excluded.company_id, excluded.bc_customer_id, excluded.email, excluded.first_name, excluded.last_name,
    excluded.phone, excluded.role, excluded.company_role_id, excluded.company_role_name, excluded.external_uuid,
    excluded.channels, excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.b2b_user_id
)
select
  count(*) filter (where is_new and is_written) as inserted,
  count(*) filter (where not is_new and is_written) as updated,
  count(*) filter (where not is_outdated and not is_written) as unchanged,
  count(*) filter (where is_outdated) as outdated,
  0::bigint as lines_inserted,
  0::bigint as lines_updated,
  0::bigint as lines_unchanged,
  0::bigint as lines_deleted
from (
  select is_new, is_outdated, exists (select from written w where w.b2b_user_id = m.b2b_user_id) as is_written
  from merged m
) as outcome
