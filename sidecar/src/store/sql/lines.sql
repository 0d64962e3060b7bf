,
incoming_lines as (
  select {told_columns}
  from merged m
  cross join lateral jsonb_populate_recordset(null::store.{lines}, m.new_lines) l
  where not m.is_outdated
),
deleted_lines as (
  delete from store.{lines} d
  where d.ctid = any (array(
    select x.ctid
    from merged m
    cross join lateral (select s.ctid, {s.key} from store.{lines} s where s.{parent} = m.{parent} offset 0) x
    where not m.is_outdated and m.new_lines is not null
      and ({x.key}) not in (select {key} from incoming_lines)
  ))
  returning 1
),
written_lines as (
  insert into store.{lines} as t ({key}, {columns})
  select {key}, {columns}
  from incoming_lines
  on conflict ({key}) do update set
    ({columns}, synced_at) = ({excluded.columns}, now())
  where ({t.columns}) is distinct from ({excluded.columns})
  returning t.xmax = 0 as is_new
)
