-- How payloads are kept in the raw columns. The same thing arrives as a row of a list and as an answer of its own,
-- with different keys, and written differently (17, "17", 17.0): both go into one raw, and loading both again
-- must change nothing.
create or replace function store.plain(value jsonb) returns text
  language sql immutable parallel safe
  return pg_catalog.regexp_replace(
    pg_catalog.regexp_replace(pg_catalog.replace(value::text, '"', ''), '(\.\d*?)0+(?!\d)', '\1', 'g'),
    '\.(?!\d)', '', 'g');
comment on function store.plain(jsonb) is
  'JSON without quotes and without the trailing zeros of decimals: the same text for 17, "17" and 17.00.';

create or replace function store.merge_raw(stored jsonb, payload jsonb) returns jsonb
  language sql immutable parallel safe
  return case
    when payload is null or stored = payload then stored
    when stored is null then payload
    -- A join, because `stored -> key` for each key would decompress the whole payload for each.
    else stored || coalesce((
      select pg_catalog.jsonb_object_agg(new.key, new.value)
      from pg_catalog.jsonb_each(payload) as new
      left join pg_catalog.jsonb_each(stored) as old on old.key = new.key
      where old.key is null or new.value <> old.value and store.plain(new.value) <> store.plain(old.value)
    ), '{}')
  end;
comment on function store.merge_raw(jsonb, jsonb) is
  'stored with the top-level keys of payload; a key that says the same in another spelling stays as it was.';
