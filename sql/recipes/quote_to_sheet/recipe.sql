-- quote_to_sheet: the lines of all quotes are rows of a Google spreadsheet, kept current.
--
-- When      a quote or a line of one is inserted, changed or removed
-- Then      the rows of its lines are written, found by the column Line; rows of removed lines go. Rows may be sorted, and columns of
--           one's own be added: they stay
-- Settings  quotes_spreadsheet, quotes_sheet: below. Columns: table quote_sheet_columns
-- Tables    store.quotes (watched), store.quote_items (watched)
-- Mails     none
-- Needs     target sheets; the spreadsheet shared with the service account, as an editor

insert into tradeflow.settings (name, value, description) values
  ('quotes_spreadsheet', 'the-id-in-its-address', 'The spreadsheet: what stands between /d/ and /edit in its address'),  -- text
  ('quotes_sheet', 'Quotes', 'The tab, made when it is not there; {company}: one for each company')                  -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- The secret is the JSON key of a service account; file:/run/secrets/… serves as well.
insert into tradeflow.targets (name, system, base_url, secret) values
  ('sheets', 'google', 'https://sheets.googleapis.com', 'env:GOOGLE_SERVICE_ACCOUNT')
on conflict (name) do nothing;

-- The columns, besides Line, by which rows are found: their headings, and which value goes there, of those in quote_sheet_rows. A
-- heading that the tab does not have is added to it.
create table if not exists quote_sheet_columns (
  heading text primary key,
  value text not null
);
comment on table quote_sheet_columns is 'Columns of quote_to_sheet: the heading in the sheet, and the column of view quote_sheet_rows that goes there.';
insert into quote_sheet_columns (heading, value) values
  ('Quote', 'quote_number'), ('Status', 'status_name'), ('Company', 'company_name'), ('Buyer', 'contact_name'), ('Sales rep', 'sales_rep_name'),
  ('SKU', 'sku'), ('Product', 'product_name'), ('Quantity', 'quantity'), ('Base price', 'base_price'), ('Offered price', 'offered_price'),
  ('Line total', 'line_total'), ('Currency', 'currency_code'), ('Expires on', 'expires_on')
on conflict (heading) do nothing;

-- The tab of a company. A title has 100 characters at most.
create or replace function quote_sheet_tab(company_name text) returns text
language sql stable
return left(replace(tradeflow.setting('quotes_sheet'), '{company}', coalesce(company_name, 'No company')), 100);

-- A line, with what its columns may show.
create or replace view quote_sheet_rows as
select q.quote_id, i.line_key, q.quote_id || '/' || i.line_key as line, quote_sheet_tab(q.company_name) as tab,
       q.quote_number, q.quote_title, q.reference_number, q.status_name, q.company_id, q.company_name, q.contact_name, q.contact_email,
       q.sales_rep_name, q.sales_rep_email, coalesce(q.currency_code, '') as currency_code, q.grand_total, q.bc_order_id, q.created_at, q.expires_on, q.notes,
       i.sku, i.product_name, i.quantity, trim_scale(i.base_price) as base_price, trim_scale(i.offered_price) as offered_price,
       trim_scale(i.offered_price * i.quantity) as line_total, i.position
from store.quotes q
join store.quote_items i using (quote_id);

-- As rows of the sheet: headings and values. What is empty here is emptied there.
create or replace view quote_sheet as
select r.quote_id, r.line_key, r.tab, r.position,
       jsonb_build_object('Line', r.line) ||
       (select coalesce(jsonb_object_agg(c.heading, case jsonb_typeof(v.values -> c.value) when 'null' then '""' else v.values -> c.value end), '{}')
        from quote_sheet_columns c) as cells
from quote_sheet_rows r
-- offset 0: made once a line; without it the planner would write it out at each mention.
cross join lateral (select to_jsonb(r) offset 0) v(values);

-- All lines, when something changes that all of them show; the changed line, when it is a line. recheck: each row is written as it is then,
-- so whoever comes last writes what all of them left, also when they came at the same moment. One lane a quote.
insert into tradeflow.rules (name, source, description, columns, fires, max_firings, query) values (
  'quote_to_sheet', 'store.quotes', 'A quote is new or changed: all its lines are written',
  '{quote_number,quote_title,reference_number,status,company_name,contact_name,contact_email,sales_rep_name,sales_rep_email,currency_code,grand_total,bc_order_id,expired_at,notes}',
  'always', 10000,
  $$ select s.tab, jsonb_agg(s.cells order by s.position, s.line_key) as rows from quote_sheet s where s.quote_id = new.quote_id group by s.tab $$), (
  'quote_to_sheet_line', 'store.quote_items', 'A line of a quote is new or changed: it is written', null, 'always', 10000,
  $$ select new.quote_id, s.tab, s.cells as rows from quote_sheet s where s.quote_id = new.quote_id and s.line_key = new.line_key $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, columns = excluded.columns,
  fires = excluded.fires, max_firings = excluded.max_firings, query = excluded.query;

insert into tradeflow.actions (rule, step, kind, target, lane, recheck, on_dead, params)
select r.rule, 1, 'sheets.upsert_rows', 'sheets', 'sheet of quote ' || r.quote, true, 'continue',
       '{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "{{ facts.tab }}", "key": "Line", "rows": "{{ facts.rows }}", "add_columns": true, "create": true}'::jsonb
from (values ('quote_to_sheet', '{{ subject }}'), ('quote_to_sheet_line', '{{ facts.quote_id }}')) r(rule, quote)
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, lane = excluded.lane, recheck = excluded.recheck,
  on_dead = excluded.on_dead, params = excluded.params;

-- A quote that is gone takes its lines with it; then its tab is known only if there is one tab.
insert into tradeflow.rules (name, source, events, description, max_firings, query) values (
  'quote_to_sheet_removed', 'store.quote_items', '{delete}', 'A line of a quote is gone: so is its row', 10000,
  $$
    select old.quote_id, old.quote_id || '/' || old.line_key as line, quote_sheet_tab(q.company_name) as tab
    from (select) one left join store.quotes q on q.quote_id = old.quote_id
  $$)
on conflict (name) do update set source = excluded.source, events = excluded.events, description = excluded.description,
  max_firings = excluded.max_firings, query = excluded.query;

insert into tradeflow.actions (rule, step, kind, target, lane, on_dead, params) values (
  'quote_to_sheet_removed', 1, 'sheets.delete_rows', 'sheets', 'sheet of quote {{ facts.quote_id }}', 'continue',
  '{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "{{ facts.tab }}", "where": {"Line": "{{ facts.line }}"}}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, lane = excluded.lane, on_dead = excluded.on_dead,
  params = excluded.params;
