-- approved_company_credit: a company that is approved for the first time gets a credit to start with, and is told.
--
-- When      a company becomes Approved, the first time only: rejected and approved again grants nothing more
-- Then      the amount is added to the company's credit in the store, which is enabled for it; then a mail to the company's admin
-- Settings  approved_credit_amount, approved_credit_currency, approved_credit_cap, segment_field: below; by segment or customer
--           group: table approved_credits
-- Tables    store.companies (watched), store.company_users
-- Mails     templates/approved_company_credit
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('approved_credit_amount', '500', 'The credit a newly approved company gets'),                            -- numeric 0..1000000
  ('approved_credit_currency', 'USD', 'Currency of these credits; a company whose credit is in another one gets none, and an incident says so'),  -- text
  ('approved_credit_cap', '5000', 'All credit that was ever added to a company sums up to no more'),        -- numeric 0..100000000
  ('segment_field', 'Segment', 'The extra field of companies that says the segment')                        -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Other amounts for some: the first line that matches wins, a criterion that is NULL matches all. Amount 0: no credit.
create table if not exists approved_credits (
  position int primary key,
  segment text,
  customer_group text,
  amount numeric not null
);
comment on table approved_credits is 'Credits of approved_company_credit by segment and customer group; the first line that matches wins.';

-- once: remembered for ever, so that a later approval is not a first one. The ledger has its key too, whoever asks.
insert into tradeflow.rules (name, source, description, fires, condition, query) values (
  'approved_company_credit', 'store.companies', 'A company is approved for the first time', 'once',
  $$ new.status = 1 and old.status is distinct from 1 $$,
  $$
    select new.company_id, new.company_name, amount.amount, tradeflow.setting('approved_credit_currency') as currency_code,
           coalesce(a.email, new.company_email) as to_address, a.first_name
    from (
      select coalesce((
        select x.amount from approved_credits x
        where tradeflow.matches(x.segment, new.extra_fields ->> tradeflow.setting('segment_field'))
          and tradeflow.matches(x.customer_group, new.bc_customer_group_name)
        order by x.position limit 1), tradeflow.setting('approved_credit_amount')::numeric) as amount) amount
    left join lateral (
      select u.email, u.first_name from store.company_users u
      where u.company_id = new.company_id and u.role = 0 and u.email <> '' order by u.b2b_user_id limit 1) a on true
    where amount.amount > 0
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires,
  condition = excluded.condition, query = excluded.query;

-- The store knows only what is left, and sets it outright: the sum goes by way of tradeflow.ledger_entries, where its key counts
-- once. What counted (the cap may have cut it) is steps.credit.amount.
insert into tradeflow.actions (rule, step, name, kind, target, params) values
  ('approved_company_credit', 1, 'credit', 'bigcommerce.add_company_credit', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "amount": "{{ facts.amount }}", "key": "first approval",
     "currency": "{{ facts.currency_code }}", "cap": "{{ settings.approved_credit_cap }}", "reason": "approved for the first time", "enable": true}'),
  ('approved_company_credit', 2, 'mail', 'email', 'smtp',
   '{"to": "{{ facts.to_address }}", "template": "approved_company_credit",
     "when": "{{ facts.to_address is not none and steps.credit.amount > 0 }}"}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params;
