-- late_payment: an order on net terms awaits its payment, and who has not paid is reminded before and after it is due.
--
-- When      an order of a company on net terms was placed; then some days before and after it is due, as long as something is open. Who
--           paid hears nothing more; a part that was paid lowers the amount; other terms move the reminders
-- Then      the order's status becomes Awaiting Payment; mails to the buyer; some days after it was due the order's payment method changes
-- Settings  net_terms_methods, net_terms_days, late_payment_offsets, late_payment_due_from, late_payment_paid_statuses,
--           late_payment_method, late_payment_method_days: below
-- Tables    store.orders, store.invoices, store.company_payment_terms, store.companies, store.company_users (watched)
-- Mails     templates/late_payment
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url, time_zone

insert into tradeflow.settings (name, value, description) values
  ('net_terms_methods', 'Purchase Order,Net Terms', 'Payment methods, as orders name them, that are paid by terms'),   -- text
  ('net_terms_days', '30', 'Days to pay for companies without terms of their own'),                         -- integer 0..365
  ('late_payment_offsets', '-7,-1,3', 'When the buyer is reminded: days before (negative) and after the order is due'),  -- integers
  ('late_payment_due_from', 'terms', 'What says when an order is due: the company''s terms, or its invoice where there is one'),  -- one of terms, invoice
  ('late_payment_paid_statuses', '10', 'Order statuses that mean that it is paid, whatever its payment says'),   -- integers
  ('late_payment_method', 'Bank Deposit', 'The payment method of an order that was not paid in the end'),   -- text
  ('late_payment_method_days', '14', 'How many days after it was due')                                      -- integer 0..3650
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Orders on net terms of which something is still to be paid. What the invoice says is open counts; without one the whole order.
-- Status: 0 Incomplete, 4 Refunded, 5 Cancelled, 6 Declined owe nothing.
create or replace view late_payment_orders as
select o.bc_order_id, o.company_id, c.company_name, o.po_number, o.placed_at, i.invoice_id, i.invoice_number, o.status_id,
       coalesce(i.open_balance, o.total - coalesce(o.refunded_amount, 0)) as open_amount, o.total,
       coalesce(case when i.open_balance is not null then i.currency_code end, o.paid_currency_code, o.currency_code, '') as currency_code,
       coalesce(case when tradeflow.setting('late_payment_due_from') = 'invoice' then i.due_at end,
                (o.placed_at at time zone z.zone + make_interval(days => coalesce(t.payment_terms_days, tradeflow.setting('net_terms_days')::int)))
                  at time zone z.zone) as due_at,
       coalesce(u.email, o.billing_email) as buyer_email, coalesce(nullif(u.first_name, ''), o.billing_name) as buyer_name
from store.orders o
-- Days are counted in the shop's time zone, whichever the session has that asks: the hour stays when the clocks change.
cross join (select tradeflow.setting('time_zone') as zone) z
join store.companies c on c.company_id = o.company_id
left join store.company_payment_terms t on t.company_id = o.company_id and t.is_enabled
left join lateral (
  select x.invoice_id, x.invoice_number, x.open_balance, x.currency_code, x.due_at from store.invoices x
  where x.order_number = o.bc_order_id::text and x.company_id = o.company_id order by x.invoice_id limit 1) i on true
left join lateral (
  select x.email, x.first_name from store.company_users x
  where x.bc_customer_id = o.bc_customer_id order by x.b2b_user_id limit 1) u on true
where lower(o.payment_method) = any (regexp_split_to_array(lower(tradeflow.setting('net_terms_methods')), '\s*,\s*'))
  and o.status_id <> all ('{0,4,5,6}' || string_to_array(tradeflow.setting('late_payment_paid_statuses'), ',')::int[])
  and coalesce(o.payment_status, '') not in ('captured', 'paid', 'refunded', 'void')
  and o.is_deleted is not true and o.is_invoice_order is not true
  and coalesce(i.open_balance, o.total - coalesce(o.refunded_amount, 0)) > 0;

-- A row for an order and a reminder. It enters when its time comes; when something else changes until then, it leaves, or its time moves.
-- Of the reminders whose time has passed only the last counts: terms that were shortened, or a sidecar that was away, make one mail.
-- The occurrence names the day, too: a reminder of another due day is another reminder.
create or replace view late_payment_reminders as
select r.* from (
  select o.bc_order_id as subject, format('%s days, due %s', n.days, (o.due_at at time zone 'UTC')::date) as occurrence,
         d.at as fire_at, n.days, lead(d.at) over (partition by o.bc_order_id order by n.days) as next_at,
         o.company_name, o.po_number, o.placed_at, o.invoice_id, o.invoice_number, o.open_amount, o.total, o.currency_code, o.due_at, o.buyer_email, o.buyer_name
  from late_payment_orders o
  cross join unnest(string_to_array(tradeflow.setting('late_payment_offsets'), ',')::int[]) n(days)
  cross join (select tradeflow.setting('time_zone') as zone) z
  cross join lateral (select (o.due_at at time zone z.zone + make_interval(days => n.days)) at time zone z.zone as at) d
  where o.buyer_email <> '') r
where r.next_at is null or r.next_at > tradeflow.now();

-- Orders that were not paid in the end.
create or replace view late_payment_methods as
select o.bc_order_id as subject,
       (o.due_at at time zone z.zone + make_interval(days => tradeflow.setting('late_payment_method_days')::int)) at time zone z.zone as fire_at,
       o.bc_order_id, o.due_at, o.open_amount
from late_payment_orders o
cross join (select tradeflow.setting('time_zone') as zone) z
where tradeflow.setting('late_payment_method') <> '';

insert into tradeflow.rules (name, source, description, fires, condition) values
  ('late_payment_status', 'store.orders', 'An order on net terms was placed, and is to be paid', 'once',
   $$ lower(new.payment_method) = any (regexp_split_to_array(lower(tradeflow.setting('net_terms_methods')), '\s*,\s*'))
      and new.company_id is not null and new.status_id in (1, 11)
      and coalesce(new.payment_status, '') not in ('captured', 'paid', 'refunded', 'void') and new.is_invoice_order is not true $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires, condition = excluded.condition;

insert into tradeflow.rules (name, view, description) values
  ('late_payment', 'late_payment_reminders', 'A payment is about to be due, or late'),
  ('late_payment_method', 'late_payment_methods', 'An order was not paid in the end')
on conflict (name) do update set view = excluded.view, description = excluded.description;

-- Whom a changed row concerns: orders on net terms, or those that were; the order of an invoice; the orders of a company, and of who ordered.
insert into tradeflow.rule_inputs (rule, source, subject)
select r.rule, i.source, i.subject
from (values ('late_payment'), ('late_payment_method')) r(rule)
cross join (values
  ('store.orders', $$
    case when lower(new.payment_method) = any (regexp_split_to_array(lower(tradeflow.setting('net_terms_methods')), '\s*,\s*'))
         then new.bc_order_id end $$),
  ('store.invoices', $$ case when new.order_number ~ '^[0-9]{1,18}$' then new.order_number::bigint end $$),
  ('store.company_payment_terms', 'select o.bc_order_id from store.orders o where o.company_id = new.company_id'),
  ('store.companies', 'select o.bc_order_id from store.orders o where o.company_id = new.company_id'),
  ('store.company_users', 'select o.bc_order_id from store.orders o where o.bc_customer_id = new.bc_customer_id')) i(source, subject)
on conflict (rule, source) do update set subject = excluded.subject;

-- recheck: who pays while the mail server is away gets no mail when it is back.
insert into tradeflow.actions (rule, step, name, kind, target, params, recheck) values
  ('late_payment_status', 1, 'status', 'bigcommerce.set_order_status', 'bigcommerce', '{"bc_order_id": "{{ subject }}", "status": "awaiting payment"}', false),
  ('late_payment', 1, 'mail', 'email', 'smtp', '{"to": "{{ facts.buyer_email }}", "template": "late_payment"}', true),
  ('late_payment_method', 1, 'method', 'bigcommerce.set_order_status', 'bigcommerce',
   '{"bc_order_id": "{{ subject }}", "payment_method": "{{ settings.late_payment_method }}"}', true)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params, recheck = excluded.recheck;
