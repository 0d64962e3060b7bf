-- The table whose changes are measured: quotes as a store's sync job keeps them, 22 columns of mixed types, a primary
-- key and no other index (each further index makes the bare upsert slower, and what is compared with it look better).
create schema bench;

create table bench.shape (
  quote_id         bigint primary key,
  quote_number     text not null,
  quote_title      text,
  status           smallint,
  status_name      text,
  company_id       bigint,
  company_name     text,
  contact_email    text,
  sales_rep_email  text,
  currency_code    text,
  subtotal         numeric(20,4),
  discount         numeric(20,4),
  tax_total        numeric(20,4),
  grand_total      numeric(20,4),
  allow_checkout   boolean,
  notes            text,
  extra_fields     jsonb,
  created_at       timestamptz,
  updated_at       timestamptz,
  expired_at       timestamptz,
  raw              jsonb,
  synced_at        timestamptz not null
);

-- Where hand-written triggers put what they found: the least that a queue needs.
create table bench.plain_outbox (
  id       bigint generated always as identity primary key,
  rule     text not null,
  subject  text not null,
  facts    jsonb not null
);

-- The payload of a sync in one of two versions (0, 1): an upsert with the other one changes every row.
--
-- Rows whose number modulo 100 is 0 to 9 (version 0) or 10 to 19 (version 1) are the 1 % that each of the ten rules
-- which match is about; so each upsert makes every one of these rules true for 1 % of the rows, and false for another.
--
-- volatile: also the columns change that a real sync mostly repeats (company, mail addresses, notes, extra fields,
-- currency, checkout), so that no rule can be spared because nothing it reads has changed.
create function bench.payload(rows int, version int, volatile boolean) returns setof bench.shape
language sql stable as $$
  select
    i,
    'QN' || 100000 + i,
    'Quote for project ' || i % 977,
    case when hit = 0 then 4 else s.code end::smallint,
    case when hit = 1 then 'Escalated' else s.name end,
    c.company_id,
    'Company ' || c.company_id,
    'buyer' || i % 20000 || case when turn = 1 then '+rfq' else '' end || '@company' || c.company_id || '.example',
    case when hit = 7 then 'Key.Accounts@store.example' else 'Rep' || (i + turn) % 50 || '@store.example' end,
    case when hit = 9 then 'CHF' else ('{EUR,USD,GBP}'::text[])[(i + turn) % 3 + 1] end,
    a.subtotal,
    case when hit = 5 then round(a.subtotal * 0.5, 4) else round(a.subtotal * 0.05 + version, 4) end,
    round(a.subtotal * 0.19, 4),
    case when hit = 3 then 50000 + i % 1000 else round(a.subtotal * 1.14 - version, 4) end,
    (i + turn) % 2 = 0,
    case when hit = 8 then 'URGENT: ' else '' end || 'Please deliver to dock ' || i % 40 || case when turn = 1 then ', second gate' else '' end,
    jsonb_build_object('region', 'region-' || (i + turn) % 20, 'po', 'PO-' || i, 'priority', case when hit = 6 then 'rush' else 'normal' end),
    timestamptz '2026-01-01 UTC' + i * interval '1 minute',
    timestamptz '2026-11-01 UTC' + i * interval '1 second' + version * interval '1 day',
    case when hit = 4 then now() + interval '1 day' else now() + interval '30 days' + i % 200 * interval '1 hour' + version * interval '1 minute' end,
    jsonb_build_object('quoteId', i, 'quoteNumber', 'QN' || 100000 + i, 'status', s.code, 'companyInfo', jsonb_build_object('companyId', c.company_id, 'companyName', 'Company ' || c.company_id),
                       'grandTotal', a.subtotal::text, 'updatedAt', 1793491200 + i + version * 86400),
    timestamptz '2026-11-22 UTC' + version * interval '1 day'
  from generate_series(1, rows) i
  cross join lateral (select case when volatile then version else 0 end as turn, nullif(greatest(i % 100 - 10 * version, -1), -1) as bucket) v
  cross join lateral (select case when bucket between 0 and 9 then bucket end as hit) h
  cross join lateral (select ('{0,2,3,7}'::int[])[(i + version) % 4 + 1] as code, ('{New,"In Process","Updated by customer",Draft}'::text[])[(i + version) % 4 + 1] as name) s
  cross join lateral (select (i + 7 * turn) % 5000 + 1 as company_id) c
  cross join lateral (select case when hit = 2 then 10 else round(100 + i * 37 % 90000 / 10.0 + version * 3.5, 4) end as subtotal) a
$$;

create table bench.calm_0 as select * from bench.shape;
create table bench.calm_1 as select * from bench.shape;
create table bench.volatile_0 as select * from bench.shape;
create table bench.volatile_1 as select * from bench.shape;
