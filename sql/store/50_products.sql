-- Catalog V3 products and variants (GET /v3/catalog/products?include=variants). Prices are in the store's currency.
create table if not exists store.products (
  product_id bigint primary key,
  name text,
  sku text,
  type text,
  price numeric(20,4),
  cost_price numeric(20,4),
  retail_price numeric(20,4),
  sale_price numeric(20,4),
  category_ids bigint[],
  brand_id bigint,
  is_visible boolean,
  availability text,
  inventory_level integer,
  inventory_tracking text,
  order_quantity_minimum integer,
  order_quantity_maximum integer,
  custom_fields jsonb,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists products_sku_idx on store.products (sku);
create index if not exists products_category_idx on store.products using gin (category_ids);
create index if not exists products_updated_at_idx on store.products (updated_at);

comment on table store.products is 'Catalog products. Source: GET /v3/catalog/products.';
comment on column store.products.product_id is 'Core product id (id).';
comment on column store.products.name is 'name.';
comment on column store.products.sku is 'SKU of the base product (sku); variants have their own.';
comment on column store.products.type is 'physical or digital (type).';
comment on column store.products.price is 'Default price, in the store''s currency (price).';
comment on column store.products.cost_price is 'Cost, in the store''s currency (cost_price).';
comment on column store.products.retail_price is 'Recommended price, in the store''s currency (retail_price); 0 = not set.';
comment on column store.products.sale_price is 'Sale price, in the store''s currency (sale_price); 0 = not set.';
comment on column store.products.category_ids is 'Categories (categories), for limits set per category.';
comment on column store.products.brand_id is 'brand_id; 0 = none.';
comment on column store.products.is_visible is 'Shown on the storefront (is_visible).';
comment on column store.products.availability is 'available, disabled or preorder (availability).';
comment on column store.products.inventory_level is 'Pieces available to sell (inventory_level).';
comment on column store.products.inventory_tracking is 'none, product or variant (inventory_tracking).';
comment on column store.products.order_quantity_minimum is 'Least pieces per order (order_quantity_minimum); 0 = no limit.';
comment on column store.products.order_quantity_maximum is 'Most pieces per order (order_quantity_maximum); 0 = no limit.';
comment on column store.products.custom_fields is 'Custom fields as one object {"name": "value"} (custom_fields[]).';
comment on column store.products.created_at is 'date_created (ISO 8601).';
comment on column store.products.updated_at is 'date_modified (ISO 8601).';
comment on column store.products.raw is 'The payload as it came.';
comment on column store.products.synced_at is 'When this row was last changed by the sync.';

create table if not exists store.variants (
  variant_id bigint primary key,
  product_id bigint not null,
  sku text,
  price numeric(20,4),
  calculated_price numeric(20,4),
  cost_price numeric(20,4),
  retail_price numeric(20,4),
  sale_price numeric(20,4),
  inventory_level integer,
  purchasing_disabled boolean,
  option_values jsonb,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists variants_product_idx on store.variants (product_id);
create index if not exists variants_sku_idx on store.variants (sku);

comment on table store.variants is 'Product variants. Source: GET /v3/catalog/variants, or variants of a product. No change time of their own.';
comment on column store.variants.variant_id is 'Core variant id (id).';
comment on column store.variants.product_id is 'store.products.product_id (product_id).';
comment on column store.variants.sku is 'sku.';
comment on column store.variants.price is 'Own price, in the store''s currency (price). NULL: inherits the product''s.';
comment on column store.variants.calculated_price is 'Price in effect without price lists (calculated_price).';
comment on column store.variants.cost_price is 'Cost, in the store''s currency (cost_price). NULL: inherits the product''s.';
comment on column store.variants.retail_price is 'Recommended price (retail_price). NULL: inherits the product''s.';
comment on column store.variants.sale_price is 'Sale price (sale_price). NULL: inherits the product''s.';
comment on column store.variants.inventory_level is 'Pieces available to sell (inventory_level).';
comment on column store.variants.purchasing_disabled is 'Cannot be bought (purchasing_disabled).';
comment on column store.variants.option_values is 'option_values as sent: [{id, label, option_id, option_display_name}].';
comment on column store.variants.raw is 'The payload as it came.';
comment on column store.variants.synced_at is 'When this row was last changed by the sync.';

grant select, insert, update, delete on store.products, store.variants to tradeflow_sync;
