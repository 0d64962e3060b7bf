-- Upserts a batch of companies. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with company_id and any other columns.
with incoming as (
  select (item ->> 'company_id')::bigint as company_id, item
  from pg_temp.incoming
),
merged as (
  select t.company_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.companies t using (company_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.companies as t (
    company_id, company_name, company_email, company_phone, status, bc_customer_group_id,
    bc_customer_group_name, catalog_id, catalog_name, parent_company_id, parent_company_name, price_lists,
    external_uuid, extra_fields, created_at, updated_at, raw
  )
  select
    company_id, company_name, company_email, company_phone, status, bc_customer_group_id,
    bc_customer_group_name, catalog_id, catalog_name, parent_company_id, parent_company_name, price_lists,
    external_uuid, extra_fields, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (company_id) do update set (
    company_name, company_email, company_phone, status, bc_customer_group_id, bc_customer_group_name,
    catalog_id, catalog_name, parent_company_id, parent_company_name, price_lists, external_uuid, extra_fields,
    created_at, updated_at, raw, synced_at
  ) = (
    excluded.company_name, excluded.company_email, excluded.company_phone, excluded.status,
    excluded.bc_customer_group_id, excluded.bc_customer_group_name, excluded.catalog_id, excluded.catalog_name,
    excluded.parent_company_id, excluded.parent_company_name, excluded.price_lists, excluded.external_uuid,
    excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.raw, now()
  )
  where (
    t.company_name, t.company_email, t.company_phone, t.status, t.bc_customer_group_id,
    t.bc_customer_group_name, t.catalog_id, t.catalog_name, t.parent_company_id, t.parent_company_name,
    t.price_lists, t.external_uuid, t.extra_fields, t.created_at, t.updated_at, t.raw
  ) is distinct from (
    excluded.company_name, excluded.company_email, excluded.company_phone, excluded.status,
    excluded.bc_customer_group_id, excluded.bc_customer_group_name, excluded.catalog_id, excluded.catalog_name,
    excluded.parent_company_id, excluded.parent_company_name, excluded.price_lists, excluded.external_uuid,
    excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.company_id
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
  select is_new, is_outdated, exists (select from written w where w.company_id = m.company_id) as is_written
  from merged m
) as outcome
