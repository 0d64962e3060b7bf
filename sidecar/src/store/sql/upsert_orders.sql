-- Upserts a batch of orders. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with bc_order_id and any other columns; `lines`, where present, replaces the lines.
with incoming as (
  select (item ->> 'bc_order_id')::bigint as bc_order_id, item
  from pg_temp.incoming
),
merged as (
  select t.bc_order_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at or (i.item ->> 'b2b_updated_at')::timestamptz < t.b2b_updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.orders t using (bc_order_id)
  cross join lateral jsonb_populate_record(
    t, i.item || jsonb_build_object(
      'raw', store.merge_raw(t.raw, i.item -> 'raw'),
      'b2b_raw', store.merge_raw(t.b2b_raw, i.item -> 'b2b_raw')
    )
  ) r
),
written as (
  insert into store.orders as t (
    bc_order_id, b2b_order_id, company_id, bc_customer_id, status_id, status, custom_status, payment_method,
    payment_provider_id, payment_status, currency_code, paid_currency_code, store_currency_code,
    store_exchange_rate, subtotal_ex_tax, subtotal_inc_tax, shipping_cost_ex_tax, shipping_cost_inc_tax,
    discount_amount, coupon_discount, store_credit_amount, gift_certificate_amount, refunded_amount, total_tax,
    total_ex_tax, total, items_total, items_shipped, po_number, billing_name, billing_company, billing_email,
    billing_phone, billing_country_iso2, channel_id, cart_id, order_source, external_id, external_order_id,
    external_source, staff_notes, customer_message, is_deleted, is_invoice_order, invoice_id, invoice_number,
    invoice_status, extra_fields, placed_at, shipped_at, updated_at, b2b_updated_at, raw, b2b_raw
  )
  select
    bc_order_id, b2b_order_id, company_id, bc_customer_id, status_id, status, custom_status, payment_method,
    payment_provider_id, payment_status, currency_code, paid_currency_code, store_currency_code,
    store_exchange_rate, subtotal_ex_tax, subtotal_inc_tax, shipping_cost_ex_tax, shipping_cost_inc_tax,
    discount_amount, coupon_discount, store_credit_amount, gift_certificate_amount, refunded_amount, total_tax,
    total_ex_tax, total, items_total, items_shipped, po_number, billing_name, billing_company, billing_email,
    billing_phone, billing_country_iso2, channel_id, cart_id, order_source, external_id, external_order_id,
    external_source, staff_notes, customer_message, is_deleted, is_invoice_order, invoice_id, invoice_number,
    invoice_status, extra_fields, placed_at, shipped_at, updated_at, b2b_updated_at, raw, b2b_raw
  from merged
  where not is_outdated
  on conflict (bc_order_id) do update set (
    b2b_order_id, company_id, bc_customer_id, status_id, status, custom_status, payment_method,
    payment_provider_id, payment_status, currency_code, paid_currency_code, store_currency_code,
    store_exchange_rate, subtotal_ex_tax, subtotal_inc_tax, shipping_cost_ex_tax, shipping_cost_inc_tax,
    discount_amount, coupon_discount, store_credit_amount, gift_certificate_amount, refunded_amount, total_tax,
    total_ex_tax, total, items_total, items_shipped, po_number, billing_name, billing_company, billing_email,
    billing_phone, billing_country_iso2, channel_id, cart_id, order_source, external_id, external_order_id,
    external_source, staff_notes, customer_message, is_deleted, is_invoice_order, invoice_id, invoice_number,
    invoice_status, extra_fields, placed_at, shipped_at, updated_at, b2b_updated_at, raw, b2b_raw, synced_at
  ) = (
    excluded.b2b_order_id, excluded.company_id, excluded.bc_customer_id, excluded.status_id, excluded.status,
    excluded.custom_status, excluded.payment_method, excluded.payment_provider_id, excluded.payment_status,
    excluded.currency_code, excluded.paid_currency_code, excluded.store_currency_code,
    excluded.store_exchange_rate, excluded.subtotal_ex_tax, excluded.subtotal_inc_tax,
    excluded.shipping_cost_ex_tax, excluded.shipping_cost_inc_tax, excluded.discount_amount,
    excluded.coupon_discount, excluded.store_credit_amount, excluded.gift_certificate_amount,
    excluded.refunded_amount, excluded.total_tax, excluded.total_ex_tax, excluded.total, excluded.items_total,
    excluded.items_shipped, excluded.po_number, excluded.billing_name, excluded.billing_company,
    excluded.billing_email, excluded.billing_phone, excluded.billing_country_iso2, excluded.channel_id,
    excluded.cart_id, excluded.order_source, excluded.external_id, excluded.external_order_id,
    excluded.external_source, excluded.staff_notes, excluded.customer_message, excluded.is_deleted,
    excluded.is_invoice_order, excluded.invoice_id, excluded.invoice_number, excluded.invoice_status,
    excluded.extra_fields, excluded.placed_at, excluded.shipped_at, excluded.updated_at,
    excluded.b2b_updated_at, excluded.raw, excluded.b2b_raw, now()
  )
  where (
    t.b2b_order_id, t.company_id, t.bc_customer_id, t.status_id, t.status, t.custom_status, t.payment_method,
    t.payment_provider_id, t.payment_status, t.currency_code, t.paid_currency_code, t.store_currency_code,
    t.store_exchange_rate, t.subtotal_ex_tax, t.subtotal_inc_tax, t.shipping_cost_ex_tax,
    t.shipping_cost_inc_tax, t.discount_amount, t.coupon_discount, t.store_credit_amount,
    t.gift_certificate_amount, t.refunded_amount, t.total_tax, t.total_ex_tax, t.total, t.items_total,
    t.items_shipped, t.po_number, t.billing_name, t.billing_company, t.billing_email, t.billing_phone,
    t.billing_country_iso2, t.channel_id, t.cart_id, t.order_source, t.external_id, t.external_order_id,
    t.external_source, t.staff_notes, t.customer_message, t.is_deleted, t.is_invoice_order, t.invoice_id,
    t.invoice_number, t.invoice_status, t.extra_fields, t.placed_at, t.shipped_at, t.updated_at,
    t.b2b_updated_at, t.raw, t.b2b_raw
  ) is distinct from (
    excluded.b2b_order_id, excluded.company_id, excluded.bc_customer_id, excluded.status_id, excluded.status,
    excluded.custom_status, excluded.payment_method, excluded.payment_provider_id, excluded.payment_status,
    excluded.currency_code, excluded.paid_currency_code, excluded.store_currency_code,
    excluded.store_exchange_rate, excluded.subtotal_ex_tax, excluded.subtotal_inc_tax,
    excluded.shipping_cost_ex_tax, excluded.shipping_cost_inc_tax, excluded.discount_amount,
    excluded.coupon_discount, excluded.store_credit_amount, excluded.gift_certificate_amount,
    excluded.refunded_amount, excluded.total_tax, excluded.total_ex_tax, excluded.total, excluded.items_total,
    excluded.items_shipped, excluded.po_number, excluded.billing_name, excluded.billing_company,
    excluded.billing_email, excluded.billing_phone, excluded.billing_country_iso2, excluded.channel_id,
    excluded.cart_id, excluded.order_source, excluded.external_id, excluded.external_order_id,
    excluded.external_source, excluded.staff_notes, excluded.customer_message, excluded.is_deleted,
    excluded.is_invoice_order, excluded.invoice_id, excluded.invoice_number, excluded.invoice_status,
    excluded.extra_fields, excluded.placed_at, excluded.shipped_at, excluded.updated_at,
    excluded.b2b_updated_at, excluded.raw, excluded.b2b_raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  and (excluded.b2b_updated_at < t.b2b_updated_at) is not true
  returning t.bc_order_id
),
incoming_lines as (
  select l.*
  from merged m
  cross join lateral jsonb_array_elements(m.item -> 'lines') as line
  cross join lateral jsonb_populate_record(null::store.order_items, line || jsonb_build_object('bc_order_id', m.bc_order_id)) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.order_items d
  using merged m
  where d.bc_order_id = m.bc_order_id and not m.is_outdated and m.item ? 'lines'
    and not exists (select from incoming_lines l where l.order_item_id = d.order_item_id)
  returning 1
),
written_lines as (
  insert into store.order_items as t (
    order_item_id, bc_order_id, product_id, variant_id, sku, product_name, quantity, quantity_shipped,
    quantity_refunded, base_price, price_ex_tax, price_inc_tax, cost_price, total_tax, total_ex_tax,
    total_inc_tax, refund_amount, is_refunded, parent_order_item_id, options, raw
  )
  select
    order_item_id, bc_order_id, product_id, variant_id, sku, product_name, quantity, quantity_shipped,
    quantity_refunded, base_price, price_ex_tax, price_inc_tax, cost_price, total_tax, total_ex_tax,
    total_inc_tax, refund_amount, is_refunded, parent_order_item_id, options, raw
  from incoming_lines
  on conflict (order_item_id) do update set (
    bc_order_id, product_id, variant_id, sku, product_name, quantity, quantity_shipped, quantity_refunded,
    base_price, price_ex_tax, price_inc_tax, cost_price, total_tax, total_ex_tax, total_inc_tax, refund_amount,
    is_refunded, parent_order_item_id, options, raw, synced_at
  ) = (
    excluded.bc_order_id, excluded.product_id, excluded.variant_id, excluded.sku, excluded.product_name,
    excluded.quantity, excluded.quantity_shipped, excluded.quantity_refunded, excluded.base_price,
    excluded.price_ex_tax, excluded.price_inc_tax, excluded.cost_price, excluded.total_tax,
    excluded.total_ex_tax, excluded.total_inc_tax, excluded.refund_amount, excluded.is_refunded,
    excluded.parent_order_item_id, excluded.options, excluded.raw, now()
  )
  where (
    t.bc_order_id, t.product_id, t.variant_id, t.sku, t.product_name, t.quantity, t.quantity_shipped,
    t.quantity_refunded, t.base_price, t.price_ex_tax, t.price_inc_tax, t.cost_price, t.total_tax,
    t.total_ex_tax, t.total_inc_tax, t.refund_amount, t.is_refunded, t.parent_order_item_id, t.options, t.raw
  ) is distinct from (
    excluded.bc_order_id, excluded.product_id, excluded.variant_id, excluded.sku, excluded.product_name,
    excluded.quantity, excluded.quantity_shipped, excluded.quantity_refunded, excluded.base_price,
    excluded.price_ex_tax, excluded.price_inc_tax, excluded.cost_price, excluded.total_tax,
    excluded.total_ex_tax, excluded.total_inc_tax, excluded.refund_amount, excluded.is_refunded,
    excluded.parent_order_item_id, excluded.options, excluded.raw
  )
  returning t.order_item_id
),
known_lines as (
  select w.order_item_id
  from written_lines w join store.order_items t using (order_item_id)
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
  select is_new, is_outdated, exists (select from written w where w.bc_order_id = m.bc_order_id) as is_written
  from merged m
) as outcome
