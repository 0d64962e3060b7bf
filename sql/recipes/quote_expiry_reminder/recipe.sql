-- quote_expiry_reminder: who holds an open quote is reminded of it before it expires.
--
-- When      some days before a quote's expired_at, as long as it is open; several times if there are several days. A quote that
--           is extended moves its reminders, one that was ordered meanwhile has none; made when some of the days are past already, it has
--           those that are still to come, and at once a mail if reminder_if_late says so
-- Then      a mail to the buyer, the sales rep or both
-- Settings  reminder_days, reminder_audience, reminder_if_late: below; others per customer group: table reminder_limits
-- Tables    store.quotes (watched), store.companies; reminder_limits
-- Mails     templates/quote_expiry_reminder
-- Needs     target smtp; settings shop_name, shop_url, time_zone

insert into tradeflow.settings (name, value, description) values
  ('reminder_days', '7,3,1', 'How many days before its expiry a quote is reminded of'),                     -- integers
  ('reminder_audience', 'buyer', 'Who is reminded'),                                                        -- one of buyer, rep, both
  ('reminder_if_late', 'skip', 'Of a quote made when some of the days are past: nothing for them, or once at once')  -- one of skip, once
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Other days, or another audience, for some customers: the first line that matches wins, a criterion that is NULL matches all, and what
-- is NULL is the setting's. Lines can be edited here, or in the database with `on conflict do nothing`.
create table if not exists reminder_limits (
  position int primary key,
  customer_group text,
  days int[],
  audience text check (audience in ('buyer', 'rep', 'both'))
);
comment on table reminder_limits is 'When and whom quote_expiry_reminder reminds, per customer group; the first line that matches wins.';

-- One firing for each of the days (its occurrence); until its time comes it waits in the outbox. Then condition and query are
-- asked again, on the quote as it is by then. Status: 0 New, 2 In Process, 3 Updated by customer.
-- A reminder that is due at another time takes the place of the one that waits.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_expiry_reminder', 'store.quotes', 'An open quote is about to expire',
  $$ new.status in (0, 2, 3) and new.expired_at > tradeflow.now() $$,
  $$
    select d.days::text as occurrence, case when not late.at_once then d.at end as fire_at,
           case when late.at_once then ceil(extract(epoch from new.expired_at - tradeflow.now()) / 86400)::int else d.days end as days,
           r.to_address, r.to_address = new.contact_email as to_buyer,
           new.quote_number, new.quote_title, new.contact_name, new.company_name, new.grand_total, coalesce(new.currency_code, '') as currency_code,
           new.expired_at, new.sales_rep_name, new.sales_rep_email
    from (select tradeflow.setting('time_zone') as zone) z
    left join store.companies c on c.company_id = new.company_id
    left join lateral (
      select x.days, x.audience from reminder_limits x
      where tradeflow.matches(x.customer_group, c.bc_customer_group_name)
      order by x.position limit 1) own on true
    cross join lateral (
      select coalesce(own.days, string_to_array(tradeflow.setting('reminder_days'), ',')::int[]) as days,
             coalesce(own.audience, tradeflow.setting('reminder_audience')) as audience) l
    cross join lateral (
      -- Days are counted in the shop's time zone, whichever the session has: the hour stays when the clocks change.
      select x as days, (new.expired_at at time zone z.zone - make_interval(days => x)) at time zone z.zone as at from unnest(l.days) x) d
    -- Of the days that are past when the quote is made, the last one is the one to be told at once.
    cross join lateral (
      select old.quote_id is null and tradeflow.setting('reminder_if_late') = 'once'
             and d.days = (select min(x) from unnest(l.days) x
                           where (new.expired_at at time zone z.zone - make_interval(days => x)) at time zone z.zone <= tradeflow.now()) as at_once) late
    cross join lateral (
      select concat_ws(', ', case when l.audience in ('buyer', 'both') then nullif(new.contact_email, '') end,
                             case when l.audience in ('rep', 'both') then nullif(new.sales_rep_email, '') end)) r(to_address)
    where r.to_address <> ''
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires, columns = excluded.columns,
  condition = excluded.condition, query = excluded.query;

-- if_late: of a quote that is made two days before its expiry, the reminders of seven and three days before are left out; the one that is
-- told at once has no time.
insert into tradeflow.actions (rule, step, kind, target, params, if_late) values (
  'quote_expiry_reminder', 1, 'email', 'smtp',
  '{"to": "{{ facts.to_address }}", "template": "quote_expiry_reminder"}', 'skip')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params, if_late = excluded.if_late;
