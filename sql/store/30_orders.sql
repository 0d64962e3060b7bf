-- Orders. One row per core order, filled from two APIs that know different halves of it:
--   core V2   GET /v2/orders/{id}      money, status, buyer, lines                    → raw,     clock updated_at
--   B2B       GET /orders/{bcOrderId}  company, PO number, invoice, its own order id  → b2b_raw, clock b2b_updated_at
-- Each half has its own change time, so neither can make the other look old.
create table if not exists store.orders (
  bc_order_id bigint primary key,
  b2b_order_id bigint,
  company_id bigint,
  bc_customer_id bigint,
  status_id smallint,
  status text,
  custom_status text,
  payment_method text,
  payment_provider_id text,
  payment_status text,
  currency_code text,
  paid_currency_code text,
  store_currency_code text,
  store_exchange_rate numeric(20,10),
  subtotal_ex_tax numeric(20,4),
  subtotal_inc_tax numeric(20,4),
  shipping_cost_ex_tax numeric(20,4),
  shipping_cost_inc_tax numeric(20,4),
  discount_amount numeric(20,4),
  coupon_discount numeric(20,4),
  store_credit_amount numeric(20,4),
  gift_certificate_amount numeric(20,4),
  refunded_amount numeric(20,4),
  total_tax numeric(20,4),
  total_ex_tax numeric(20,4),
  total numeric(20,4),
  items_total integer,
  items_shipped integer,
  po_number text,
  billing_name text,
  billing_company text,
  billing_email text,
  billing_phone text,
  billing_country_iso2 text,
  channel_id bigint,
  cart_id text,
  order_source text,
  external_id text,
  external_order_id text,
  external_source text,
  staff_notes text,
  customer_message text,
  is_deleted boolean,
  is_invoice_order boolean,
  invoice_id bigint,
  invoice_number text,
  invoice_status smallint,
  extra_fields jsonb,
  placed_at timestamptz,
  shipped_at timestamptz,
  updated_at timestamptz,
  b2b_updated_at timestamptz,
  raw jsonb,
  b2b_raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists orders_company_idx on store.orders (company_id, placed_at);
create index if not exists orders_customer_idx on store.orders (bc_customer_id, placed_at);
create index if not exists orders_status_idx on store.orders (status_id);
create index if not exists orders_placed_at_idx on store.orders (placed_at);
create index if not exists orders_updated_at_idx on store.orders (updated_at);
create index if not exists orders_b2b_order_idx on store.orders (b2b_order_id);

comment on table store.orders is
  'Orders. Source: GET /v2/orders (core) and GET /api/v3/io/orders (B2B view), merged by the core id. Lines: store.order_items.';
comment on column store.orders.bc_order_id is 'Core order id, the number the buyer sees (core: id; B2B: bcOrderId).';
comment on column store.orders.b2b_order_id is 'B2B Edition''s own order id (B2B: id). Creating an invoice from an order asks for this one.';
comment on column store.orders.company_id is
  'store.companies.company_id (B2B: companyId; 0 is stored as NULL). Before the B2B half arrives, join company_users on bc_customer_id.';
comment on column store.orders.bc_customer_id is 'Core customer (customer_id; 0, a guest, is stored as NULL): store.company_users.bc_customer_id.';
comment on column store.orders.status_id is
  'Core code: 0 Incomplete, 1 Pending, 2 Shipped, 3 Partially Shipped, 4 Refunded, 5 Cancelled, 6 Declined, 7 Awaiting Payment, 8 Awaiting Pickup, 9 Awaiting Shipment, 10 Completed, 11 Awaiting Fulfillment, 12 Manual Verification Required, 13 Disputed, 14 Partially Refunded. From the core half only.';
comment on column store.orders.status is 'System label of status_id as sent (status); key on status_id, stores may rename labels.';
comment on column store.orders.custom_status is 'Label as renamed by the store (custom_status).';
comment on column store.orders.payment_method is 'Name of the payment method shown to the buyer (payment_method).';
comment on column store.orders.payment_provider_id is 'Transaction reference of the payment provider (payment_provider_id).';
comment on column store.orders.payment_status is
  'authorized, captured, capture pending, declined, held for review, paid, partially refunded, pending, refunded, void, void pending; "" is stored as NULL.';
comment on column store.orders.currency_code is 'ISO 4217 code shown to the buyer (currency_code).';
comment on column store.orders.paid_currency_code is 'ISO 4217 code the buyer paid in, and of every amount here (default_currency_code).';
comment on column store.orders.store_currency_code is 'ISO 4217 code of the store (store_default_currency_code).';
comment on column store.orders.store_exchange_rate is
  'store_default_to_transactional_exchange_rate: units of paid_currency_code per unit of store_currency_code.';
comment on column store.orders.subtotal_ex_tax is 'Lines without tax, in paid_currency_code.';
comment on column store.orders.subtotal_inc_tax is 'Lines with tax, in paid_currency_code.';
comment on column store.orders.shipping_cost_ex_tax is 'Shipping without tax, in paid_currency_code.';
comment on column store.orders.shipping_cost_inc_tax is 'Shipping with tax, in paid_currency_code.';
comment on column store.orders.discount_amount is 'Manual and automatic discounts, in paid_currency_code.';
comment on column store.orders.coupon_discount is 'Coupon discounts, in paid_currency_code.';
comment on column store.orders.store_credit_amount is 'Paid by store credit, in paid_currency_code.';
comment on column store.orders.gift_certificate_amount is 'Paid by gift certificates, in paid_currency_code.';
comment on column store.orders.refunded_amount is 'Refunded so far, in paid_currency_code.';
comment on column store.orders.total_tax is 'Tax, in paid_currency_code.';
comment on column store.orders.total_ex_tax is 'Total without tax, in paid_currency_code.';
comment on column store.orders.total is 'Total with tax, in paid_currency_code (total_inc_tax). From the core half only.';
comment on column store.orders.items_total is 'Pieces ordered (items_total).';
comment on column store.orders.items_shipped is 'Pieces shipped (items_shipped).';
comment on column store.orders.po_number is 'The buyer''s purchase order number (B2B: poNumber).';
comment on column store.orders.billing_name is 'billing_address first_name and last_name.';
comment on column store.orders.billing_company is 'billing_address.company; free text, not the B2B company.';
comment on column store.orders.billing_email is 'billing_address.email.';
comment on column store.orders.billing_phone is 'billing_address.phone.';
comment on column store.orders.billing_country_iso2 is 'billing_address.country_iso2.';
comment on column store.orders.channel_id is 'Storefront channel (channel_id).';
comment on column store.orders.cart_id is 'Cart the order came from, a UUID as text (cart_id).';
comment on column store.orders.order_source is 'www, manual, checkout_api, external, … (order_source).';
comment on column store.orders.external_id is 'external_id: reserved by BigCommerce for its own integrations.';
comment on column store.orders.external_order_id is 'Order id in another system, e.g. an ERP; may be changed later (external_order_id).';
comment on column store.orders.external_source is 'external_source.';
comment on column store.orders.staff_notes is 'Note not shown to the buyer (staff_notes).';
comment on column store.orders.customer_message is 'The buyer''s message at checkout (customer_message).';
comment on column store.orders.is_deleted is 'Archived in the control panel (is_deleted).';
comment on column store.orders.is_invoice_order is 'The order pays an invoice (B2B detail: isInvoiceOrder 0/1).';
comment on column store.orders.invoice_id is 'store.invoices.invoice_id (B2B detail: invoiceId).';
comment on column store.orders.invoice_number is 'B2B detail: invoiceNumber.';
comment on column store.orders.invoice_status is 'B2B detail: invoiceStatus; 0 Open, 1 Partially paid, 2 Paid.';
comment on column store.orders.extra_fields is 'B2B extra fields as one object {"field name": "value"} (extraFields[]).';
comment on column store.orders.placed_at is 'When the order was placed (date_created, RFC 2822).';
comment on column store.orders.shipped_at is 'date_shipped, RFC 2822; the API''s "" for never is NULL.';
comment on column store.orders.updated_at is 'Core date_modified. An older core payload never overwrites a newer row.';
comment on column store.orders.b2b_updated_at is 'B2B updatedAt. An older B2B payload never overwrites a newer row.';
comment on column store.orders.raw is 'The core payload as it came; NULL while only the B2B half is known.';
comment on column store.orders.b2b_raw is 'The B2B payload as it came; NULL while only the core half is known.';
comment on column store.orders.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.orders to tradeflow_sync;
