-- welcome_company_user: somebody joins a company, and is told how quoting works and who looks after them.
--
-- When      a user was added to a company and a sales rep looks after it; without a rep, after some hours
-- Then      a mail to the user, one for each company they join
-- Settings  welcome_wait_hours: below; another mail for some roles or languages: table welcome_mails
-- Tables    store.company_users, store.companies, store.company_sales_staff (watched), store.sales_staff
-- Mails     templates/welcome_company_user
-- Needs     target smtp; settings shop_name, shop_url
--
-- A mass import can be silenced: set tradeflow.mode = 'silent' in the session that imports.

insert into tradeflow.settings (name, value, description) values
  ('welcome_wait_hours', '24', 'How long a welcome waits for a sales rep to be assigned')                   -- integer 0..720
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Which mail for whom: the first line that matches wins, a criterion that is NULL matches all. The language is what the user's
-- extra field Language says, else the company's extra field Preferred language.
create table if not exists welcome_mails (
  position int primary key,
  role_name text,
  language text,
  template text not null
);
comment on table welcome_mails is 'Mails of welcome_company_user by role and language; the first line that matches wins.';
insert into welcome_mails (position, template) values (1000, 'welcome_company_user')
on conflict (position) do update set role_name = excluded.role_name, language = excluded.language, template = excluded.template;

-- Everybody who belongs to a company is in this view. A row with a fire_at enters when that time comes: who has no rep yet waits
-- for one, until the hours are over (not if the store does not say when they were created). Who is in it when the rule is made counts as
-- welcomed.
create or replace view company_user_welcomes as
select u.b2b_user_id as subject, u.company_id::text as occurrence,
       case when rep.name is null
            then coalesce(u.created_at, '-infinity') + tradeflow.setting('welcome_wait_hours')::int * interval '1 hour' end as fire_at,
       u.email, coalesce(u.first_name, 'there') as first_name, u.role_name, c.company_name,
       rep.name as rep_name, rep.email as rep_email, rep.phone as rep_phone, m.template
from store.company_users u
join store.companies c on c.company_id = u.company_id
left join lateral (
  select s.name, s.email, s.phone
  from store.company_sales_staff a join store.sales_staff s on s.sales_staff_id = a.sales_staff_id
  where a.company_id = u.company_id
  order by a.assigned_at desc nulls last, s.sales_staff_id limit 1) rep on true
cross join lateral (
  select x.template from welcome_mails x
  where tradeflow.matches(x.role_name, u.role_name) and tradeflow.matches(x.language, coalesce(u.extra_fields ->> 'Language', c.extra_fields ->> 'Preferred language'))
  order by x.position limit 1) m
where u.email is not null;

insert into tradeflow.rules (name, view, description) values
  ('welcome_company_user', 'company_user_welcomes', 'A user was added to a company')
on conflict (name) do update set view = excluded.view, description = excluded.description;

-- Whom a changed row concerns.
insert into tradeflow.rule_inputs (rule, source, subject) values
  ('welcome_company_user', 'store.company_users', 'new.b2b_user_id'),
  ('welcome_company_user', 'store.companies', 'select u.b2b_user_id from store.company_users u where u.company_id = new.company_id'),
  ('welcome_company_user', 'store.company_sales_staff', 'select u.b2b_user_id from store.company_users u where u.company_id = new.company_id')
on conflict (rule, source) do update set subject = excluded.subject;

insert into tradeflow.actions (rule, step, kind, target, params) values (
  'welcome_company_user', 1, 'email', 'smtp',
  '{"to": "{{ facts.email }}", "template": "{{ facts.template }}"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
