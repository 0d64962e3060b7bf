-- Quotes (GET /rfq and /rfq/{quote_id}). The list names the company by text only and has neither totals nor lines;
-- the detail adds them. An absent key keeps what is stored, an explicit null clears it.
create table if not exists store.quotes (
  quote_id bigint primary key,
  quote_uuid text,
  quote_number text,
  quote_title text,
  reference_number text,
  status smallint,
  status_name text generated always as (
    case status when 0 then 'New' when 2 then 'In Process' when 3 then 'Updated by customer' when 4 then 'Ordered'
                when 5 then 'Expired' when 6 then 'Archived' when 7 then 'Draft' end) stored,
  company_id bigint,
  company_name text,
  contact_name text,
  contact_email text,
  contact_phone text,
  created_by text,
  recipients text[],
  sales_rep_name text,
  sales_rep_email text,
  sales_rep_phone text,
  currency_code text,
  currency_exchange_rate numeric(20,10),
  subtotal numeric(20,4),
  discount numeric(20,4),
  discount_type smallint,
  discount_value numeric(20,4),
  shipping_total numeric(20,4),
  tax_total numeric(20,4),
  total_amount numeric(20,4),
  grand_total numeric(20,4),
  allow_checkout boolean,
  display_discount boolean,
  shipping_method text,
  notes text,
  legal_terms text,
  bc_order_id bigint,
  b2b_order_id bigint,
  channel_id bigint,
  channel_name text,
  extra_fields jsonb,
  created_at timestamptz,
  updated_at timestamptz,
  expired_at timestamptz,
  expires_on date generated always as ((expired_at at time zone 'UTC')::date) stored,
  raw jsonb,
  synced_at timestamptz not null default now()
);
create index if not exists quotes_company_idx on store.quotes (company_id);
create index if not exists quotes_status_idx on store.quotes (status, expired_at);
create index if not exists quotes_updated_at_idx on store.quotes (updated_at);
create index if not exists quotes_bc_order_idx on store.quotes (bc_order_id) where bc_order_id is not null;
create index if not exists quotes_number_idx on store.quotes (quote_number);

comment on table store.quotes is
  'B2B Edition quotes, one row each. Source: GET /api/v3/io/rfq (list) and /rfq/{quote_id} (detail). Lines: store.quote_items.';
comment on column store.quotes.quote_id is 'B2B Edition quote id (quoteId).';
comment on column store.quotes.quote_uuid is 'Quote uuid as webhooks and the storefront name it (quoteUuid, quote_uuid or uuid), where sent.';
comment on column store.quotes.quote_number is 'Number people see, e.g. QN101234 (quoteNumber).';
comment on column store.quotes.quote_title is 'quoteTitle.';
comment on column store.quotes.reference_number is 'The buyer''s own reference (referenceNumber).';
comment on column store.quotes.status is
  'Management API code: 0 New, 2 In Process, 3 Updated by customer, 4 Ordered (final), 5 Expired, 6 Archived, 7 Draft. No 1.';
comment on column store.quotes.status_name is 'status in words, for mails; NULL for a code unknown to this version. Computed.';
comment on column store.quotes.company_id is 'store.companies.company_id (companyInfo.companyId). Details only; NULL for B2C quotes.';
comment on column store.quotes.company_name is 'companyInfo.companyName or contactInfo.companyName in details, company in lists; blank is stored as NULL.';
comment on column store.quotes.contact_name is 'Buyer''s name (contactInfo.name). Details only.';
comment on column store.quotes.contact_email is 'Buyer''s mail address (contactInfo.email). Details only.';
comment on column store.quotes.contact_phone is 'Buyer''s phone (contactInfo.phoneNumber). Details only.';
comment on column store.quotes.created_by is 'Name of who created the quote, buyer or rep (createdBy).';
comment on column store.quotes.recipients is 'Further mail addresses that get the quote (recipients). Details only.';
comment on column store.quotes.sales_rep_name is 'salesRepInfo.salesRepName in details, salesRep in lists.';
comment on column store.quotes.sales_rep_email is 'salesRepInfo.salesRepEmail. Details only.';
comment on column store.quotes.sales_rep_phone is 'salesRepInfo.salesRepPhoneNumber. Details only.';
comment on column store.quotes.currency_code is 'ISO 4217 code of every amount of the quote (currency.currencyCode).';
comment on column store.quotes.currency_exchange_rate is 'Rate to the store''s currency (currency.currencyExchangeRate; number or string).';
comment on column store.quotes.subtotal is 'Sum of lines at base price, in currency_code (subtotal).';
comment on column store.quotes.discount is 'Discount amount, in currency_code (discount). Details only.';
comment on column store.quotes.discount_type is 'discountType: 0 line item, 1 percentage, 2 fixed amount. Details only.';
comment on column store.quotes.discount_value is 'discountValue: percent when discount_type is 1, an amount when 2; may be NULL. Details only.';
comment on column store.quotes.shipping_total is 'Shipping cost, in currency_code (shippingTotal). Details only.';
comment on column store.quotes.tax_total is 'Tax, in currency_code (taxTotal). Details only.';
comment on column store.quotes.total_amount is 'Total with shipping and tax, in currency_code (totalAmount). Details only.';
comment on column store.quotes.grand_total is 'Quoted total after discount, in currency_code (grandTotal; number or string). Details only.';
comment on column store.quotes.allow_checkout is 'The buyer may take the quote to checkout (allowCheckout). Details only.';
comment on column store.quotes.display_discount is 'The buyer sees the discount (displayDiscount). Details only.';
comment on column store.quotes.shipping_method is 'shippingMethod.description. Details only.';
comment on column store.quotes.notes is 'Note to the buyer (notes). Details only.';
comment on column store.quotes.legal_terms is 'legalTerms. Details only.';
comment on column store.quotes.bc_order_id is 'Core order made from the quote (bcOrderId; here a string): store.orders.bc_order_id.';
comment on column store.quotes.b2b_order_id is 'B2B Edition''s own id of that order (orderId).';
comment on column store.quotes.channel_id is 'Storefront channel (channelId).';
comment on column store.quotes.channel_name is 'Name of the channel (channelName).';
comment on column store.quotes.extra_fields is 'Extra fields as one object {"field name": "value"} (extraFields[]).';
comment on column store.quotes.created_at is 'createdAt (unix seconds).';
comment on column store.quotes.updated_at is
  'updatedAt (unix seconds). An older payload never overwrites a newer row; a payload without the key is taken as current.';
comment on column store.quotes.expired_at is 'When the offer ends (expiredAt, unix seconds). The API leaves its time zone open.';
comment on column store.quotes.expires_on is 'expired_at as a UTC date: writing expiry back takes MM/DD/YYYY. Computed.';
comment on column store.quotes.raw is 'The payload as it came; top-level keys of list and detail payloads are merged.';
comment on column store.quotes.synced_at is 'When the loader last changed this row.';

grant select, insert, update, delete on store.quotes to tradeflow_sync;
