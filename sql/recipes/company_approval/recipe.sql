-- company_approval: a company that applies is approved, rejected or put before a person, by criteria.
--
-- When      a company form was submitted: a company is Pending
-- Then      the first line of company_approval_criteria that matches decides. approve: status Approved, then a sales rep is assigned, then a mail to the
--           company, each after the one before succeeded. reject: status Rejected, then a mail. review: a task, and nothing is sent until
--           somebody decides it; past its deadline owner_email is told. Whatever people decide meanwhile counts
-- Settings  company_industry_field, company_model_field, company_region_field, approval_review_hours: below
-- Tables    store.companies, tradeflow.tasks (watched), store.company_sales_staff, store.sales_staff; company_approval_criteria,
--           tradeflow.pools, tradeflow.pool_members
-- Mails     templates/company_approved, company_rejected, company_review_overdue
-- Needs     targets bigcommerce, smtp; settings owner_email, shop_name, shop_url; people in the pool sales_reps
--
-- Deciding a task: select tradeflow.decide(id, 'approve'), or 'reject'; `select * from tradeflow.tasks where pool = 'company_approval'` are all.

insert into tradeflow.settings (name, value, description) values
  ('company_industry_field', 'Industry', 'The extra field of companies that says their industry'),                -- text
  ('company_model_field', 'Business model', 'The extra field of companies that says their business model'),       -- text
  ('company_region_field', 'Region', 'The extra field of companies that says their region; without it: the state, then the country'),  -- text
  ('approval_review_hours', '48', 'Within how many hours a person should decide about a company')                 -- integer 1..720
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Where the store is: each environment has its own, which operators set.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Who is in turn; see assign_sales_staff, which has the same pool. A member is the id or the mail address of a sales rep of the store.
insert into tradeflow.pools (name, description) values ('sales_reps', 'Sales reps who get companies') on conflict do nothing;

-- The first line that matches wins, a criterion that is NULL matches all. decision: approve, review or reject; pool and reps: who is to look
-- after the company then. Without further lines, people decide about all.
--   insert into company_approval_criteria (position, industry, region, decision, reps) values
--     (10, '{Dental,Medical}', '{Germany}', 'approve', '{rita@example.com}');
--   insert into company_approval_criteria (position, email_domain, decision) values (20, '{mailinator.com}', 'reject');
create table if not exists company_approval_criteria (
  position int primary key,
  industry text[],
  business_model text[],
  region text[],
  customer_group text[],
  email_domain text[],
  decision text not null check (decision in ('approve', 'review', 'reject')),
  pool text not null default 'sales_reps',
  reps text[]
);
comment on table company_approval_criteria is 'What becomes of companies that apply, for company_approval; the first line that matches wins.';
insert into company_approval_criteria (position, decision) values (1000, 'review') on conflict do nothing;

create or replace view company_applications as
select p.*, d.position as line, d.decision, d.pool, d.reps
from (
  select c.company_id, c.company_name, c.company_email, c.company_phone, c.status, c.bc_customer_group_name as customer_group,
         nullif(c.extra_fields ->> tradeflow.setting('company_industry_field'), '') as industry,
         nullif(c.extra_fields ->> tradeflow.setting('company_model_field'), '') as business_model,
         coalesce(nullif(c.extra_fields ->> tradeflow.setting('company_region_field'), ''), nullif(c.raw ->> 'state', ''), nullif(c.raw ->> 'country', '')) as region,
         lower(split_part(c.company_email, '@', 2)) as email_domain
  from store.companies c) p
cross join lateral (
  select x.* from company_approval_criteria x
  where tradeflow.matches(x.industry, p.industry) and tradeflow.matches(x.business_model, p.business_model)
    and tradeflow.matches(x.region, p.region) and tradeflow.matches(x.customer_group, p.customer_group)
    and tradeflow.matches(x.email_domain, p.email_domain)
  order by x.position limit 1) d;

-- Who looks after a company that is approved: who does already, else whose turn it is. It writes, so it is called in a step.
create or replace function pick_approval_rep(company bigint) returns jsonb
language plpgsql
as $$
declare
  line     record;
  rep      text;
  someone  jsonb;
begin
  select a.sales_staff_id into rep
  from store.company_sales_staff a where a.company_id = company order by a.assigned_at, a.sales_staff_id limit 1;
  if rep is null then
    select a.pool, a.reps into line from company_applications a where a.company_id = company;
    rep := tradeflow.pick(coalesce(line.pool, 'sales_reps'), 'rep of company ' || company, array(
      select m.member
      from tradeflow.pool_members m join store.sales_staff s on m.member = s.sales_staff_id::text or lower(m.member) = lower(s.email)
      where m.pool = coalesce(line.pool, 'sales_reps')
        and (line.reps is null or m.member = any (line.reps) or s.sales_staff_id::text = any (line.reps) or s.email = any (line.reps))));
  end if;
  select to_jsonb(s) - 'raw' - 'synced_at' into someone
  from store.sales_staff s where s.sales_staff_id::text = rep or lower(s.email) = lower(rep) order by s.sales_staff_id limit 1;
  if someone is null then
    raise exception 'nobody can look after company %: everybody in pool % is absent, has reached their cap or is no sales staff of the store',
        company, coalesce(line.pool, 'sales_reps')
      using errcode = 'no_data_found', hint = 'put somebody into tradeflow.pool_members; then tradeflow dead retry --rule company_approval';
  end if;
  return someone;
end
$$;

-- A task is decided, or its time passes, in its table.
select tradeflow.watch('tradeflow.tasks');

insert into tradeflow.rules (name, source, description, condition, query) values
  ('company_approval', 'store.companies', 'A company applies and the criteria approve it', $$ new.status = 0 $$,
   $$ select a.* from company_applications a where a.company_id = new.company_id and a.decision = 'approve' $$),
  ('company_rejection', 'store.companies', 'A company applies and the criteria reject it', $$ new.status = 0 $$,
   $$ select a.* from company_applications a where a.company_id = new.company_id and a.decision = 'reject' $$),
  ('company_review', 'store.companies', 'A company applies and a person has to decide', $$ new.status = 0 $$,
   $$ select a.* from company_applications a where a.company_id = new.company_id and a.decision = 'review' $$),
  ('company_review_approved', 'tradeflow.tasks', 'A person approves a company', $$ new.rule = 'company_review' and new.outcome = 'approve' $$,
   $$ select a.*, new.decided_by, new.note from company_applications a where a.company_id = new.subject::bigint and a.status = 0 $$),
  ('company_review_rejected', 'tradeflow.tasks', 'A person rejects a company', $$ new.rule = 'company_review' and new.outcome = 'reject' $$,
   $$ select a.*, new.decided_by, new.note from company_applications a where a.company_id = new.subject::bigint and a.status = 0 $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, condition = excluded.condition, query = excluded.query;

-- The deadline: when it comes it is asked whether the task is open and the company still waits.
insert into tradeflow.rules (name, source, description, condition, query, fire_at) values (
  'company_review_overdue', 'tradeflow.tasks', 'Nobody has decided about a company in time',
  $$ new.rule = 'company_review' and new.decided_at is null and new.due_at is not null $$,
  $$ select a.*, new.id as task_id, new.due_at from company_applications a where a.company_id = new.subject::bigint and a.status = 0 $$,
  'new.due_at')
on conflict (name) do update set source = excluded.source, description = excluded.description, condition = excluded.condition, query = excluded.query,
  fire_at = excluded.fire_at;

-- What people decided wins over what comes late. recheck: known here, the firing is cancelled before it begins. only_if: decided in the store
-- a moment ago, the status is left and nothing follows.
insert into tradeflow.actions (rule, step, name, kind, target, params, recheck) values
  ('company_approval', 1, 'status', 'bigcommerce.set_company_status', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "status": "approved", "only_if": "pending"}', true),
  ('company_approval', 2, 'rep', 'sql', null, '{"function": "pick_approval_rep", "args": {"company": "{{ facts.company_id }}"}}', false),
  ('company_approval', 3, 'assign', 'bigcommerce.assign_sales_staff', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "sales_staff_id": "{{ steps.rep.value.sales_staff_id }}"}', false),
  ('company_approval', 4, 'tell', 'email', 'smtp',
   '{"to": "{{ facts.company_email }}", "cc": "{{ steps.rep.value.email }}", "template": "company_approved"}', false),

  ('company_rejection', 1, 'status', 'bigcommerce.set_company_status', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "status": "rejected", "only_if": "pending"}', true),
  ('company_rejection', 2, 'tell', 'email', 'smtp', '{"to": "{{ facts.company_email }}", "template": "company_rejected"}', false),

  ('company_review', 1, 'ask', 'task', null,
   '{"pool": "company_approval", "title": "Approve {{ facts.company_name }}?", "options": ["approve", "reject"], "due_in": "{{ settings.approval_review_hours }} hours",
     "body": "Company {{ facts.company_id }}, {{ facts.company_email }}. Industry: {{ facts.industry }}. Business model: {{ facts.business_model }}. Region: {{ facts.region }}."}', true),

  ('company_review_approved', 1, 'status', 'bigcommerce.set_company_status', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "status": "approved", "only_if": "pending"}', false),
  ('company_review_approved', 2, 'rep', 'sql', null, '{"function": "pick_approval_rep", "args": {"company": "{{ facts.company_id }}"}}', false),
  ('company_review_approved', 3, 'assign', 'bigcommerce.assign_sales_staff', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "sales_staff_id": "{{ steps.rep.value.sales_staff_id }}"}', false),
  ('company_review_approved', 4, 'tell', 'email', 'smtp',
   '{"to": "{{ facts.company_email }}", "cc": "{{ steps.rep.value.email }}", "template": "company_approved"}', false),

  ('company_review_rejected', 1, 'status', 'bigcommerce.set_company_status', 'bigcommerce',
   '{"company_id": "{{ facts.company_id }}", "status": "rejected", "only_if": "pending"}', false),
  ('company_review_rejected', 2, 'tell', 'email', 'smtp', '{"to": "{{ facts.company_email }}", "template": "company_rejected"}', false),

  ('company_review_overdue', 1, 'tell', 'email', 'smtp', '{"to": "{{ settings.owner_email }}", "template": "company_review_overdue"}', false)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params, recheck = excluded.recheck;
