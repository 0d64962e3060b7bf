-- 00_schema: roles, the installation's identity, settings and the clock.
-- The files of this folder, in the order of their numbers, are the extension's script.

-- Roles belong to the whole cluster: another database of it may have made them already,
-- and dropping the extension leaves them.
do $roles$
declare
  r text;
begin
  foreach r in array '{tradeflow_author,tradeflow_executor,tradeflow_operator,tradeflow_silent,tradeflow_sync}'::text[] loop
    if not exists (select from pg_catalog.pg_roles where rolname = r) then
      begin
        execute format('create role %I nologin', r);
      exception when duplicate_object or unique_violation then
        null;  -- Another database made it at the same moment.
      end;
    end if;
  end loop;
end
$roles$;

comment on schema tradeflow is
  'Rules over changed rows; their firings wait in an outbox. A rule is a question about a changed row; a firing is one answer "yes", and it commits with the change.';


-- One row: who this installation is. Idempotency keys start with it, so two databases
-- that call the same remote system never share a key.
create table tradeflow.installation (
  only_row  boolean primary key default true check (only_row),
  id        uuid not null default gen_random_uuid()
);
comment on table tradeflow.installation is 'One row: the identity of this installation, the prefix of every idempotency key. A restored dump keeps it, since its actions may have been sent before; a copy that shall call remote systems on its own needs a new one: update tradeflow.installation set id = gen_random_uuid();';
comment on column tradeflow.installation.only_row is 'Always true: the table holds one row.';
comment on column tradeflow.installation.id is 'Random at creation.';

-- A restore inserts the dumped row where CREATE EXTENSION has just made one.
create function tradeflow._installation_replace() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from tradeflow.installation;
  return new;
end
$$;
comment on function tradeflow._installation_replace() is 'Internal. Lets the dumped identity take the place of the new one.';
create trigger installation_replace before insert on tradeflow.installation
  for each row execute function tradeflow._installation_replace();

insert into tradeflow.installation default values;
select pg_catalog.pg_extension_config_dump('tradeflow.installation', '');


create table tradeflow.settings (
  name        text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.]*$'),
  value       text not null,
  description text,
  updated_at  timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.settings', '');
comment on table tradeflow.settings is 'Named values that rules read with tradeflow.setting(name) and templates as settings.name. Not for secrets.';
comment on column tradeflow.settings.name is 'Letters, digits, underscore and dot; starts with a letter or underscore.';
comment on column tradeflow.settings.value is 'Always text; a rule casts it: tradeflow.setting(''max_discount'')::numeric.';
comment on column tradeflow.settings.description is 'For people: what the value decides and in which unit.';
comment on column tradeflow.settings.updated_at is 'When the value was last written.';


create function tradeflow.setting(name text) returns text
language c stable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_setting';
comment on function tradeflow.setting(text) is
  'The value of a setting, as text. In a rule''s condition it is a constant of the compiled rule. Errors: 42704 when there is no such setting.';


-- The clock that decisions about time read. Leases never read it: they are real time.
create table tradeflow.clock (
  only_row  boolean primary key default true check (only_row),
  at        timestamptz not null
);
comment on table tradeflow.clock is 'Empty, or one row: the test clock. Set with tradeflow.set_clock().';
comment on column tradeflow.clock.only_row is 'Always true: the table holds at most one row.';
comment on column tradeflow.clock.at is 'What tradeflow.now() returns while the row is there.';

create function tradeflow.now() returns timestamptz
language c stable parallel safe as 'MODULE_PATHNAME', 'tradeflow_now';
comment on function tradeflow.now() is
  'The time that rules and timers go by: now(), or the test clock where an operator has set one.';

create function tradeflow.set_clock(at timestamptz) returns timestamptz
language sql
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.clock;
  insert into tradeflow.clock (at) select set_clock.at where set_clock.at is not null;
  select tradeflow.now();
$$;
comment on function tradeflow.set_clock(timestamptz) is
  'Sets the test clock; NULL goes back to real time. The operator''s alone. Returns the time from now on.';

create function tradeflow.version() returns text
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select extversion from pg_extension where extname = 'tradeflow' $$;
comment on function tradeflow.version() is 'The installed version of the extension.';
