-- Upserts a batch of payment terms. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with company_id and any other columns.
with incoming as (
  select (item ->> 'company_id')::bigint as company_id, item
  from pg_temp.incoming
),
merged as (
  select t.company_id is null as is_new,
         false as is_outdated,
         i.item,
         r.*
  from incoming i
  left join store.company_payment_terms t using (company_id)
  cross join lateral jsonb_populate_record(t, i.item || jsonb_build_object('raw', store.merge_raw(t.raw, i.item -> 'raw'))) r
),
written as (
  insert into store.company_payment_terms as t (
    company_id, is_enabled, payment_terms_days, raw
  )
  select
    company_id, is_enabled, payment_terms_days, raw
  from merged
  where not is_outdated
  on conflict (company_id) do update set (
    is_enabled, payment_terms_days, raw, synced_at
  ) = (
    excluded.is_enabled, excluded.payment_terms_days, excluded.raw, now()
  )
  where (
    t.is_enabled, t.payment_terms_days, t.raw
  ) is distinct from (
    excluded.is_enabled, excluded.payment_terms_days, excluded.raw
  )
  returning t.company_id
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
  select is_new, is_outdated, exists (select from written w where w.company_id = m.company_id) as is_written
  from merged m
) as outcome
