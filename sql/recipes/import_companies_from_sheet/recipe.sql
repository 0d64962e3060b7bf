-- import_companies_from_sheet: rows of a Google spreadsheet become companies with their owners; the outcome is written back.
--
-- When      a row is added to the tab, or changed before it has become a company. (`tradeflow sync` reads the tab: [sheets] in its
--           configuration, with the same spreadsheet, tab and key column)
-- Then      the company is created with its owner, unless the owner's address belongs to one already; a consumer with that address becomes
--           the owner. Then id and outcome, or what is wrong, are written into the row
-- Settings  import_spreadsheet, import_tab, import_key, import_match_field, import_id_column, import_country, import_outcome_column: below. Columns: table import_columns
-- Tables    store.sheet_rows (watched)
-- Mails     none
-- Needs     targets bigcommerce and sheets; the spreadsheet shared with the service account, as an editor

insert into tradeflow.settings (name, value, description) values
  ('import_spreadsheet', 'the-id-in-its-address', 'The spreadsheet: what stands between /d/ and /edit in its address'),           -- text
  ('import_tab', 'Companies', 'The tab'),                                                                                         -- text
  ('import_key', 'Company', 'The heading of the column that names a row; its values differ'),                                     -- text
  ('import_match_field', '', 'The company extra field that tells companies apart by import_key; empty: the owner''s address does'),  -- text
  ('import_id_column', 'Company id', 'Where the id is written; the column is added when it is not there'),                        -- text
  ('import_country', 'United States', 'The country of a company whose row names none: its name, or two letters'),                 -- text
  ('import_outcome_column', 'Outcome', 'Where it is written what became of the row')                                              -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN'),
  ('sheets', 'google', 'https://sheets.googleapis.com', 'env:GOOGLE_SERVICE_ACCOUNT')
on conflict (name) do nothing;

-- Which column holds what; the fields are those of view import_rows.
create table if not exists import_columns (
  field text primary key,
  heading text not null
);
comment on table import_columns is 'Columns of import_companies_from_sheet: the field, and the heading of its column in the sheet.';
insert into import_columns (field, heading) values
  ('company_name', 'Company'), ('company_email', 'Company email'), ('email', 'Email'), ('first_name', 'First name'), ('last_name', 'Last name'),
  ('phone', 'Phone'), ('line1', 'Address'), ('city', 'City'), ('state', 'State'), ('zip', 'Zip'), ('country', 'Country')
on conflict (field) do nothing;

-- The rows of the tab as fields, with what is wrong with them, and the company they have become.
create or replace view import_rows as
select r.spreadsheet_id, r.tab, r.row_key, f.company_name, f.company_email, f.email, f.first_name, f.last_name, f.phone,
       f.line1, f.city, f.state, f.zip, f.country, l.other_id as company_id,
       case when tradeflow.setting('import_match_field') <> '' then tradeflow.setting('import_match_field') end as match,
       case when tradeflow.setting('import_match_field') <> '' then jsonb_build_object(tradeflow.setting('import_match_field'), r.row_key) end as extra_fields,
       case when missing.headings is not null then 'Fill in ' || missing.headings
            when f.email !~ '^[^@[:space:]]+@[^@[:space:]]+\.[^@[:space:]]+$' then '"' || f.email || '" is no e-mail address'
       end as problem
from store.sheet_rows r
cross join lateral (
  select jsonb_object_agg(c.field, nullif(btrim(r.cells ->> c.heading), '')) as fields from import_columns c) given
cross join lateral jsonb_to_record(given.fields) as f (
  company_name text, company_email text, email text, first_name text, last_name text, phone text, line1 text, city text, state text, zip text, country text)
left join lateral (
  select string_agg(c.heading, ', ' order by c.heading) as headings from import_columns c
  where c.field in ('company_name', 'email', 'first_name', 'last_name') and given.fields ->> c.field is null) missing on true
left join tradeflow.links l on l.source = 'store.sheet_rows' and l.object = 'company' and l.target = 'bigcommerce'
  and l.subject = array[r.spreadsheet_id, r.tab, r.row_key]::text
where r.spreadsheet_id = tradeflow.setting('import_spreadsheet') and r.tab = tradeflow.setting('import_tab');

-- What is written back changes the row too, and is no edit. still: a row that has become a company meanwhile becomes no second one.
insert into tradeflow.rules (name, source, description, fires, condition, still, query) values (
  'import_companies_from_sheet', 'store.sheet_rows', 'A row is there to be imported', 'always',
  $$ new.spreadsheet_id = tradeflow.setting('import_spreadsheet') and new.tab = tradeflow.setting('import_tab')
     and (new.cells - tradeflow.setting('import_id_column') - tradeflow.setting('import_outcome_column'))
         is distinct from (old.cells - tradeflow.setting('import_id_column') - tradeflow.setting('import_outcome_column')) $$,
  $$ new.spreadsheet_id = tradeflow.setting('import_spreadsheet') and new.tab = tradeflow.setting('import_tab') $$,
  $$
    select r.* from import_rows r
    where r.spreadsheet_id = new.spreadsheet_id and r.tab = new.tab and r.row_key = new.row_key and r.problem is null and r.company_id is null
  $$), (
  'import_companies_problem', 'store.sheet_rows', 'A row cannot be imported as it is', 'always',
  $$ new.spreadsheet_id = tradeflow.setting('import_spreadsheet') and new.tab = tradeflow.setting('import_tab')
     and (new.cells - tradeflow.setting('import_id_column') - tradeflow.setting('import_outcome_column'))
         is distinct from (old.cells - tradeflow.setting('import_id_column') - tradeflow.setting('import_outcome_column')) $$,
  $$ new.spreadsheet_id = tradeflow.setting('import_spreadsheet') and new.tab = tradeflow.setting('import_tab') $$,
  $$
    select r.* from import_rows r
    where r.spreadsheet_id = new.spreadsheet_id and r.tab = new.tab and r.row_key = new.row_key and r.problem is not null and r.company_id is null
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description, fires = excluded.fires,
  condition = excluded.condition, still = excluded.still, query = excluded.query;

-- Company, owner, outcome, one after another. What fails is written into the row, so the steps go on; without a company there is
-- no owner to add, nor a second thing to look into.
insert into tradeflow.actions (rule, step, name, kind, target, recheck, on_failure, on_dead, params) values
  ('import_companies_from_sheet', 1, 'company', 'bigcommerce.create_company', 'bigcommerce', true, 'continue', 'continue',
   '{"name": "{{ facts.company_name }}", "email": "{{ facts.company_email }}", "phone": "{{ facts.phone }}", "match": "{{ facts.match }}",
     "extra_fields": "{{ facts.extra_fields }}",
     "address": {"line1": "{{ facts.line1 or '''' }}", "city": "{{ facts.city or '''' }}", "state": "{{ facts.state or '''' }}",
                 "zip": "{{ facts.zip or '''' }}", "country": "{{ facts.country or settings.import_country }}"},
     "admin": {"first_name": "{{ facts.first_name }}", "last_name": "{{ facts.last_name }}", "email": "{{ facts.email }}", "phone": "{{ facts.phone }}"}}'),
  ('import_companies_from_sheet', 2, 'owner', 'bigcommerce.create_company_user', 'bigcommerce', false, 'continue', 'continue',
   '{"when": "{{ steps.company.error is not defined }}",
     "company_id": "{{ steps.company.company_id }}", "email": "{{ facts.email }}", "first_name": "{{ facts.first_name }}", "last_name": "{{ facts.last_name }}",
     "phone": "{{ facts.phone }}", "role": "admin"}'),
  ('import_companies_from_sheet', 3, 'outcome', 'sheets.write_back', 'sheets', false, 'stop', 'continue',
   '{"spreadsheet": "{{ facts.spreadsheet_id }}", "sheet": "{{ facts.tab }}", "key": "{{ settings.import_key }}", "value": "{{ facts.row_key }}", "add_columns": true,
     "set": "{{ {settings.import_id_column: steps.company.company_id|default(''''), settings.import_outcome_column: steps.company.error if steps.company.error is defined else (steps.owner.error if steps.owner.error is defined else (''Created'' if steps.company.created else ''It was there already''))} }}"}'),
  ('import_companies_problem', 1, 'outcome', 'sheets.write_back', 'sheets', true, 'stop', 'continue',
   '{"spreadsheet": "{{ facts.spreadsheet_id }}", "sheet": "{{ facts.tab }}", "key": "{{ settings.import_key }}", "value": "{{ facts.row_key }}", "add_columns": true,
     "set": "{{ {settings.import_outcome_column: facts.problem} }}"}')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, recheck = excluded.recheck,
  on_failure = excluded.on_failure, on_dead = excluded.on_dead, params = excluded.params;
