-- assign_sales_staff: a company that nobody looks after gets a sales rep, by industry, business model, region and what it buys.
--
-- When      a company is approved, or its criteria change, and no rep looks after it yet. Once assigned it stays: neither other
--           criteria nor other weights move a company
-- Then      a rep is picked and assigned in the store: among those of the first line of sales_staff_criteria that matches, in turn by weight,
--           without those who are absent or have enough; then a mail to the rep
-- Settings  assign_company_statuses, company_industry_field, company_model_field, company_region_field, sales_history_days,
--           sales_fallback: below
-- Tables    store.companies (watched), store.company_sales_staff, store.sales_staff, store.orders; sales_staff_criteria,
--           tradeflow.pools, tradeflow.pool_members
-- Mails     templates/assign_sales_staff
-- Needs     targets bigcommerce, smtp; settings shop_name, shop_url; people in the pool sales_reps

insert into tradeflow.settings (name, value, description) values
  ('assign_company_statuses', '1', 'In which statuses a company gets a rep: 0 Pending, 1 Approved'),              -- integers
  ('company_industry_field', 'Industry', 'The extra field of companies that says their industry'),                -- text
  ('company_model_field', 'Business model', 'The extra field of companies that says their business model'),       -- text
  ('company_region_field', 'Region', 'The extra field of companies that says their region; without it: the state, then the country'),  -- text
  ('sales_history_days', '365', 'How many days of orders count as what a company buys'),                          -- integer 1..3650
  ('sales_fallback', '', 'Who gets a company when nobody of the pool can: id or address of a rep; empty: an incident says so')         -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Where the store is: each environment has its own, which operators set.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Who is in turn. A member is the id or the mail address of a sales rep of the store; weight, cap and absences are columns:
--   insert into tradeflow.pool_members (pool, member, weight, cap) values ('sales_reps', 'rita@example.com', 2, 40);
--   update tradeflow.pool_members set absent = '{[2026-12-21,2027-01-04)}' where member = 'rita@example.com';
insert into tradeflow.pools (name, description) values ('sales_reps', 'Sales reps who get companies') on conflict do nothing;

-- For whom: the first line that matches wins, a criterion that is NULL matches all. reps: only these of the pool, by id or address.
create table if not exists sales_staff_criteria (
  position int primary key,
  industry text[],
  business_model text[],
  region text[],
  customer_group text[],
  spent numrange,
  orders int4range,
  pool text not null,
  reps text[]
);
comment on table sales_staff_criteria is 'Which reps get which companies, for assign_sales_staff; the first line that matches wins.';
insert into sales_staff_criteria (position, pool) values (1000, 'sales_reps') on conflict do nothing;

-- What the criteria are compared with. Orders that are unfinished, refunded, cancelled or declined are no purchases; sums are in the
-- store's currency.
create or replace view sales_profiles as
select c.company_id, c.company_name, c.company_email, c.company_phone, c.bc_customer_group_name as customer_group,
       nullif(c.extra_fields ->> tradeflow.setting('company_industry_field'), '') as industry,
       nullif(c.extra_fields ->> tradeflow.setting('company_model_field'), '') as business_model,
       coalesce(nullif(c.extra_fields ->> tradeflow.setting('company_region_field'), ''), nullif(c.raw ->> 'state', ''), nullif(c.raw ->> 'country', '')) as region,
       bought.spent, bought.orders
from store.companies c
cross join lateral (
  select coalesce(round(sum((o.total - coalesce(o.refunded_amount, 0)) / coalesce(nullif(o.store_exchange_rate, 0), 1)), 2), 0) as spent, count(*)::int as orders
  from store.orders o
  where o.company_id = c.company_id and o.placed_at > tradeflow.now() - make_interval(days => tradeflow.setting('sales_history_days')::int)
    and o.status_id not in (0, 4, 5, 6) and o.is_deleted is not true) bought;

-- Who gets this company. Whoever looks after it already does; else the line's pool has its turn; else it is the fallback's. It writes
-- (who was picked stays picked), so it is called in a step, never in a question.
create or replace function pick_sales_rep(company bigint) returns jsonb
language plpgsql
as $$
declare
  line      record;
  rep       text;
  subject   text := 'rep of company ' || company;
  someone   jsonb;
begin
  select a.sales_staff_id into rep
  from store.company_sales_staff a where a.company_id = company order by a.assigned_at, a.sales_staff_id limit 1;
  if rep is null then
    select x.* into line
    from sales_profiles p join sales_staff_criteria x
      on tradeflow.matches(x.industry, p.industry) and tradeflow.matches(x.business_model, p.business_model)
     and tradeflow.matches(x.region, p.region) and tradeflow.matches(x.customer_group, p.customer_group)
     and tradeflow.matches(x.spent, p.spent) and tradeflow.matches(x.orders, p.orders)
    where p.company_id = company order by x.position limit 1;
    -- One at a time, so that caps are exact: what people assigned in the store counts too.
    perform from tradeflow.pools q where q.name = line.pool for update;
    rep := tradeflow.pick(line.pool, subject, array(
      select m.member
      from tradeflow.pool_members m join store.sales_staff s on m.member = s.sales_staff_id::text or lower(m.member) = lower(s.email)
      where m.pool = line.pool
        and (line.reps is null or m.member = any (line.reps) or s.sales_staff_id::text = any (line.reps) or s.email = any (line.reps))
        and (m.cap is null or m.cap > (
          select count(*) from (
            select 'rep of company ' || a.company_id from store.company_sales_staff a where a.sales_staff_id = s.sales_staff_id
            union select a.subject from tradeflow.assignments a where a.pool = m.pool and a.member = m.member) has))));
  end if;
  rep := coalesce(rep, nullif(tradeflow.setting('sales_fallback'), ''));
  select to_jsonb(s) - 'raw' - 'synced_at' into someone
  from store.sales_staff s where s.sales_staff_id::text = rep or lower(s.email) = lower(rep) order by s.sales_staff_id limit 1;
  if someone is null then
    raise exception 'nobody can look after company %: %', company,
        case when rep is not null then format('"%s" is no sales staff of the store', rep)
             when line.pool is null then 'no line of sales_staff_criteria matches it'
             else format('everybody in pool %s is absent, has reached their cap or is no sales staff of the store', line.pool) end
      using errcode = 'no_data_found',
            hint = 'put somebody into tradeflow.pool_members, or set sales_fallback; then tradeflow dead retry --rule assign_sales_staff';
  end if;
  return someone;
end
$$;

-- fires always, at changes of what the criteria may read: a company for which there was no answer gets another chance. Who has a rep, or
-- was given one that the sync has not brought back yet, is no answer.
insert into tradeflow.rules (name, source, description, fires, columns, condition, query) values (
  'assign_sales_staff', 'store.companies', 'A company has no sales rep', 'always', '{status,extra_fields,bc_customer_group_name}',
  $$ new.status = any (string_to_array(tradeflow.setting('assign_company_statuses'), ',')::int[]) $$,
  $$
    select p.*
    from sales_profiles p
    where p.company_id = new.company_id
      and not exists (select from store.company_sales_staff a where a.company_id = new.company_id)
      and not exists (select from tradeflow.assignments a where a.subject = 'rep of company ' || new.company_id)
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires, columns = excluded.columns,
  condition = excluded.condition, query = excluded.query;

-- recheck: of two changes in a row the second finds the company served. only_if_none: somebody may have assigned a rep by hand a moment
-- ago; then it is theirs, and no mail goes out.
insert into tradeflow.actions (rule, step, name, kind, target, params, recheck) values
  ('assign_sales_staff', 1, 'pick', 'sql', null,
   '{"function": "pick_sales_rep", "args": {"company": "{{ facts.company_id }}"}}', true),
  ('assign_sales_staff', 2, 'assign', 'bigcommerce.assign_sales_staff', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "sales_staff_id": "{{ steps.pick.value.sales_staff_id }}", "only_if_none": true}', false),
  ('assign_sales_staff', 3, 'tell', 'email', 'smtp',
   '{"to": "{{ steps.pick.value.email }}", "template": "assign_sales_staff"}', false)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params, recheck = excluded.recheck;
