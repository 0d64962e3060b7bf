-- Lines of core orders (GET /v2/orders/{id}/products, or inlined consignments.line_items). These have ids of their own.
create table if not exists store.order_items (
  order_item_id bigint primary key,
  bc_order_id bigint not null,
  product_id bigint,
  variant_id bigint,
  sku text,
  product_name text,
  quantity integer,
  quantity_shipped integer,
  quantity_refunded integer,
  base_price numeric(20,4),
  price_ex_tax numeric(20,4),
  price_inc_tax numeric(20,4),
  cost_price numeric(20,4),
  total_tax numeric(20,4),
  total_ex_tax numeric(20,4),
  total_inc_tax numeric(20,4),
  refund_amount numeric(20,4),
  is_refunded boolean,
  parent_order_item_id bigint,
  options jsonb,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists order_items_order_idx on store.order_items (bc_order_id);
create index if not exists order_items_variant_idx on store.order_items (variant_id);
create index if not exists order_items_product_idx on store.order_items (product_id);

comment on table store.order_items is
  'Lines of orders. Source: products (or consignments line_items) of a core V2 order. Lines that a newer payload no longer has are deleted.';
comment on column store.order_items.order_item_id is 'Id of the order line (id of an order product), unique in the store.';
comment on column store.order_items.bc_order_id is 'store.orders.bc_order_id (order_id).';
comment on column store.order_items.product_id is 'Core product (product_id; NULL for custom items): store.products.product_id.';
comment on column store.order_items.variant_id is 'Core variant (variant_id): store.variants.variant_id.';
comment on column store.order_items.sku is 'sku.';
comment on column store.order_items.product_name is 'name.';
comment on column store.order_items.quantity is 'Pieces ordered (quantity).';
comment on column store.order_items.quantity_shipped is 'Pieces shipped (quantity_shipped).';
comment on column store.order_items.quantity_refunded is 'Pieces refunded (quantity_refunded).';
comment on column store.order_items.base_price is 'Unit price as entered in the catalog, in the order''s paid_currency_code (base_price).';
comment on column store.order_items.price_ex_tax is 'Unit price without tax, in the order''s paid_currency_code.';
comment on column store.order_items.price_inc_tax is 'Unit price with tax, in the order''s paid_currency_code.';
comment on column store.order_items.cost_price is 'Unit cost (base_cost_price).';
comment on column store.order_items.total_tax is 'Tax of the line, in the order''s paid_currency_code.';
comment on column store.order_items.total_ex_tax is 'Line total without tax, in the order''s paid_currency_code.';
comment on column store.order_items.total_inc_tax is 'Line total with tax, in the order''s paid_currency_code.';
comment on column store.order_items.refund_amount is 'Refunded for this line so far.';
comment on column store.order_items.is_refunded is 'is_refunded.';
comment on column store.order_items.parent_order_item_id is 'The line this one is bundled with (parent_order_product_id).';
comment on column store.order_items.options is 'product_options as sent: [{id, option_id, display_name, display_value, value, …}].';
comment on column store.order_items.raw is 'The order product as it came.';
comment on column store.order_items.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.order_items to tradeflow_sync;
