-- sales_staff_to_crm: who looks after a company in the store is the owner of its records in HubSpot.
--
-- When      a sales rep is assigned to a company, or somebody joins a company that has one
-- Then      the owner of the company and of its contacts in HubSpot is the user whom the rep is mapped to. A record that is not there
--           yet is waited for; a rep whom HubSpot does not know is an incident, and can be tried again once it does
-- Settings  none. Rep to owner: table crm_owners
-- Tables    store.company_sales_staff (watched), store.sales_staff (watched), store.company_users (watched)
-- Mails     none
-- Needs     target hubspot; records with bc_company_id and bc_user_id, as company_to_crm makes them

-- The token needs crm.objects.companies.write, crm.objects.contacts.write and crm.objects.owners.read.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('hubspot', 'hubspot', 'https://api.hubapi.com', 'env:HUBSPOT_TOKEN')
on conflict (name) do nothing;

-- Reps whose address in the store is not the one they have in HubSpot. Lines are people's: insert into rules.crm_owners …
create table if not exists crm_owners (
  sales_rep_email text primary key,
  owner_email text not null
);
comment on table crm_owners is 'Address in HubSpot of sales reps who have another one in the store.';

-- Who looks after whom: of several reps the one assigned last. The occurrence is the rep: another one is another answer, and an answer
-- that holds no more while its action still waits cancels that. An assignment that ends without another changes nothing in HubSpot.
create or replace view crm_company_owners as
select distinct on (a.company_id)
       a.company_id as subject, coalesce(o.owner_email, s.email) as occurrence,
       a.company_id, coalesce(o.owner_email, s.email) as owner_email, s.name as rep_name
from store.company_sales_staff a
join store.sales_staff s on s.sales_staff_id = a.sales_staff_id and s.email is not null
left join crm_owners o on lower(o.sales_rep_email) = lower(s.email)
order by a.company_id, a.assigned_at desc nulls last, a.sales_staff_id;

create or replace view crm_contact_owners as
select u.b2b_user_id as subject, o.occurrence, u.b2b_user_id, o.owner_email, o.rep_name
from store.company_users u
join crm_company_owners o on o.company_id = u.company_id;

insert into tradeflow.rules (name, view, description) values
  ('sales_staff_to_crm', 'crm_company_owners', 'A company has a sales rep: its record in HubSpot has an owner'),
  ('sales_staff_to_crm_contacts', 'crm_contact_owners', 'A contact''s company has a sales rep: their record in HubSpot has an owner')
on conflict (name) do update set view = excluded.view, description = excluded.description;

insert into tradeflow.rule_inputs (rule, source, subject) values
  ('sales_staff_to_crm', 'store.company_sales_staff', 'new.company_id'),
  ('sales_staff_to_crm', 'store.sales_staff', 'select a.company_id from store.company_sales_staff a where a.sales_staff_id = new.sales_staff_id'),
  ('sales_staff_to_crm_contacts', 'store.company_users', 'new.b2b_user_id'),
  ('sales_staff_to_crm_contacts', 'store.company_sales_staff', 'select u.b2b_user_id from store.company_users u where u.company_id = new.company_id'),
  ('sales_staff_to_crm_contacts', 'store.sales_staff',
   'select u.b2b_user_id from store.company_users u join store.company_sales_staff a using (company_id) where a.sales_staff_id = new.sales_staff_id')
on conflict (rule, source) do update set subject = excluded.subject;

-- A hundred attempts are about eight hours; recheck: by then another rep may have come. Each record is a lane of its own.
insert into tradeflow.actions (rule, step, kind, target, lane, max_attempts, recheck, on_dead, params) values
  ('sales_staff_to_crm', 1, 'hubspot.set_owner', 'hubspot', 'owner of company {{ facts.company_id }}', 100, true, 'continue',
   '{"object": "companies", "key": "{{ facts.company_id }}", "owner_email": "{{ facts.owner_email }}"}'),
  ('sales_staff_to_crm_contacts', 1, 'hubspot.set_owner', 'hubspot', 'owner of contact {{ facts.b2b_user_id }}', 100, true, 'continue',
   '{"object": "contacts", "key": "{{ facts.b2b_user_id }}", "owner_email": "{{ facts.owner_email }}"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  max_attempts = excluded.max_attempts, recheck = excluded.recheck, on_dead = excluded.on_dead, params = excluded.params;
