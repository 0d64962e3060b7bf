-- Lines of a quote (productList of GET /rfq/{quote_id}). The API gives a line no id, and PUT replaces the whole list,
-- so the loader names each line itself, from what the line *is* and not from where it stands:
--
--   line_key = <item>[-<options>][#<n>]
--     item     v<variantId>; else p<productId>; else s<sku>; else n<product name>      (0 and "" count as absent)
--     options  first 12 hex digits of SHA-256 over the chosen options, each "optionId=optionValue", sorted, joined
--              with a line feed; left out when the line has none. Labels do not count: a rename is no new line.
--     n        2, 3, … for further lines with the same item and options; such twins are ordered by base price,
--              offered price, quantity, then by their payload, so that their order in the list does not matter.
--
-- It survives re-ordering, changed prices and quantities, renamed products and SKUs. What it cannot tell: which of
-- two twins was edited; then the pair may swap keys and both count as changed.
-- Same payload, same keys: nothing depends on what was stored before.
create table if not exists store.quote_items (
  quote_id bigint not null,
  line_key text not null,
  position integer,
  product_id bigint,
  variant_id bigint,
  sku text,
  product_name text,
  quantity integer,
  base_price numeric(20,4),
  discount numeric(20,4),
  offered_price numeric(20,4),
  cost_price numeric(20,4),
  order_quantity_minimum integer,
  order_quantity_maximum integer,
  is_custom boolean,
  options jsonb,
  raw jsonb,
  synced_at timestamptz not null default now(),
  primary key (quote_id, line_key)
);
create index if not exists quote_items_variant_idx on store.quote_items (variant_id);
create index if not exists quote_items_product_idx on store.quote_items (product_id);
create index if not exists quote_items_sku_idx on store.quote_items (sku);

comment on table store.quote_items is
  'Lines of quotes. Source: productList of GET /api/v3/io/rfq/{quote_id}. Lines that a newer payload no longer has are deleted.';
comment on column store.quote_items.quote_id is 'store.quotes.quote_id.';
comment on column store.quote_items.line_key is
  'Our stable key of the line: v<variant>, p<product>, s<sku> or n<name>, then -<hash of chosen options>, then #<n> for twins.';
comment on column store.quote_items.position is 'Place in the payload, from 1; for display only. Not watched: re-ordering lines is no change.';
comment on column store.quote_items.product_id is 'Core product (productId): store.products.product_id.';
comment on column store.quote_items.variant_id is 'Core variant (variantId): store.variants.variant_id.';
comment on column store.quote_items.sku is 'sku.';
comment on column store.quote_items.product_name is 'productName.';
comment on column store.quote_items.quantity is 'Pieces (quantity).';
comment on column store.quote_items.base_price is 'Unit price before discounts, in the quote''s currency_code (basePrice).';
comment on column store.quote_items.discount is
  'discount as sent; documented as percent, seen as an amount. Compare offered_price with base_price instead.';
comment on column store.quote_items.offered_price is 'Unit price offered to the buyer, in the quote''s currency_code (offeredPrice).';
comment on column store.quote_items.cost_price is 'Unit cost, in the quote''s currency_code (costPrice), where sent.';
comment on column store.quote_items.order_quantity_minimum is 'Least pieces that may be ordered (orderQuantityMinimum); 0 = no limit.';
comment on column store.quote_items.order_quantity_maximum is 'Most pieces that may be ordered (orderQuantityMaximum); 0 = no limit.';
comment on column store.quote_items.is_custom is 'True for a custom item outside the usual purchase checks (purchaseHandled, purchasedHandled).';
comment on column store.quote_items.options is 'Chosen options as sent: [{optionId, optionName, optionValue, optionLabel}].';
comment on column store.quote_items.raw is 'The productList element as it came.';
comment on column store.quote_items.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.quote_items to tradeflow_sync;
