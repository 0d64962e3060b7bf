-- Upserts rows of spreadsheets. See ../write.rs for how it is called, and README.md here for how it works.
-- pg_temp.incoming: rows of one JSON column, item, each with all columns: a row is read whole, so nothing is merged.
with incoming as (
  select r.*
  from pg_temp.incoming i
  cross join lateral jsonb_populate_record(null::store.sheet_rows, i.item) r
),
merged as (
  select t.row_key is null as is_new, false as is_outdated, i.*
  from incoming i
  left join store.sheet_rows t using (spreadsheet_id, tab, row_key)
),
written as (
  insert into store.sheet_rows as t (spreadsheet_id, tab, row_key, row_number, cells, raw)
  select spreadsheet_id, tab, row_key, row_number, cells, raw from merged
  on conflict (spreadsheet_id, tab, row_key) do update set
    (row_number, cells, raw, synced_at) = (excluded.row_number, excluded.cells, excluded.raw, now())
  where (t.row_number, t.cells, t.raw) is distinct from (excluded.row_number, excluded.cells, excluded.raw)
  returning t.spreadsheet_id, t.tab, t.row_key
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
  select is_new, is_outdated,
         exists (select from written w where (w.spreadsheet_id, w.tab, w.row_key) = (m.spreadsheet_id, m.tab, m.row_key)) as is_written
  from merged m
) as outcome
