-- Upserts a batch: the statement of every kind, its {words} filled in by ../statement.rs. README.md here says how it works.
-- pg_temp.incoming: a row for each payload: item, the key and any other columns; payload, as it came. `lines` in item, where present, replace the lines.
with incoming as (
  select {typed_key}, item, payload
  from pg_temp.incoming
),
merged as (
  select (x.stored).{first_key} is null as is_new,
         {outdated} as is_outdated,
         i.item -> 'lines' as new_lines,
         r.*,
         {raw} as new_raw
  from incoming i
  left join lateral (select t as stored from store.{table} t where {by_key} offset 0) x on true
  cross join lateral jsonb_populate_record(x.stored, i.item) r
),
written as (
  insert into store.{table} as t ({key}, {columns})
  select {key}, {new_columns}
  from merged
  where not is_outdated
  on conflict ({key}) do update set
    ({columns}, synced_at) = ({excluded.columns}, now())
  where ({t.columns}) is distinct from ({excluded.columns})
    {older}
  returning {t.key}
)
