-- loyalty_credit: a company gets a part of what it orders back as credit; what is refunded or cancelled takes it away again.
--
-- When      an order was placed by a company, its total changed, or it was refunded (also in part), cancelled or declined
-- Then      what the order earns now, less what it has earned already, is added to the company's credit in the store (or taken from
--           it); then a mail to who ordered
-- Settings  loyalty_percent, loyalty_minimum, loyalty_cap: below; per customer group: table loyalty_rates
-- Tables    store.orders (watched), store.companies, store.company_users
-- Mails     templates/loyalty_credit
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('loyalty_percent', '2', 'How much of an order comes back as credit'),                                    -- numeric 0..100
  ('loyalty_minimum', '100', 'Orders of less earn nothing, in the store''s currency'),                      -- numeric 0..100000000
  ('loyalty_cap', '250', 'An order earns no more, in the store''s currency')                                -- numeric 0..100000000
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Other rates for some customers: the first line that matches wins, and what is NULL in it is the setting's.
create table if not exists loyalty_rates (
  position int primary key,
  customer_group text,
  percent numeric,
  minimum numeric,
  cap numeric
);
comment on table loyalty_rates is 'Rates of loyalty_credit per customer group; the first line that matches wins.';

-- What each order has earned so far, in steps: whatever happens to it, they sum up to what it earns now.
create table if not exists loyalty_earnings (
  bc_order_id bigint not null,
  nth int not null,
  amount numeric not null,
  earned_at timestamptz not null,
  primary key (bc_order_id, nth)
);
comment on table loyalty_earnings is 'What loyalty_credit added for an order, and (negative) took back, in the store''s currency.';

-- What is kept of an order, and what it earns as it is, in the store's currency. Status: 0 Incomplete, 1 Pending, 4 Refunded,
-- 5 Cancelled, 6 Declined earn nothing. exchange_rate: units of the order's currency for one of the store's.
-- Plain expressions, so that the planner writes them out where they are called.
create or replace function loyalty_kept(total numeric, refunded numeric, exchange_rate numeric) returns numeric
language sql immutable
return (total - coalesce(refunded, 0)) / coalesce(nullif(exchange_rate, 0), 1);

create or replace function loyalty_amount(status_id int, kept numeric, percent numeric, minimum numeric, cap numeric) returns numeric
language sql immutable
return case when status_id is null or status_id in (0, 1, 4, 5, 6) or kept is null or kept <= 0 or kept < minimum then 0
            else round(least(kept * percent / 100, cap), 2) end;

-- Books what an order earns now beyond what it has earned, and says what and under which key. fresh: it earned nothing before this
-- change. What an order of before this recipe earns by becoming cheaper is not for it to give: it has earned nothing here.
create or replace function loyalty_book(bc_order_id bigint, fresh boolean) returns jsonb
language plpgsql as $$
declare
  due    numeric;
  so_far numeric;
  n      int;
begin
  -- One at a time for an order, from however many sidecars.
  perform pg_advisory_xact_lock(hashtextextended('loyalty_credit ' || bc_order_id, 0));
  select coalesce(sum(e.amount), 0), count(*) + 1 into so_far, n from loyalty_earnings e where e.bc_order_id = loyalty_book.bc_order_id;
  select loyalty_amount(o.status_id, loyalty_kept(o.total, o.refunded_amount, o.store_exchange_rate), r.percent, r.minimum, r.cap) into due
  from store.orders o join loyalty_terms r on r.company_id = o.company_id
  where o.bc_order_id = loyalty_book.bc_order_id;
  due := coalesce(due, 0) - so_far;
  if due = 0 or (n = 1 and not fresh) then
    return jsonb_build_object('amount', 0);
  end if;
  insert into loyalty_earnings (bc_order_id, nth, amount, earned_at) values (loyalty_book.bc_order_id, n, due, tradeflow.now());
  return jsonb_build_object('amount', due, 'key', format('loyalty order %s #%s', bc_order_id, n));
end
$$;

-- The rate of each company.
create or replace view loyalty_terms as
select c.company_id, coalesce(own.percent, tradeflow.setting('loyalty_percent')::numeric) as percent,
       coalesce(own.minimum, tradeflow.setting('loyalty_minimum')::numeric) as minimum,
       coalesce(own.cap, tradeflow.setting('loyalty_cap')::numeric) as cap
from store.companies c
left join lateral (
  select x.* from loyalty_rates x where tradeflow.matches(x.customer_group, c.bc_customer_group_name)
  order by x.position limit 1) own on true;

-- A change that leaves what the order earns as it is fires nothing.
insert into tradeflow.rules (name, source, description, fires, columns, condition, query) values (
  'loyalty_credit', 'store.orders', 'What an order earns has changed', 'always', '{company_id,status_id,total,refunded_amount,store_exchange_rate}',
  $$ new.company_id is not null $$,
  $$
    select new.bc_order_id, new.company_id, c.company_name, new.total, coalesce(new.paid_currency_code, '') as order_currency,
           coalesce(new.store_currency_code, new.paid_currency_code, '') as currency_code, e.amount as earns, e.before as earned,
           coalesce(u.email, new.billing_email) as buyer_email,
           coalesce(nullif(u.first_name, ''), new.billing_name) as buyer_name
    from store.companies c
    -- offset 0, here and below: worked out once an order, not at each mention.
    cross join lateral (select t.* from loyalty_terms t where t.company_id = c.company_id offset 0) r
    cross join lateral (
      select loyalty_amount(new.status_id, loyalty_kept(new.total, new.refunded_amount, new.store_exchange_rate), r.percent, r.minimum, r.cap) as amount,
             case when old.company_id is null then 0
                  else loyalty_amount(old.status_id, loyalty_kept(old.total, old.refunded_amount, old.store_exchange_rate), r.percent, r.minimum, r.cap) end as before
      offset 0) e
    left join lateral (
      select x.email, x.first_name from store.company_users x
      where x.bc_customer_id = new.bc_customer_id order by x.b2b_user_id limit 1) u on true
    where c.company_id = new.company_id and e.amount <> e.before
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires, columns = excluded.columns,
  condition = excluded.condition, query = excluded.query;

-- The store knows only what is left, and sets it outright. So each amount is an entry of tradeflow.ledger_entries under its key, and
-- one writes a company's credit at a time, among all sidecars: of two orders at once both count.
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('loyalty_credit', 1, 'book', 'sql', null,
   '{"function": "loyalty_book", "args": {"bc_order_id": "{{ facts.bc_order_id }}", "fresh": "{{ facts.earned == 0 }}"}}'),
  ('loyalty_credit', 2, 'credit', 'bigcommerce.add_company_credit', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "amount": "{{ steps.book.value.amount }}", "key": "{{ steps.book.value.key }}",
     "currency": "{{ facts.currency_code }}", "reason": "loyalty, order {{ facts.bc_order_id }}", "enable": true,
     "when": "{{ steps.book.value.amount != 0 }}"}'),
  ('loyalty_credit', 3, 'mail', 'email', 'smtp',
   '{"to": "{{ facts.buyer_email }}", "template": "loyalty_credit", "when": "{{ facts.buyer_email is not none and steps.book.value.amount != 0 }}"}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params;
