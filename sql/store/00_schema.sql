-- Schema store: what the sync jobs bring in. Plain tables, no extension members: a data team may add columns,
-- indexes and views, and `pg_dump` keeps the rows. Applied in order by `tradeflow init`, as often as one likes.
--
-- House rules of these files
--   * `create … if not exists` only; a column added in a later version is `alter table … add column if not exists`
--     below the table's `create`, so that old and new databases end up the same.
--   * No foreign keys between these tables. The APIs promise no order: a quote may arrive before its company, an
--     order before its buyer, a page may be replayed late. A foreign key would refuse such rows, or force one big
--     transaction. Joins go over indexed id columns instead; a missing partner is simply "not synced yet".
--   * No check constraints on codes: a code the vendor invents tomorrow must be stored, not refused.
--   * Three different systems say "order id": bc_order_id (BigCommerce core, the number the buyer sees),
--     b2b_order_id (B2B Edition's own row id) and external_order_id (whatever an ERP wrote there). Never plain order_id.
--   * Money is numeric(20,4) in the currency the row names; times are timestamptz; raw is the payload as it came, and
--     may be NULL: rows from a sync job of your own need not have it.
--   * "" and the id 0, which the APIs write for "none", are NULL here; raw still has them.
--   * synced_at is when the loader last *changed* the row: an identical payload leaves the row, and synced_at, alone.
create schema if not exists store;
comment on schema store is
  'Copies of BigCommerce, B2B Edition and Google Sheets data, kept by the sync jobs. The remote system is the truth.';

-- Sync jobs connect as a member of this role; it can do nothing but move rows.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'tradeflow_sync') then
    create role tradeflow_sync nologin;
  end if;
exception
  when duplicate_object then null;  -- another session was quicker
  when insufficient_privilege then
    raise insufficient_privilege using message = 'the role tradeflow_sync is missing and may not be created here',
      hint = 'Have a superuser run: create role tradeflow_sync nologin;';
end $$;
grant usage on schema store to tradeflow_sync;
