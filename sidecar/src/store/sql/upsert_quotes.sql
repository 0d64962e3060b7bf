-- Upserts a batch of quotes. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with quote_id and any other columns; `lines`, where present, replaces the lines.
with incoming as (
  select (item ->> 'quote_id')::bigint as quote_id, item
  from pg_temp.incoming
),
merged as (
  select t.quote_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.quotes t using (quote_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.quotes as t (
    quote_id, quote_uuid, quote_number, quote_title, reference_number, status, company_id, company_name,
    contact_name, contact_email, contact_phone, created_by, recipients, sales_rep_name, sales_rep_email,
    sales_rep_phone, currency_code, currency_exchange_rate, subtotal, discount, discount_type, discount_value,
    shipping_total, tax_total, total_amount, grand_total, allow_checkout, display_discount, shipping_method,
    notes, legal_terms, bc_order_id, b2b_order_id, channel_id, channel_name, extra_fields, created_at,
    updated_at, expired_at, raw
  )
  select
    quote_id, quote_uuid, quote_number, quote_title, reference_number, status, company_id, company_name,
    contact_name, contact_email, contact_phone, created_by, recipients, sales_rep_name, sales_rep_email,
    sales_rep_phone, currency_code, currency_exchange_rate, subtotal, discount, discount_type, discount_value,
    shipping_total, tax_total, total_amount, grand_total, allow_checkout, display_discount, shipping_method,
    notes, legal_terms, bc_order_id, b2b_order_id, channel_id, channel_name, extra_fields, created_at,
    updated_at, expired_at, raw
  from merged
  where not is_outdated
  on conflict (quote_id) do update set (
    quote_uuid, quote_number, quote_title, reference_number, status, company_id, company_name, contact_name,
    contact_email, contact_phone, created_by, recipients, sales_rep_name, sales_rep_email, sales_rep_phone,
    currency_code, currency_exchange_rate, subtotal, discount, discount_type, discount_value, shipping_total,
    tax_total, total_amount, grand_total, allow_checkout, display_discount, shipping_method, notes, legal_terms,
    bc_order_id, b2b_order_id, channel_id, channel_name, extra_fields, created_at, updated_at, expired_at, raw,
    synced_at
  ) = (
    excluded.quote_uuid, excluded.quote_number, excluded.quote_title, excluded.reference_number,
    excluded.status, excluded.company_id, excluded.company_name, excluded.contact_name, excluded.contact_email,
    excluded.contact_phone, excluded.created_by, excluded.recipients, excluded.sales_rep_name,
    excluded.sales_rep_email, excluded.sales_rep_phone, excluded.currency_code, excluded.currency_exchange_rate,
    excluded.subtotal, excluded.discount, excluded.discount_type, excluded.discount_value,
    excluded.shipping_total, excluded.tax_total, excluded.total_amount, excluded.grand_total,
    excluded.allow_checkout, excluded.display_discount, excluded.shipping_method, excluded.notes,
    excluded.legal_terms, excluded.bc_order_id, excluded.b2b_order_id, excluded.channel_id,
    excluded.channel_name, excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.expired_at,
    excluded.raw, now()
  )
  where (
    t.quote_uuid, t.quote_number, t.quote_title, t.reference_number, t.status, t.company_id, t.company_name,
    t.contact_name, t.contact_email, t.contact_phone, t.created_by, t.recipients, t.sales_rep_name,
    t.sales_rep_email, t.sales_rep_phone, t.currency_code, t.currency_exchange_rate, t.subtotal, t.discount,
    t.discount_type, t.discount_value, t.shipping_total, t.tax_total, t.total_amount, t.grand_total,
    t.allow_checkout, t.display_discount, t.shipping_method, t.notes, t.legal_terms, t.bc_order_id,
    t.b2b_order_id, t.channel_id, t.channel_name, t.extra_fields, t.created_at, t.updated_at, t.expired_at,
    t.raw
  ) is distinct from (
    excluded.quote_uuid, excluded.quote_number, excluded.quote_title, excluded.reference_number,
    excluded.status, excluded.company_id, excluded.company_name, excluded.contact_name, excluded.contact_email,
    excluded.contact_phone, excluded.created_by, excluded.recipients, excluded.sales_rep_name,
    excluded.sales_rep_email, excluded.sales_rep_phone, excluded.currency_code, excluded.currency_exchange_rate,
    excluded.subtotal, excluded.discount, excluded.discount_type, excluded.discount_value,
    excluded.shipping_total, excluded.tax_total, excluded.total_amount, excluded.grand_total,
    excluded.allow_checkout, excluded.display_discount, excluded.shipping_method, excluded.notes,
    excluded.legal_terms, excluded.bc_order_id, excluded.b2b_order_id, excluded.channel_id,
    excluded.channel_name, excluded.extra_fields, excluded.created_at, excluded.updated_at, excluded.expired_at,
    excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.quote_id
),
incoming_lines as (
  select l.*
  from merged m
  cross join lateral jsonb_array_elements(m.item -> 'lines') as line
  cross join lateral jsonb_populate_record(null::store.quote_items, line || jsonb_build_object('quote_id', m.quote_id)) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.quote_items d
  using merged m
  where d.quote_id = m.quote_id and not m.is_outdated and m.item ? 'lines'
    and not exists (select from incoming_lines l where l.quote_id = d.quote_id and l.line_key = d.line_key)
  returning 1
),
written_lines as (
  insert into store.quote_items as t (
    quote_id, line_key, position, product_id, variant_id, sku, product_name, quantity, base_price, discount,
    offered_price, cost_price, order_quantity_minimum, order_quantity_maximum, is_custom, options, raw
  )
  select
    quote_id, line_key, position, product_id, variant_id, sku, product_name, quantity, base_price, discount,
    offered_price, cost_price, order_quantity_minimum, order_quantity_maximum, is_custom, options, raw
  from incoming_lines
  on conflict (quote_id, line_key) do update set (
    position, product_id, variant_id, sku, product_name, quantity, base_price, discount, offered_price,
    cost_price, order_quantity_minimum, order_quantity_maximum, is_custom, options, raw, synced_at
  ) = (
    excluded.position, excluded.product_id, excluded.variant_id, excluded.sku, excluded.product_name,
    excluded.quantity, excluded.base_price, excluded.discount, excluded.offered_price, excluded.cost_price,
    excluded.order_quantity_minimum, excluded.order_quantity_maximum, excluded.is_custom, excluded.options,
    excluded.raw, now()
  )
  where (
    t.position, t.product_id, t.variant_id, t.sku, t.product_name, t.quantity, t.base_price, t.discount,
    t.offered_price, t.cost_price, t.order_quantity_minimum, t.order_quantity_maximum, t.is_custom, t.options,
    t.raw
  ) is distinct from (
    excluded.position, excluded.product_id, excluded.variant_id, excluded.sku, excluded.product_name,
    excluded.quantity, excluded.base_price, excluded.discount, excluded.offered_price, excluded.cost_price,
    excluded.order_quantity_minimum, excluded.order_quantity_maximum, excluded.is_custom, excluded.options,
    excluded.raw
  )
  returning t.quote_id, t.line_key
),
known_lines as (
  select w.quote_id, w.line_key
  from written_lines w join store.quote_items t using (quote_id, line_key)
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
  select is_new, is_outdated, exists (select from written w where w.quote_id = m.quote_id) as is_written
  from merged m
) as outcome
