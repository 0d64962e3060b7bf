-- company_segments: each company's segment follows what it buys, in an extra field of the company.
--
-- When      the orders of a company within the window, its customer group or its extra fields make it another segment; also when time alone
--           does, because an old order leaves the window
-- Then      the company's extra field says the segment. Not where people have locked it
-- Settings  segment_window_days, segment_default, segment_field, segment_lock_field, company_industry_field: below; thresholds: table segment_thresholds
-- Tables    store.companies, store.orders (watched); segment_thresholds
-- Mails     none
-- Needs     target bigcommerce; the two extra fields, configured for companies in the store

insert into tradeflow.settings (name, value, description) values
  ('company_industry_field', 'Industry', 'The extra field of companies that says their industry'),                -- text
  ('segment_window_days', '365', 'Orders of so many days count'),                                                 -- integer 1..3650
  ('segment_default', 'Standard', 'The segment of companies that no line of segment_thresholds matches'),         -- text
  ('segment_field', 'Segment', 'The extra field of companies that says the segment'),                             -- text
  ('segment_lock_field', 'Segment locked', 'Anything in this extra field of a company: people say its segment')   -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Where the store is: each environment has its own, which operators set.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- The first line that matches wins, a criterion that is NULL matches all. spent is in the store's currency, without what was refunded.
create table if not exists segment_thresholds (
  position int primary key,
  customer_group text[],
  industry text[],
  spent numrange,
  orders int4range,
  segment text not null
);
comment on table segment_thresholds is 'Which segment a company is in, for company_segments; the first line that matches wins.';
insert into segment_thresholds (position, spent, segment) values (10, numrange(10000, null), 'Gold'), (20, numrange(2500, null), 'Silver')
on conflict do nothing;

-- Every company whose segment nobody has locked, with the segment it is to have. Where the store says that already the row does not enter
-- (fire_at): so neither a new company in the default segment nor our own write coming back is anything to do. An empty field is the default.
-- recheck_at: when the oldest order that counts leaves the window, the view is asked again.
create or replace view company_segments as
select c.company_id as subject, s.segment as occurrence,
       case when s.segment = coalesce(nullif(c.extra_fields ->> tradeflow.setting('segment_field'), ''), tradeflow.setting('segment_default'))
            then 'infinity'::timestamptz end as fire_at,
       bought.recheck_at, c.company_id, c.company_name, s.segment, bought.spent, bought.orders,
       c.extra_fields ->> tradeflow.setting('segment_field') as segment_before,
       jsonb_build_object(tradeflow.setting('segment_field'), s.segment) as fields,
       jsonb_build_object(tradeflow.setting('segment_lock_field'), null) as unlocked
from store.companies c
cross join lateral (
  select coalesce(round(sum((o.total - coalesce(o.refunded_amount, 0)) / coalesce(nullif(o.store_exchange_rate, 0), 1)), 2), 0) as spent,
         count(*)::int as orders, min(o.placed_at) + make_interval(days => tradeflow.setting('segment_window_days')::int) as recheck_at
  from store.orders o
  where o.company_id = c.company_id and o.placed_at > tradeflow.now() - make_interval(days => tradeflow.setting('segment_window_days')::int)
    and o.status_id not in (0, 4, 5, 6) and o.is_deleted is not true) bought
cross join lateral (
  select coalesce(max(x.segment), tradeflow.setting('segment_default')) as segment
  from (
    select t.segment from segment_thresholds t
    where tradeflow.matches(t.customer_group, c.bc_customer_group_name)
      and tradeflow.matches(t.industry, c.extra_fields ->> tradeflow.setting('company_industry_field'))
      and tradeflow.matches(t.spent, bought.spent) and tradeflow.matches(t.orders, bought.orders)
    order by t.position limit 1) x) s
where coalesce(c.extra_fields ->> tradeflow.setting('segment_lock_field'), '') = '';

insert into tradeflow.rules (name, view, description) values
  ('company_segments', 'company_segments', 'A company is to be in another segment than the store says')
on conflict (name) do update set view = excluded.view, description = excluded.description;

-- Whom a changed row concerns; of an order that moves to another company, both.
insert into tradeflow.rule_inputs (rule, source, subject) values
  ('company_segments', 'store.companies', 'new.company_id'),
  ('company_segments', 'store.orders', 'new.company_id')
on conflict (rule, source) do update set subject = excluded.subject;

-- recheck: who is in another segment by now, or locked, has another firing, or none. only_if: locked in the store a moment ago.
insert into tradeflow.actions (rule, step, name, kind, target, params, recheck) values (
  'company_segments', 1, 'write', 'bigcommerce.update_company_extra_fields', 'bigcommerce',
  '{"company_id": "{{ facts.company_id }}", "fields": "{{ facts.fields }}", "only_if": "{{ facts.unlocked }}"}',
  true)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params, recheck = excluded.recheck;
