-- B2B invoices (GET /api/v3/io/ip/invoices): no modified filter and no webhook, so the sync walks the list by updatedAt.
create table if not exists store.invoices (
  invoice_id bigint primary key,
  company_id bigint,
  invoice_number text,
  type text,
  status smallint,
  status_name text generated always as (
    case status when 0 then 'Open' when 1 then 'Partially paid' when 2 then 'Paid' end) stored,
  order_number text,
  purchase_order_number text,
  currency_code text,
  original_balance numeric(20,4),
  open_balance numeric(20,4),
  is_pending_payment boolean,
  source smallint,
  external_id text,
  external_customer_id text,
  due_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists invoices_company_idx on store.invoices (company_id);
create index if not exists invoices_order_number_idx on store.invoices (order_number);
create index if not exists invoices_number_idx on store.invoices (invoice_number);
create index if not exists invoices_open_idx on store.invoices (due_at) where status in (0, 1);

comment on table store.invoices is 'B2B invoices. Source: GET /api/v3/io/ip/invoices.';
comment on column store.invoices.invoice_id is 'B2B invoice id (id).';
comment on column store.invoices.company_id is 'store.companies.company_id (customerId: despite its name the B2B company, as a string).';
comment on column store.invoices.invoice_number is 'invoiceNumber, unique in the store.';
comment on column store.invoices.type is 'type as sent.';
comment on column store.invoices.status is 'status: 0 Open, 1 Partially paid, 2 Paid. "Overdue" exists in the portal only: compare due_at.';
comment on column store.invoices.status_name is 'status in words, for mails; NULL for a code unknown to this version. Computed.';
comment on column store.invoices.order_number is
  'orderNumber: store.orders.bc_order_id as text for B2B invoices, free text for external ones. Compare as text.';
comment on column store.invoices.purchase_order_number is 'purchaseOrderNumber.';
comment on column store.invoices.currency_code is 'ISO 4217 code of the balances (openBalance.code).';
comment on column store.invoices.original_balance is 'Amount invoiced, in currency_code (originalBalance.value, a string).';
comment on column store.invoices.open_balance is 'Amount still to pay, in currency_code (openBalance.value, a string).';
comment on column store.invoices.is_pending_payment is 'A payment is being processed (isPendingPayment 0/1).';
comment on column store.invoices.source is 'source: 0 B2B Edition, 1 external.';
comment on column store.invoices.external_id is 'externalId.';
comment on column store.invoices.external_customer_id is 'externalCustomerId.';
comment on column store.invoices.due_at is 'dueDate (unix seconds).';
comment on column store.invoices.created_at is 'createdAt.';
comment on column store.invoices.updated_at is 'updatedAt.';
comment on column store.invoices.raw is 'The payload as it came.';
comment on column store.invoices.synced_at is 'When this row was last changed by the sync.';

grant select, insert, update, delete on store.invoices to tradeflow_sync;
