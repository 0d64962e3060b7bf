-- Rows of spreadsheets that people edit (Google Sheets values). People sort and insert rows, so a row is known by the
-- value of its key column, never by its number.
create table if not exists store.sheet_rows (
  spreadsheet_id text not null,
  tab text not null,
  row_key text not null,
  row_number integer,
  cells jsonb not null,
  raw jsonb,
  synced_at timestamptz not null default now(),
  primary key (spreadsheet_id, tab, row_key)
);
comment on table store.sheet_rows is 'Rows read from Google Sheets. Source: GET /v4/spreadsheets/{id}/values/{range}.';
comment on column store.sheet_rows.spreadsheet_id is 'Id of the spreadsheet, from its address.';
comment on column store.sheet_rows.tab is 'Name of the tab (sheet) inside the spreadsheet.';
comment on column store.sheet_rows.row_key is 'Value of the key column that names the row.';
comment on column store.sheet_rows.row_number is 'Where the row stood when it was read, from 1. Not watched: sorting a sheet is no change.';
comment on column store.sheet_rows.cells is 'The row as an object {"column heading": value}; empty cells are left out.';
comment on column store.sheet_rows.raw is 'The row as the API sent it: an array of cells, shorter when its end is empty.';
comment on column store.sheet_rows.synced_at is 'When this row was last changed by the sync.';

grant select, insert, update, delete on store.sheet_rows to tradeflow_sync;
