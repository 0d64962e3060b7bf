-- Upserts a batch of invoices. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with invoice_id and any other columns.
with incoming as (
  select (item ->> 'invoice_id')::bigint as invoice_id, item
  from pg_temp.incoming
),
merged as (
  select t.invoice_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.invoices t using (invoice_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.invoices as t (
    invoice_id, company_id, invoice_number, type, status, order_number, purchase_order_number,
    currency_code, original_balance, open_balance, is_pending_payment, source, external_id,
    external_customer_id, due_at, created_at, updated_at, raw
  )
  select
    invoice_id, company_id, invoice_number, type, status, order_number, purchase_order_number,
    currency_code, original_balance, open_balance, is_pending_payment, source, external_id,
    external_customer_id, due_at, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (invoice_id) do update set (
    company_id, invoice_number, type, status, order_number, purchase_order_number, currency_code,
    original_balance, open_balance, is_pending_payment, source, external_id, external_customer_id, due_at,
    created_at, updated_at, raw, synced_at
  ) = (
    excluded.company_id, excluded.invoice_number, excluded.type, excluded.status, excluded.order_number,
    excluded.purchase_order_number, excluded.currency_code, excluded.original_balance,
    excluded.open_balance, excluded.is_pending_payment, excluded.source, excluded.external_id,
    excluded.external_customer_id, excluded.due_at, excluded.created_at, excluded.updated_at, excluded.raw,
    now()
  )
  where (
    t.company_id, t.invoice_number, t.type, t.status, t.order_number, t.purchase_order_number,
    t.currency_code, t.original_balance, t.open_balance, t.is_pending_payment, t.source, t.external_id,
    t.external_customer_id, t.due_at, t.created_at, t.updated_at, t.raw
  ) is distinct from (
    excluded.company_id, excluded.invoice_number, excluded.type, excluded.status, excluded.order_number,
    excluded.purchase_order_number, excluded.currency_code, excluded.original_balance,
    excluded.open_balance, excluded.is_pending_payment, excluded.source, excluded.external_id,
    excluded.external_customer_id, excluded.due_at, excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.invoice_id
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
  select is_new, is_outdated, exists (select from written w where w.invoice_id = m.invoice_id) as is_written
  from merged m
) as outcome
