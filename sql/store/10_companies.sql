-- B2B Edition companies (GET /companies, /companies/{companyId}).
create table if not exists store.companies (
  company_id bigint primary key,
  company_name text,
  company_email text,
  company_phone text,
  status smallint,
  status_name text generated always as (
    case status when 0 then 'Pending' when 1 then 'Approved' when 2 then 'Rejected' when 3 then 'Inactive' end) stored,
  bc_customer_group_id bigint,
  bc_customer_group_name text,
  catalog_id bigint,
  catalog_name text,
  parent_company_id bigint,
  parent_company_name text,
  price_lists jsonb,
  external_uuid text,
  extra_fields jsonb,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists companies_status_idx on store.companies (status);
create index if not exists companies_updated_at_idx on store.companies (updated_at);
create index if not exists companies_email_idx on store.companies (lower(company_email));
create index if not exists companies_group_idx on store.companies (bc_customer_group_id);

comment on table store.companies is 'B2B Edition companies. Source: GET /api/v3/io/companies and /companies/{companyId}.';
comment on column store.companies.company_id is 'B2B Edition company id (companyId; the API sends int or string).';
comment on column store.companies.company_name is 'Display name (companyName). Not unique.';
comment on column store.companies.company_email is 'Contact address of the company (companyEmail); people are in company_users.';
comment on column store.companies.company_phone is 'Phone as typed by people (companyPhone).';
comment on column store.companies.status is 'companyStatus: 0 Pending, 1 Approved, 2 Rejected, 3 Inactive.';
comment on column store.companies.status_name is 'status in words, for mails; NULL for a code unknown to this version. Computed.';
comment on column store.companies.bc_customer_group_id is 'Core customer group (bcGroupId; int in lists, string in details; 0, none, is stored as NULL).';
comment on column store.companies.bc_customer_group_name is 'Name of the core customer group (bcGroupName).';
comment on column store.companies.catalog_id is 'B2B catalog, i.e. core price list (catalogId).';
comment on column store.companies.catalog_name is 'Name of that catalog (catalogName).';
comment on column store.companies.parent_company_id is 'Parent in the company hierarchy (parentCompany.id).';
comment on column store.companies.parent_company_name is 'Name of the parent (parentCompany.name).';
comment on column store.companies.price_lists is 'priceListAssign as sent: [{channelId, priceListId, priceListName, channelName}].';
comment on column store.companies.external_uuid is 'External id set by an integration (uuid). Text: nothing forces it to be a UUID.';
comment on column store.companies.extra_fields is
  'Extra fields as one object {"field name": "value"} (extraFields[]; only sent with isIncludeExtraFields=1).';
comment on column store.companies.created_at is 'createdAt (unix seconds, often as a string).';
comment on column store.companies.updated_at is 'updatedAt (unix seconds, often as a string). An older payload never overwrites a newer row.';
comment on column store.companies.raw is 'The payload as it came; top-level keys of list and detail payloads are merged.';
comment on column store.companies.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.companies to tradeflow_sync;
