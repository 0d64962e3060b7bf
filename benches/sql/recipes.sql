-- What a sync of a store brings: about 100,000 rows of seven tables, in the proportions of a store that lives on quotes. Version 1 is a
-- while later: every row has another time of change, and of a hundred rows one has what people did.
create schema payload;

-- Both versions have it: the payloads are made one after another, and an order's day must not differ for that.
create function payload.today() returns timestamptz language sql stable as $$ select date_trunc('day', now()) $$;

-- $1 version, $2 companies; all other numbers follow from it.
create function payload.companies(v int, n int) returns table (
  company_id bigint, company_name text, company_email text, status smallint, bc_customer_group_id bigint, bc_customer_group_name text,
  extra_fields jsonb, created_at timestamptz, updated_at timestamptz, raw jsonb)
language sql stable as $$
  select i, 'Company ' || i, 'office@company-' || i || '.example', 1, i % 5 + 1, 'Group ' || i % 5,
         jsonb_build_object('Industry', (array['Dental', 'Retail', 'Food', 'Medical'])[(i + case when i % 100 = 0 then v else 0 end) % 4 + 1], 'Preferred language', 'en'),
         payload.today() - interval '400 days', payload.today() + v * interval '1 second',
         jsonb_build_object('companyId', i, 'companyName', 'Company ' || i, 'updatedAt', v)
  from generate_series(1, n) i
$$;

create function payload.company_users(v int, n int) returns table (
  b2b_user_id bigint, company_id bigint, bc_customer_id bigint, email text, first_name text, last_name text, phone text, role smallint,
  created_at timestamptz, updated_at timestamptz, raw jsonb)
language sql stable as $$
  select i, i % n + 1, 50000 + i, 'buyer' || i || '@example.com', 'Ada', 'Buyer', case when i % 100 = 0 then '+1-555-' || v end, i % 3,
         payload.today() - interval '400 days', payload.today() + v * interval '1 second', jsonb_build_object('id', i, 'updatedAt', v)
  from generate_series(1, 2 * n) i
$$;

create function payload.quotes(v int, n int) returns table (
  quote_id bigint, quote_number text, status smallint, company_id bigint, company_name text, contact_name text, contact_email text,
  sales_rep_name text, sales_rep_email text, currency_code text, subtotal numeric, discount numeric, total_amount numeric, grand_total numeric,
  allow_checkout boolean, created_at timestamptz, updated_at timestamptz, expired_at timestamptz, raw jsonb)
language sql stable as $$
  select i, 'QN' || i, (array[0, 2, 4, 5])[i % 4 + 1], i % n + 1, 'Company ' || i % n + 1, 'Ada Buyer', 'buyer' || i % n + 1 || '@example.com',
         'Rita Rep', 'rita@example.com', 'USD', 200 + i % 900, 0, 200 + i % 900 + p.did, 200 + i % 900 + p.did,
         true, payload.today() - interval '20 days', payload.today() + v * interval '1 second',
         payload.today() + (10 + i % 30 + p.did) * interval '1 day', jsonb_build_object('quoteId', i, 'updatedAt', v)
  from generate_series(1, 4 * n) i cross join lateral (select case when i % 100 < 2 and i % 4 < 2 then v else 0 end) p(did)
$$;

create function payload.quote_items(v int, n int) returns table (
  quote_id bigint, line_key text, "position" int, product_id bigint, variant_id bigint, sku text, product_name text, quantity int,
  base_price numeric, offered_price numeric, raw jsonb)
language sql stable as $$
  select (i + 1) / 2, 'v' || i % (n * 10) + 1, i % 2, i % n + 1, i % (n * 10) + 1, 'SKU-' || i, 'Hinge', 10 + i % 90 + v * (i % 100 = 0)::int,
         10, case when i % 100 = 1 and v = 1 then 7.5 else 9.5 end, jsonb_build_object('productId', i % n + 1, 'version', v)
  from generate_series(1, 8 * n) i
$$;

create function payload.orders(v int, n int) returns table (
  bc_order_id bigint, b2b_order_id bigint, company_id bigint, bc_customer_id bigint, status_id smallint, status text, payment_method text,
  currency_code text, paid_currency_code text, store_currency_code text, store_exchange_rate numeric, total numeric, refunded_amount numeric,
  items_total int, placed_at timestamptz, updated_at timestamptz, raw jsonb)
language sql stable as $$
  select i, 100000 + i, i % n + 1, 50000 + i % n + 1, case when i % 100 = 0 and v = 1 then 10 else 11 end, 'Awaiting Fulfillment',
         case when i % 3 = 0 then 'Purchase Order' else 'Credit Card' end, 'USD', 'USD', 'USD', 1, 100 + i % 700, 0,
         i % 9 + 1, payload.today() - i % 400 * interval '1 day', payload.today() + v * interval '1 second', jsonb_build_object('id', i, 'version', v)
  from generate_series(1, 3 * n) i
$$;

create function payload.invoices(v int, n int) returns table (
  invoice_id bigint, company_id bigint, invoice_number text, status smallint, order_number text, currency_code text, original_balance numeric,
  open_balance numeric, due_at timestamptz, created_at timestamptz, updated_at timestamptz, raw jsonb)
language sql stable as $$
  select i, i % n + 1, 'R-' || i, case when i % 100 = 0 and v = 1 then 2 else 0 end, i::text, 'USD', 100 + i % 700,
         case when i % 100 = 0 and v = 1 then 0 else 100 + i % 700 end, payload.today() + (i % 60 - 30) * interval '1 day',
         payload.today() - interval '30 days', payload.today() + v * interval '1 second', jsonb_build_object('id', i, 'version', v)
  from generate_series(1, n) i
$$;

create function payload.products(v int, n int) returns table (
  product_id bigint, name text, sku text, price numeric, category_ids bigint[], order_quantity_minimum int, inventory_level int,
  created_at timestamptz, updated_at timestamptz, raw jsonb)
language sql stable as $$
  select i, 'Hinge ' || i, 'P-' || i, 10, array[i % 20], 0, i % 900 + v * (i % 100 = 0)::int,
         payload.today() - interval '400 days', payload.today() + v * interval '1 second', jsonb_build_object('id', i, 'version', v)
  from generate_series(1, n) i
$$;
