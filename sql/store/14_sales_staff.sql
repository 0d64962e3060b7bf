-- Sales representatives and the companies they look after (GET /sales-staffs, /sales-staffs/{id}).
-- The API has no change time and no webhook for either: an assignment is known only from the rep's detail payload.
create table if not exists store.sales_staff (
  sales_staff_id bigint primary key,
  email text,
  name text,
  phone text,
  role_name text,
  company_count integer,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists sales_staff_email_idx on store.sales_staff (lower(email));

comment on table store.sales_staff is 'Sales representatives (control-panel users). Source: GET /api/v3/io/sales-staffs.';
comment on column store.sales_staff.sales_staff_id is 'B2B Edition sales staff id (id). Super admins have other ids.';
comment on column store.sales_staff.email is 'Mail address of the rep; also what a quote calls salesRepEmail.';
comment on column store.sales_staff.name is 'Full name: salesRepName in lists, name in details.';
comment on column store.sales_staff.phone is 'phoneNumber; details only.';
comment on column store.sales_staff.role_name is 'roleName; lists only.';
comment on column store.sales_staff.company_count is 'Number of assigned companies as lists tell it (companyCount); the pairs are in company_sales_staff.';
comment on column store.sales_staff.raw is 'The payload as it came; top-level keys of list and detail payloads are merged.';
comment on column store.sales_staff.synced_at is 'When the loader last changed this row.';

create table if not exists store.company_sales_staff (
  company_id bigint not null,
  sales_staff_id bigint not null,
  assigned_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now(),
  primary key (company_id, sales_staff_id)
);
create index if not exists company_sales_staff_rep_idx on store.company_sales_staff (sales_staff_id);

comment on table store.company_sales_staff is
  'Which rep looks after which company. Source: assignedCompanies of a sales staff detail; pairs it no longer names are deleted.';
comment on column store.company_sales_staff.company_id is 'store.companies.company_id (assignedCompanies[].id).';
comment on column store.company_sales_staff.sales_staff_id is 'store.sales_staff.sales_staff_id.';
comment on column store.company_sales_staff.assigned_at is 'assignedAt (unix seconds).';
comment on column store.company_sales_staff.raw is 'The assignedCompanies element as it came.';
comment on column store.company_sales_staff.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.sales_staff, store.company_sales_staff to tradeflow_sync;
