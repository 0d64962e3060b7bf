-- Upserts a batch of prices of price lists. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with price_list_id and variant_id and currency and any other columns.
with incoming as (
  select (item ->> 'price_list_id')::bigint as price_list_id, (item ->> 'variant_id')::bigint as variant_id, item ->> 'currency' as currency, item
  from pg_temp.incoming
),
merged as (
  select t.price_list_id is null as is_new,
         coalesce((i.item ->> 'updated_at')::timestamptz < t.updated_at, false) as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.price_list_records t using (price_list_id, variant_id, currency)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.price_list_records as t (
    price_list_id, variant_id, currency, sku, price, sale_price, retail_price, map_price,
    bulk_pricing_tiers, created_at, updated_at, raw
  )
  select
    price_list_id, variant_id, currency, sku, price, sale_price, retail_price, map_price,
    bulk_pricing_tiers, created_at, updated_at, raw
  from merged
  where not is_outdated
  on conflict (price_list_id, variant_id, currency) do update set (
    sku, price, sale_price, retail_price, map_price, bulk_pricing_tiers, created_at, updated_at, raw,
    synced_at
  ) = (
    excluded.sku, excluded.price, excluded.sale_price, excluded.retail_price, excluded.map_price,
    excluded.bulk_pricing_tiers, excluded.created_at, excluded.updated_at, excluded.raw, now()
  )
  where (
    t.sku, t.price, t.sale_price, t.retail_price, t.map_price, t.bulk_pricing_tiers, t.created_at,
    t.updated_at, t.raw
  ) is distinct from (
    excluded.sku, excluded.price, excluded.sale_price, excluded.retail_price, excluded.map_price,
    excluded.bulk_pricing_tiers, excluded.created_at, excluded.updated_at, excluded.raw
  )
  and (excluded.updated_at < t.updated_at) is not true
  returning t.price_list_id, t.variant_id, t.currency
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
  select is_new, is_outdated, exists (select from written w where w.price_list_id = m.price_list_id and w.variant_id = m.variant_id and w.currency = m.currency) as is_written
  from merged m
) as outcome
