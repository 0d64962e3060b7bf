-- invoice_notify: an order of a company gets its invoice, and the team and the buyers are told of it.
--
-- When      an order was placed by a company, once an order. An order that is incomplete, cancelled, declined or refunded, or that itself
--           pays an invoice, gets none
-- Then      the invoice is made from the order, unless there is one; then a mail to the team, and one to the buyers. An address gets one
--           mail an invoice, also together with recipe manual_payment_invoice
-- Settings  invoice_notify_audience, invoice_notify_buyers, invoice_team_email: below
-- Tables    store.orders (watched), store.companies, store.company_users
-- Mails     templates/invoice_notify_team, templates/invoice_notify
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('invoice_notify_audience', 'both', 'Who is told of a new invoice'),                                      -- one of team, buyers, both
  ('invoice_notify_buyers', 'orderer', 'Which buyers: who ordered, the company''s admins besides, or all its users'),  -- one of orderer, admins, all
  ('invoice_team_email', 'accounting@example.com', 'The address of the team that looks after invoices')     -- email
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- An order has two halves: its status comes from the core, the company and B2B Edition's own id from B2B Edition. The condition
-- holds when both are there. Status: 0 Incomplete, 1 Pending, 4 Refunded, 5 Cancelled, 6 Declined.
insert into tradeflow.rules (name, source, description, fires, condition, query) values (
  'invoice_notify', 'store.orders', 'A company placed an order', 'once',
  $$ new.company_id is not null and new.b2b_order_id is not null
     and new.status_id not in (0, 1, 4, 5, 6) and new.is_invoice_order is not true $$,
  $$
    select new.bc_order_id, new.company_id, c.company_name, new.payment_method, new.po_number, new.total,
           coalesce(new.paid_currency_code, new.currency_code, '') as currency_code, new.placed_at,
           to_team.address as team_email, to_buyers.addresses as buyer_emails
    from store.companies c
    cross join lateral (
      select case when tradeflow.setting('invoice_notify_audience') in ('team', 'both') then tradeflow.setting('invoice_team_email') end as address) to_team
    cross join lateral (
      select case when tradeflow.setting('invoice_notify_audience') in ('buyers', 'both') then coalesce((
        select string_agg(distinct lower(u.email), ', ' order by lower(u.email)) from store.company_users u
        where u.company_id = new.company_id and u.email <> ''
          and (u.bc_customer_id = new.bc_customer_id
               or tradeflow.setting('invoice_notify_buyers') = 'all'
               or tradeflow.setting('invoice_notify_buyers') = 'admins' and u.role = 0)), new.billing_email) end as addresses) to_buyers
    where c.company_id = new.company_id
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires,
  condition = excluded.condition, query = excluded.query;

-- The invoice is looked for before it is made, and by one of us at a time. A mail to the team that cannot be sent keeps none from the buyers.
-- at_most: manual_payment_invoice counts under the same topic, so whichever comes first has told the buyer.
insert into tradeflow.actions (rule, step, name, kind, target, params, on_failure) values
  ('invoice_notify', 1, 'invoice', 'bigcommerce.create_invoice_from_order', 'bigcommerce', '{"bc_order_id": "{{ facts.bc_order_id }}"}', 'stop'),
  ('invoice_notify', 2, 'team', 'email', 'smtp',
   '{"to": "{{ facts.team_email }}", "template": "invoice_notify_team", "when": "{{ facts.team_email is not none }}",
     "topic": "invoice of order {{ facts.bc_order_id }}", "at_most": {"count": 1, "within": "365 days"}}', 'continue'),
  ('invoice_notify', 3, 'buyers', 'email', 'smtp',
   '{"to": "{{ facts.buyer_emails }}", "template": "invoice_notify", "when": "{{ facts.buyer_emails is not none }}",
     "topic": "invoice of order {{ facts.bc_order_id }}", "at_most": {"count": 1, "within": "365 days"}}', 'stop')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params,
  on_failure = excluded.on_failure;
