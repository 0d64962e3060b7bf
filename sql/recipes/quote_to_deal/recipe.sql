-- quote_to_deal: each quote is a deal in HubSpot, whose stage, amount and owner follow it.
--
-- When      a quote is inserted, or one of its status, total, buyer, title, expiry or rep changes
-- Then      the deal is created or changed (found by its property bc_quote_id, which is made when it is not there), and associated
--           with company and contact; its owner is whom the quote's sales rep is mapped to. A closed deal stays closed
-- Settings  deal_pipeline, deal_associations: below. Stage of each status: table quote_deal_stages; rep to owner: table crm_owners
-- Tables    store.quotes (watched), store.company_users
-- Mails     none
-- Needs     target hubspot

insert into tradeflow.settings (name, value, description) values
  ('deal_pipeline', 'default', 'The pipeline of deals in HubSpot: its id or label'),                              -- text
  ('deal_associations', 'if_there', 'Whether a deal waits for its company and contact to be in HubSpot')          -- one of if_there, wait
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- The token needs crm.objects.deals.write, crm.objects.companies.read, crm.objects.contacts.read, crm.objects.owners.read and
-- crm.schemas.deals.write.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('hubspot', 'hubspot', 'https://api.hubapi.com', 'env:HUBSPOT_TOKEN')
on conflict (name) do nothing;

-- A stage is an id or a label; NULL: a quote with this status is no deal. These are the stages that every account begins with.
create table if not exists quote_deal_stages (
  status smallint primary key,
  status_name text not null,
  stage text
);
comment on table quote_deal_stages is 'Stage of the deal for each status of a quote (quote_to_deal).';
insert into quote_deal_stages (status, status_name, stage) values
  (7, 'Draft', null),
  (0, 'New', 'appointmentscheduled'),
  (2, 'In Process', 'qualifiedtobuy'),
  (3, 'Updated by customer', 'contractsent'),
  (4, 'Ordered', 'closedwon'),
  (5, 'Expired', 'closedlost'),
  (6, 'Archived', 'closedlost')
on conflict (status) do update set status_name = excluded.status_name, stage = excluded.stage;

-- Reps whose address in the store is not the one they have in HubSpot. Lines are people's: insert into rules.crm_owners …
create table if not exists crm_owners (
  sales_rep_email text primary key,
  owner_email text not null
);
comment on table crm_owners is 'Address in HubSpot of sales reps who have another one in the store.';

insert into tradeflow.rules (name, source, description, columns, fires, query) values (
  'quote_to_deal', 'store.quotes', 'A quote is new or changed: its deal follows',
  '{status,grand_total,currency_code,quote_title,company_id,company_name,contact_email,contact_name,expired_at,bc_order_id}', 'always',
  $$
    select new.quote_id, new.quote_number, new.company_id, u.b2b_user_id, s.stage, new.grand_total,
           concat_ws(' · ', coalesce(new.company_name, new.contact_name, new.contact_email), coalesce(new.quote_title, new.quote_number)) as deal_name,
           to_char(new.expired_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as close_date,
           concat_ws(E'\n', 'Quote ' || new.quote_number || ' (' || coalesce(new.status_name, new.status::text) || ')',
                     'Amounts in ' || new.currency_code, 'Order ' || new.bc_order_id) as description,
           company.other_id as company_crm_id, contact.other_id as contact_crm_id
    from quote_deal_stages s
    left join store.company_users u on lower(u.email) = lower(new.contact_email)
    left join tradeflow.links company on company.target = 'hubspot' and company.object = 'company'
      and company.source = 'store.companies' and company.subject = new.company_id::text
    left join tradeflow.links contact on contact.target = 'hubspot' and contact.object = 'contact'
      and contact.source = 'store.company_users' and contact.subject = u.b2b_user_id::text
    where s.status = new.status and s.stage is not null
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, query = excluded.query;

-- recheck: what is sent is the quote as it is then, so after a time without HubSpot a burst of edits is its last state. The lane is
-- the deal's, which order_to_deal writes as well; on_dead: the next edit says everything again, so it need not wait for a person.
insert into tradeflow.actions (rule, step, name, kind, target, lane, recheck, on_dead, params) values (
  'quote_to_deal', 1, 'deal', 'hubspot.upsert_deal', 'hubspot', 'deal of quote {{ facts.quote_id }}', true, 'continue',
  '{"key": "{{ facts.quote_id }}", "forward_only": true, "pipeline": "{{ settings.deal_pipeline }}", "stage": "{{ facts.stage }}",
    "properties": {"dealname": "{{ facts.deal_name }}", "amount": "{{ facts.grand_total }}", "closedate": "{{ facts.close_date }}",
                   "description": "{{ facts.description }}"},
    "associate": [
      {"to": "companies", "id": "{{ facts.company_crm_id }}", "key": "{{ facts.company_id }}", "required": "{{ settings.deal_associations == ''wait'' }}"},
      {"to": "contacts", "id": "{{ facts.contact_crm_id }}", "key": "{{ facts.b2b_user_id }}", "required": "{{ settings.deal_associations == ''wait'' }}"}]}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  recheck = excluded.recheck, on_dead = excluded.on_dead, params = excluded.params;

-- Who looks after the deal, apart from it: a rep whom HubSpot does not know is an incident, and the deal goes on. It waits for the
-- deal to be there.
insert into tradeflow.rules (name, source, description, columns, fires, query) values (
  'quote_to_deal_owner', 'store.quotes', 'A quote has another sales rep: its deal has another owner', '{sales_rep_email,status}', 'always',
  $$
    select new.quote_id, coalesce(o.owner_email, new.sales_rep_email) as owner_email
    from quote_deal_stages s
    left join crm_owners o on lower(o.sales_rep_email) = lower(new.sales_rep_email)
    where s.status = new.status and s.stage is not null and new.sales_rep_email is not null
      and (new.sales_rep_email is distinct from old.sales_rep_email
           or not exists (select from quote_deal_stages before where before.status = old.status and before.stage is not null))
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, query = excluded.query;

insert into tradeflow.actions (rule, step, kind, target, lane, max_attempts, on_dead, params) values (
  'quote_to_deal_owner', 1, 'hubspot.set_owner', 'hubspot', 'owner of quote {{ facts.quote_id }}', 100, 'continue',
  '{"object": "deals", "key": "{{ facts.quote_id }}", "owner_email": "{{ facts.owner_email }}"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, lane = excluded.lane,
  max_attempts = excluded.max_attempts, on_dead = excluded.on_dead, params = excluded.params;
