-- Credit and payment terms, one call per company and no webhook (GET /companies/{companyId}/credit, …/payment-terms).
create table if not exists store.company_credit (
  company_id bigint primary key,
  credit_enabled boolean,
  credit_currency text,
  available_credit numeric(20,4),
  limit_purchases boolean,
  credit_hold boolean,
  raw jsonb,
  synced_at timestamptz not null default now()
);
comment on table store.company_credit is
  'Company credit. Source: GET /api/v3/io/companies/{companyId}/credit. A copy; writing back sets the amount outright.';
comment on column store.company_credit.company_id is 'store.companies.company_id (from the request path).';
comment on column store.company_credit.credit_enabled is 'creditEnabled.';
comment on column store.company_credit.credit_currency is 'ISO 4217 code of available_credit (creditCurrency).';
comment on column store.company_credit.available_credit is
  'availableCredit: the amount still left, in credit_currency. Every order on credit lowers it.';
comment on column store.company_credit.limit_purchases is 'limitPurchases: true blocks orders above the remaining credit.';
comment on column store.company_credit.credit_hold is 'creditHold: true blocks buying on credit altogether.';
comment on column store.company_credit.raw is 'The payload as it came.';
comment on column store.company_credit.synced_at is 'When this row was last changed by the sync.';

create table if not exists store.company_payment_terms (
  company_id bigint primary key,
  is_enabled boolean,
  payment_terms_days smallint,
  raw jsonb,
  synced_at timestamptz not null default now()
);
comment on table store.company_payment_terms is
  'Net payment terms. Source: GET /api/v3/io/companies/{companyId}/payment-terms.';
comment on column store.company_payment_terms.company_id is 'store.companies.company_id (from the request path).';
comment on column store.company_payment_terms.is_enabled is 'isEnabled: the company has terms of its own.';
comment on column store.company_payment_terms.payment_terms_days is
  'paymentTerms in days: 0, 5, 15, 30, 45 or 60. When is_enabled is false it only echoes the store default.';
comment on column store.company_payment_terms.raw is 'The payload as it came.';
comment on column store.company_payment_terms.synced_at is 'When this row was last changed by the sync.';

grant select, insert, update, delete on store.company_credit, store.company_payment_terms to tradeflow_sync;
