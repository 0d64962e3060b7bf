-- Upserts a batch of products. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with product_id and any other columns; `lines`, where present, replaces the lines.
with incoming as (
  select (item ->> 'product_id')::bigint as product_id, item
  from pg_temp.incoming
),
merged as (
  select t.product_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.products t using (product_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.products as t (
    product_id, name, sku, type, price, cost_price, retail_price, sale_price, category_ids, brand_id,
    is_visible, availability, inventory_level, inventory_tracking, order_quantity_minimum,
    order_quantity_maximum, custom_fields, created_at, updated_at, raw
  )
  select
    product_id, name, sku, type, price, cost_price, retail_price, sale_price, category_ids, brand_id,
    is_visible, availability, inventory_level, inventory_tracking, order_quantity_minimum,
    order_quantity_maximum, custom_fields, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (product_id) do update set (
    name, sku, type, price, cost_price, retail_price, sale_price, category_ids, brand_id, is_visible,
    availability, inventory_level, inventory_tracking, order_quantity_minimum, order_quantity_maximum,
    custom_fields, created_at, updated_at, raw, synced_at
  ) = (
    excluded.name, excluded.sku, excluded.type, excluded.price, excluded.cost_price, excluded.retail_price,
    excluded.sale_price, excluded.category_ids, excluded.brand_id, excluded.is_visible,
    excluded.availability, excluded.inventory_level, excluded.inventory_tracking,
    excluded.order_quantity_minimum, excluded.order_quantity_maximum, excluded.custom_fields,
    excluded.created_at, excluded.updated_at, excluded.raw, now()
  )
  where (
    t.name, t.sku, t.type, t.price, t.cost_price, t.retail_price, t.sale_price, t.category_ids, t.brand_id,
    t.is_visible, t.availability, t.inventory_level, t.inventory_tracking, t.order_quantity_minimum,
    t.order_quantity_maximum, t.custom_fields, t.created_at, t.updated_at, t.raw
  ) is distinct from (
    excluded.name, excluded.sku, excluded.type, excluded.price, excluded.cost_price, excluded.retail_price,
    excluded.sale_price, excluded.category_ids, excluded.brand_id, excluded.is_visible,
    excluded.availability, excluded.inventory_level, excluded.inventory_tracking,
    excluded.order_quantity_minimum, excluded.order_quantity_maximum, excluded.custom_fields,
    excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.product_id
),
incoming_lines as (
  select l.*
  from merged m
  cross join lateral jsonb_array_elements(m.item -> 'lines') as line
  cross join lateral jsonb_populate_record(null::store.variants, line || jsonb_build_object('product_id', m.product_id)) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.variants d
  using merged m
  where d.product_id = m.product_id and not m.is_outdated and m.item ? 'lines'
    and not exists (select from incoming_lines l where l.variant_id = d.variant_id)
  returning 1
),
written_lines as (
  insert into store.variants as t (
    variant_id, product_id, sku, price, calculated_price, cost_price, retail_price, sale_price,
    inventory_level, purchasing_disabled, option_values, raw
  )
  select
    variant_id, product_id, sku, price, calculated_price, cost_price, retail_price, sale_price,
    inventory_level, purchasing_disabled, option_values, raw
  from incoming_lines
  on conflict (variant_id) do update set (
    product_id, sku, price, calculated_price, cost_price, retail_price, sale_price, inventory_level,
    purchasing_disabled, option_values, raw, synced_at
  ) = (
    excluded.product_id, excluded.sku, excluded.price, excluded.calculated_price, excluded.cost_price,
    excluded.retail_price, excluded.sale_price, excluded.inventory_level, excluded.purchasing_disabled,
    excluded.option_values, excluded.raw, now()
  )
  where (
    t.product_id, t.sku, t.price, t.calculated_price, t.cost_price, t.retail_price, t.sale_price,
    t.inventory_level, t.purchasing_disabled, t.option_values, t.raw
  ) is distinct from (
    excluded.product_id, excluded.sku, excluded.price, excluded.calculated_price, excluded.cost_price,
    excluded.retail_price, excluded.sale_price, excluded.inventory_level, excluded.purchasing_disabled,
    excluded.option_values, excluded.raw
  )
  returning t.variant_id
),
known_lines as (
  select w.variant_id
  from written_lines w join store.variants t using (variant_id)
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
  select is_new, is_outdated, exists (select from written w where w.product_id = m.product_id) as is_written
  from merged m
) as outcome
