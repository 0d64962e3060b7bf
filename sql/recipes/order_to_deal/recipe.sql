-- order_to_deal: an order wins the deal of its quote, and a cancelled or refunded one loses it; without a quote it is a deal itself.
--
-- When      an order is placed, or its status, total or refunds change
-- Then      the deal of the order's quote is changed (the one that quote_to_deal keeps, by bc_quote_id); an order without a quote has
--           a deal of its own (by bc_order_id). An order may be here before its quote says so: it waits some minutes for that
-- Settings  deal_pipeline, deal_associations, order_deal_wait, order_deals_of: below. Stage of each status: table order_deal_stages
-- Tables    store.orders (watched), store.quotes (watched), store.companies, store.company_users
-- Mails     none
-- Needs     target hubspot

insert into tradeflow.settings (name, value, description) values
  ('deal_pipeline', 'default', 'The pipeline of deals in HubSpot: its id or label'),                              -- text
  ('deal_associations', 'if_there', 'Whether a deal waits for its company and contact to be in HubSpot'),         -- one of if_there, wait
  ('order_deal_wait', '15 minutes', 'How long an order waits for its quote before it becomes a deal of its own'), -- interval
  ('order_deals_of', 'companies', 'Whose orders are deals: those of companies, or consumers'' as well')           -- one of companies, all
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('hubspot', 'hubspot', 'https://api.hubapi.com', 'env:HUBSPOT_TOKEN')
on conflict (name) do nothing;

-- A stage is an id or a label; NULL: an order with this status says nothing about a deal.
create table if not exists order_deal_stages (
  status_id smallint primary key,
  status text not null,
  stage text
);
comment on table order_deal_stages is 'Stage of the deal for each status of an order (order_to_deal).';
insert into order_deal_stages (status_id, status, stage) values
  (0, 'Incomplete', null),
  (1, 'Pending', 'closedwon'),
  (2, 'Shipped', 'closedwon'),
  (3, 'Partially Shipped', 'closedwon'),
  (4, 'Refunded', 'closedlost'),
  (5, 'Cancelled', 'closedlost'),
  (6, 'Declined', 'closedlost'),
  (7, 'Awaiting Payment', 'closedwon'),
  (8, 'Awaiting Pickup', 'closedwon'),
  (9, 'Awaiting Shipment', 'closedwon'),
  (10, 'Completed', 'closedwon'),
  (11, 'Awaiting Fulfillment', 'closedwon'),
  (12, 'Manual Verification Required', 'closedwon'),
  (13, 'Disputed', 'closedwon'),
  (14, 'Partially Refunded', 'closedwon')
on conflict (status_id) do update set status = excluded.status, stage = excluded.stage;

-- Total is NULL while only B2B Edition's half of the order is here. fire_at: an order without a quote waits, and is asked again then.
insert into tradeflow.rules (name, source, description, columns, fires, condition, query) values (
  'order_to_deal', 'store.orders', 'An order is new or changed: its deal follows',
  '{status_id,total,refunded_amount,company_id,bc_customer_id,po_number}', 'always',
  $$ new.total is not null and (new.company_id is not null or tradeflow.setting('order_deals_of') = 'all') $$,
  $$
    select new.bc_order_id, q.quote_id,
           coalesce(q.quote_id, new.bc_order_id) as deal_key,
           case when q.quote_id is null then 'bc_order_id' else 'bc_quote_id' end as deal_key_property,
           case when q.quote_id is null then coalesce(new.placed_at, new.synced_at) + tradeflow.setting('order_deal_wait')::interval end as fire_at,
           s.stage, new.total - coalesce(new.refunded_amount, 0) as amount,
           concat_ws(' · ', coalesce(c.company_name, new.billing_company, new.billing_name), coalesce(q.quote_title, q.quote_number, 'Order ' || new.bc_order_id)) as deal_name,
           to_char(new.placed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as close_date,
           concat_ws(E'\n', 'Quote ' || q.quote_number, 'Order ' || new.bc_order_id || ' (' || s.status || ')', 'Purchase order ' || new.po_number,
                     'Amounts in ' || new.paid_currency_code, 'Refunded: ' || trim_scale(nullif(new.refunded_amount, 0))) as description,
           new.company_id, u.b2b_user_id, company.other_id as company_crm_id, contact.other_id as contact_crm_id
    from order_deal_stages s
    left join lateral (
      select x.quote_id, x.quote_number, x.quote_title from store.quotes x
      where x.bc_order_id = new.bc_order_id order by x.quote_id desc limit 1) q on true
    left join store.companies c on c.company_id = new.company_id
    left join lateral (
      select x.b2b_user_id from store.company_users x
      where x.bc_customer_id = new.bc_customer_id order by x.b2b_user_id limit 1) u on true
    left join tradeflow.links company on company.target = 'hubspot' and company.object = 'company'
      and company.source = 'store.companies' and company.subject = new.company_id::text
    left join tradeflow.links contact on contact.target = 'hubspot' and contact.object = 'contact'
      and contact.source = 'store.company_users' and contact.subject = u.b2b_user_id::text
    where s.status_id = new.status_id and s.stage is not null
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, condition = excluded.condition, query = excluded.query;

-- The lane is the deal's, which quote_to_deal writes as well. forward_only is not asked for: a won deal may be lost by a cancellation.
insert into tradeflow.actions (rule, step, name, kind, target, lane, recheck, on_dead, params) values (
  'order_to_deal', 1, 'deal', 'hubspot.upsert_deal', 'hubspot',
  'deal of {{ "quote" if facts.quote_id else "order" }} {{ facts.deal_key }}', true, 'continue',
  '{"key": "{{ facts.deal_key }}", "key_property": "{{ facts.deal_key_property }}", "pipeline": "{{ settings.deal_pipeline }}", "stage": "{{ facts.stage }}",
    "properties": {"dealname": "{{ facts.deal_name }}", "amount": "{{ facts.amount }}", "closedate": "{{ facts.close_date }}",
                   "description": "{{ facts.description }}"},
    "associate": [
      {"to": "companies", "id": "{{ facts.company_crm_id }}", "key": "{{ facts.company_id }}", "required": "{{ settings.deal_associations == ''wait'' }}"},
      {"to": "contacts", "id": "{{ facts.contact_crm_id }}", "key": "{{ facts.b2b_user_id }}", "required": "{{ settings.deal_associations == ''wait'' }}"}]}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  recheck = excluded.recheck, on_dead = excluded.on_dead, params = excluded.params;

-- The quote says later than the order that they belong together: the order need not wait any longer.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'order_to_deal_quote', 'store.quotes', 'A quote was ordered: the order''s deal is the quote''s',
  $$ new.bc_order_id is not null and new.bc_order_id is distinct from old.bc_order_id $$,
  $$
    select new.quote_id, o.bc_order_id, s.stage, o.total - coalesce(o.refunded_amount, 0) as amount,
           to_char(o.placed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as close_date
    from store.orders o
    join order_deal_stages s on s.status_id = o.status_id and s.stage is not null
    where o.bc_order_id = new.bc_order_id and o.total is not null
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, condition = excluded.condition, query = excluded.query;

insert into tradeflow.actions (rule, step, name, kind, target, lane, on_dead, params) values (
  'order_to_deal_quote', 1, 'deal', 'hubspot.upsert_deal', 'hubspot', 'deal of quote {{ facts.quote_id }}', 'continue',
  '{"key": "{{ facts.quote_id }}", "pipeline": "{{ settings.deal_pipeline }}", "stage": "{{ facts.stage }}",
    "properties": {"amount": "{{ facts.amount }}", "closedate": "{{ facts.close_date }}"}}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  on_dead = excluded.on_dead, params = excluded.params;
