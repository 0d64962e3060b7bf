-- quote_expiry_reminder: who holds an open quote is reminded of it before it expires.
--
-- When      some days before a quote's expired_at, as long as it is open; several times if there are several days. A quote that
--           is extended moves its reminders, one that was ordered meanwhile has none
-- Then      a mail to the buyer, the sales rep or both
-- Settings  reminder_days, reminder_audience: below
-- Tables    store.quotes (watched)
-- Mails     templates/quote_expiry_reminder
-- Needs     target smtp; settings shop_name, shop_url, time_zone

insert into tradeflow.settings (name, value, description) values
  ('reminder_days', '7,3,1', 'How many days before its expiry a quote is reminded of'),                     -- integers
  ('reminder_audience', 'buyer', 'Who is reminded')                                                         -- one of buyer, rep, both
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- One firing for each of the days (its occurrence); until its time comes it waits in the outbox. Then condition and query are
-- asked again, on the quote as it is by then. Status: 0 New, 2 In Process, 3 Updated by customer.
-- A reminder that is due at another time takes the place of the one that waits.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_expiry_reminder', 'store.quotes', 'An open quote is about to expire',
  $$ new.status in (0, 2, 3) and new.expired_at > tradeflow.now() $$,
  $$
    select d.days::text as occurrence, new.expired_at - make_interval(days => d.days) as fire_at, d.days,
           r.to_address, r.to_address = new.contact_email as to_buyer,
           new.quote_number, new.quote_title, new.contact_name, new.company_name, new.grand_total, coalesce(new.currency_code, '') as currency_code,
           new.expired_at, new.sales_rep_name, new.sales_rep_email
    from unnest(string_to_array(tradeflow.setting('reminder_days'), ',')::int[]) d(days)
    cross join lateral (
      select concat_ws(', ', case when tradeflow.setting('reminder_audience') in ('buyer', 'both') then nullif(new.contact_email, '') end,
                             case when tradeflow.setting('reminder_audience') in ('rep', 'both') then nullif(new.sales_rep_email, '') end)) r(to_address)
    where r.to_address <> ''
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires, columns = excluded.columns,
  condition = excluded.condition, query = excluded.query;

-- if_late: of a quote that is made two days before its expiry, the reminders of seven and three days before are left out.
insert into tradeflow.actions (rule, step, kind, target, params, if_late) values (
  'quote_expiry_reminder', 1, 'email', 'smtp',
  '{"to": "{{ facts.to_address }}", "template": "quote_expiry_reminder"}', 'skip')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params, if_late = excluded.if_late;
