-- manual_payment_invoice: an order paid by hand (bank transfer, cheque, …) gets its invoice, and the buyer a mail with number and link.
--
-- When      an order of a company is there with one of the manual payment methods, once an order. An order that is incomplete, cancelled,
--           declined or refunded, or that itself pays an invoice, gets none
-- Then      the invoice is made from the order, unless there is one; due after some days. Then a mail to the buyer: never before
--           the invoice exists, and never a second one, also together with recipe invoice_notify
-- Settings  manual_payment_methods, invoice_due_days: below
-- Tables    store.orders (watched), store.companies, store.company_users
-- Mails     templates/manual_payment_invoice
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url, time_zone

insert into tradeflow.settings (name, value, description) values
  ('manual_payment_methods', 'Bank Deposit,Check,Cash on Delivery,Money Order', 'Payment methods, as orders name them, whose money comes later'),  -- text
  ('invoice_due_days', '14', 'How many days after the order its invoice is due')                            -- integer 0..365
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- An order has two halves: payment and status come from the core, the company and B2B Edition's own id from B2B Edition. The
-- condition holds when both are there. Status: 0 Incomplete, 1 Pending, 4 Refunded, 5 Cancelled, 6 Declined.
-- once: whatever becomes of the order, it has one invoice.
insert into tradeflow.rules (name, source, description, fires, condition, query) values (
  'manual_payment_invoice', 'store.orders', 'An order is to be paid by hand', 'once',
  $$ lower(new.payment_method) = any (regexp_split_to_array(lower(tradeflow.setting('manual_payment_methods')), '\s*,\s*'))
     and new.company_id is not null and new.b2b_order_id is not null
     and new.status_id not in (0, 1, 4, 5, 6) and new.is_invoice_order is not true $$,
  $$
    select new.bc_order_id, new.company_id, c.company_name, new.payment_method, new.po_number, new.total,
           coalesce(new.paid_currency_code, new.currency_code, '') as currency_code, new.placed_at,
           coalesce(u.email, new.billing_email) as buyer_email,
           coalesce(nullif(concat_ws(' ', u.first_name, u.last_name), ''), new.billing_name) as buyer_name,
           ((coalesce(new.placed_at, tradeflow.now()) at time zone tradeflow.setting('time_zone'))::date
             + tradeflow.setting('invoice_due_days')::int) as due_on
    from store.companies c
    left join lateral (
      select x.email, x.first_name, x.last_name from store.company_users x
      where x.bc_customer_id = new.bc_customer_id order by x.b2b_user_id limit 1) u on true
    where c.company_id = new.company_id
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires,
  condition = excluded.condition, query = excluded.query;

-- The invoice is looked for before it is made, and by one of us at a time: after an unknown outcome too there is one.
-- at_most: invoice_notify counts under the same topic, so whichever comes first has told the buyer.
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('manual_payment_invoice', 1, 'invoice', 'bigcommerce.create_invoice_from_order', 'bigcommerce',
   '{"bc_order_id": "{{ facts.bc_order_id }}", "due_on": "{{ facts.due_on }}"}'),
  ('manual_payment_invoice', 2, 'mail', 'email', 'smtp',
   '{"to": "{{ facts.buyer_email }}", "template": "manual_payment_invoice",
     "when": "{{ facts.buyer_email is not none }}",
     "topic": "invoice of order {{ facts.bc_order_id }}", "at_most": {"count": 1, "within": "365 days"}}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params;
