-- company_to_crm: companies and their people are companies and contacts in HubSpot.
--
-- When      a company that counts (by its status), or somebody who buys for it, is new or changed; however it came into the store
-- Then      the record in HubSpot is created or changed: found by its property bc_company_id or bc_user_id, which is made when it is not
--           there; one that people made before is taken over (contacts by their address, companies by what the setting says). Contacts
--           are associated with their company
-- Settings  crm_company_statuses, crm_company_match, crm_free_mail: below
-- Tables    store.companies (watched), store.company_users (watched)
-- Mails     none
-- Needs     target hubspot
--
-- Rows that are there already: select tradeflow.backfill('company_to_crm'), then 'company_to_crm_contacts'.

insert into tradeflow.settings (name, value, description) values
  ('crm_company_statuses', '1', 'Companies with these statuses go to HubSpot: 0 Pending, 1 Approved, 2 Rejected, 3 Inactive'),  -- integers
  ('crm_company_match', 'domain', 'What tells a company that people made in HubSpot; none: nothing'),                           -- one of domain, name, none
  ('crm_free_mail', 'gmail.com,googlemail.com,outlook.com,hotmail.com,live.com,yahoo.com,icloud.com,aol.com,gmx.de,gmx.net,web.de,proton.me', 'Domains of addresses that are nobody''s company')  -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- The token needs crm.objects.companies and crm.objects.contacts, read and write, and crm.schemas.companies.write, crm.schemas.contacts.write.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('hubspot', 'hubspot', 'https://api.hubapi.com', 'env:HUBSPOT_TOKEN')
on conflict (name) do nothing;

-- What HubSpot calls the company's domain: that of its address, unless anybody may have one there.
create or replace function crm_domain(email text) returns text
language sql stable
return (
  select d.domain from (select lower(nullif(split_part(email, '@', 2), ''))) d(domain)
  where d.domain <> all (string_to_array(lower(tradeflow.setting('crm_free_mail')), ',')));

-- What a company is in HubSpot, for the rules below.
create or replace view crm_companies as
select c.company_id, c.company_name, c.company_phone, crm_domain(c.company_email) as domain,
       case when tradeflow.setting('crm_company_match') <> 'none' then tradeflow.setting('crm_company_match') end as match
from store.companies c
where c.status = any (string_to_array(tradeflow.setting('crm_company_statuses'), ',')::smallint[]);

insert into tradeflow.rules (name, source, description, columns, fires, query) values (
  'company_to_crm', 'store.companies', 'A company is new or changed: its record in HubSpot follows',
  '{status,company_name,company_email,company_phone}', 'always',
  $$ select c.* from crm_companies c where c.company_id = new.company_id $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, query = excluded.query;

insert into tradeflow.actions (rule, step, name, kind, target, recheck, on_dead, params) values (
  'company_to_crm', 1, 'company', 'hubspot.upsert_company', 'hubspot', true, 'continue',
  '{"key": "{{ facts.company_id }}", "match": "{{ facts.match }}",
    "properties": {"name": "{{ facts.company_name }}", "domain": "{{ facts.domain }}", "phone": "{{ facts.company_phone }}"}}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, recheck = excluded.recheck,
  on_dead = excluded.on_dead, params = excluded.params;

-- People: when they change, and when their company begins to count. Their company is written first; what is there already as
-- it should be costs no request.
create or replace view crm_contacts as
select u.b2b_user_id, u.email, u.first_name, u.last_name, u.phone, u.role_name, c.company_id, c.company_name, c.company_phone, c.domain, c.match
from store.company_users u
join crm_companies c on c.company_id = u.company_id
where u.email is not null;

insert into tradeflow.rules (name, source, description, columns, fires, query) values (
  'company_to_crm_contacts', 'store.company_users', 'Somebody who buys for a company is new or changed: their record in HubSpot follows',
  '{company_id,email,first_name,last_name,phone,role}', 'always',
  $$ select c.* from crm_contacts c where c.b2b_user_id = new.b2b_user_id $$), (
  'company_to_crm_people', 'store.companies', 'A company begins to count: so do those who buy for it',
  '{status}', 'always',
  $$ select c.b2b_user_id::text as occurrence, c.* from crm_contacts c where c.company_id = new.company_id $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, query = excluded.query;

insert into tradeflow.actions (rule, step, name, kind, target, lane, recheck, on_dead, params)
select r.rule, s.step, s.name, s.kind, 'hubspot', 'contact {{ facts.b2b_user_id }}', true, 'continue', s.params::jsonb
from (values ('company_to_crm_contacts'), ('company_to_crm_people')) r(rule),
     (values
       (1, 'company', 'hubspot.upsert_company',
        '{"key": "{{ facts.company_id }}", "match": "{{ facts.match }}",
          "properties": {"name": "{{ facts.company_name }}", "domain": "{{ facts.domain }}", "phone": "{{ facts.company_phone }}"}}'),
       (2, 'contact', 'hubspot.upsert_contact',
        '{"key": "{{ facts.b2b_user_id }}", "match": "email",
          "properties": {"email": "{{ facts.email }}", "firstname": "{{ facts.first_name }}", "lastname": "{{ facts.last_name }}",
                         "phone": "{{ facts.phone }}", "jobtitle": "{{ facts.role_name }}", "company": "{{ facts.company_name }}"},
          "associate": [{"to": "companies", "id": "{{ steps.company.id }}"}]}')) s(step, name, kind, params)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  recheck = excluded.recheck, on_dead = excluded.on_dead, params = excluded.params;
