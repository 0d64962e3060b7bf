-- Price lists V3 (GET /v3/pricelists, …/assignments, …/{id}/records): other prices for customer groups.
create table if not exists store.price_lists (
  price_list_id bigint primary key,
  name text,
  is_active boolean,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now()
);
comment on table store.price_lists is 'Price lists. Source: GET /v3/pricelists.';
comment on column store.price_lists.price_list_id is 'Core price list id (id): store.companies.catalog_id.';
comment on column store.price_lists.name is 'name.';
comment on column store.price_lists.is_active is 'active: an inactive list gives nobody a price.';
comment on column store.price_lists.created_at is 'date_created (ISO 8601).';
comment on column store.price_lists.updated_at is 'date_modified (ISO 8601).';
comment on column store.price_lists.raw is 'The payload as it came.';
comment on column store.price_lists.synced_at is 'When this row was last changed by the sync.';

create table if not exists store.price_list_assignments (
  assignment_id bigint primary key,
  price_list_id bigint not null,
  bc_customer_group_id bigint,
  channel_id bigint,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists price_list_assignments_list_idx on store.price_list_assignments (price_list_id);
create index if not exists price_list_assignments_group_idx on store.price_list_assignments (bc_customer_group_id);
comment on table store.price_list_assignments is 'Which customer group has which price list. Source: GET /v3/pricelists/assignments.';
comment on column store.price_list_assignments.assignment_id is 'id.';
comment on column store.price_list_assignments.price_list_id is 'store.price_lists.price_list_id.';
comment on column store.price_list_assignments.bc_customer_group_id is 'customer_group_id: store.companies.bc_customer_group_id. NULL: everybody on the channel.';
comment on column store.price_list_assignments.channel_id is 'channel_id.';
comment on column store.price_list_assignments.raw is 'The assignment as it came.';
comment on column store.price_list_assignments.synced_at is 'When this row was last changed by the sync.';

create table if not exists store.price_list_records (
  price_list_id bigint not null,
  variant_id bigint not null,
  currency text not null,
  sku text,
  price numeric(20,4),
  sale_price numeric(20,4),
  retail_price numeric(20,4),
  map_price numeric(20,4),
  bulk_pricing_tiers jsonb,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now(),
  primary key (price_list_id, variant_id, currency)
);
create index if not exists price_list_records_variant_idx on store.price_list_records (variant_id);
comment on table store.price_list_records is 'Prices of variants in price lists. Source: GET /v3/pricelists/{id}/records. No price: the list leaves it to the catalog.';
comment on column store.price_list_records.price_list_id is 'store.price_lists.price_list_id.';
comment on column store.price_list_records.variant_id is 'store.variants.variant_id.';
comment on column store.price_list_records.currency is 'ISO 4217 code in lower case, as the API writes it here.';
comment on column store.price_list_records.sku is 'sku of the variant, where sent.';
comment on column store.price_list_records.price is 'Price, in currency (price). NULL: not set.';
comment on column store.price_list_records.sale_price is 'Sale price, in currency (sale_price). NULL: not set.';
comment on column store.price_list_records.retail_price is 'Recommended price, in currency (retail_price). NULL: not set.';
comment on column store.price_list_records.map_price is 'Minimum advertised price, in currency (map_price). NULL: not set.';
comment on column store.price_list_records.bulk_pricing_tiers is 'bulk_pricing_tiers as sent: [{quantity_min, quantity_max, type, amount}].';
comment on column store.price_list_records.created_at is 'date_created (ISO 8601).';
comment on column store.price_list_records.updated_at is 'date_modified (ISO 8601).';
comment on column store.price_list_records.raw is 'The payload as it came.';
comment on column store.price_list_records.synced_at is 'When this row was last changed by the sync.';

grant select, insert, update, delete on store.price_lists, store.price_list_assignments, store.price_list_records to tradeflow_sync;
