-- People who buy for a company (GET /users). Super admins are not in that list.
create table if not exists store.company_users (
  b2b_user_id bigint primary key,
  company_id bigint,
  bc_customer_id bigint,
  email text,
  first_name text,
  last_name text,
  phone text,
  role smallint,
  role_name text generated always as (
    case role when 0 then 'Admin' when 1 then 'Senior Buyer' when 2 then 'Junior Buyer' end) stored,
  company_role_id bigint,
  company_role_name text,
  external_uuid text,
  channels jsonb,
  extra_fields jsonb,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists company_users_company_idx on store.company_users (company_id);
create index if not exists company_users_customer_idx on store.company_users (bc_customer_id);
create index if not exists company_users_email_idx on store.company_users (lower(email));
create index if not exists company_users_updated_at_idx on store.company_users (updated_at);

comment on table store.company_users is 'Buyers of B2B Edition companies, without super admins. Source: GET /api/v3/io/users.';
comment on column store.company_users.b2b_user_id is 'B2B Edition user id (id). Not the core customer id.';
comment on column store.company_users.company_id is 'The company the user belongs to (companyId): store.companies.company_id.';
comment on column store.company_users.bc_customer_id is 'Core customer id (customerId): joins store.orders.bc_customer_id.';
comment on column store.company_users.email is 'Mail address, unique within B2B Edition.';
comment on column store.company_users.first_name is 'firstName.';
comment on column store.company_users.last_name is 'lastName.';
comment on column store.company_users.phone is 'phoneNumber as typed by people.';
comment on column store.company_users.role is
  'role: 0 Admin, 1 Senior Buyer, 2 Junior Buyer. Every custom role shows 2 as well: company_role_id wins.';
comment on column store.company_users.role_name is 'role in words, for mails; NULL for a code unknown to this version. Computed.';
comment on column store.company_users.company_role_id is 'Role id in effect, built-in or custom (companyRoleId).';
comment on column store.company_users.company_role_name is 'Name of that role (companyRoleName), where sent.';
comment on column store.company_users.external_uuid is 'External id set by an integration (uuid). Not unique.';
comment on column store.company_users.channels is 'channelList as sent: [{channelId, channelName, …}].';
comment on column store.company_users.extra_fields is
  'Extra fields as one object {"field name": "value"} (extraFields[]; only sent with isIncludeExtraFields=1).';
comment on column store.company_users.created_at is 'createdAt (unix seconds).';
comment on column store.company_users.updated_at is 'updatedAt (unix seconds). An older payload never overwrites a newer row.';
comment on column store.company_users.raw is 'The payload as it came.';
comment on column store.company_users.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.company_users to tradeflow_sync;
