-- The script of version 0.1.0, as it was released. Frozen: it is what upgrades begin with in the tests.
\echo Use "CREATE EXTENSION tradeflow" to load this file. \quit

-- 00_schema.sql
-- 00_schema: roles, the installation's identity, settings and the clock.
-- The files of this folder, in the order of their numbers, are the extension's script.

-- Roles belong to the whole cluster: another database of it may have made them already,
-- and dropping the extension leaves them.
do $roles$
declare
  r text;
begin
  foreach r in array '{tradeflow_author,tradeflow_executor,tradeflow_operator}'::text[] loop
    if not exists (select from pg_catalog.pg_roles where rolname = r) then
      execute format('create role %I nologin', r);
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
language plpgsql stable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  found_value text;
begin
  select s.value into found_value from tradeflow.settings s where s.name = setting.name;
  if not found then
    raise exception 'setting "%" does not exist', setting.name
      using errcode = 'undefined_object',
            hint = format('insert into tradeflow.settings (name, value) values (%L, ''…'');', setting.name);
  end if;
  return found_value;
end
$$;
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
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select coalesce((select c.at from tradeflow.clock c), pg_catalog.now()) $$;
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


-- 05_native.sql
-- 05_native: what the compiled library offers to SQL. Everything whose name starts with an
-- underscore is internal: not granted to anybody, and no contract.

-- Reading the changed row where it is.
--
-- A row trigger without WHEN makes Postgres queue an event for each row and fetch both versions of
-- the row again at the end of the statement: dear, when most rules say nothing about most rows.
-- A WHEN clause is evaluated at once, while both versions are still in memory; a plain function there
-- would have them copied into composite values first. A subscripting handler is handed the executor's
-- own slots. So the triggers of watched tables are
--
--     AFTER UPDATE … FOR EACH ROW WHEN ((new.tableoid::tradeflow.observer)[2]) EXECUTE FUNCTION tradeflow._flush()
--
-- and the subscript looks at old and new in place. It says true once per statement at most, when there is
-- something to answer; _flush() then runs at the statement's end. docs/decisions/0002 has the figures.
create type tradeflow.observer;

create function tradeflow.observer_in(cstring) returns tradeflow.observer
language internal immutable strict parallel safe as 'oidin';
create function tradeflow.observer_out(tradeflow.observer) returns cstring
language internal immutable strict parallel safe as 'oidout';
create function tradeflow.observer_subscript(internal) returns internal
language c immutable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_observer_subscript';

create type tradeflow.observer (
  input = tradeflow.observer_in,
  output = tradeflow.observer_out,
  internallength = 4,
  passedbyvalue,
  alignment = int4,
  subscript = tradeflow.observer_subscript
);
create cast (oid as tradeflow.observer) without function;

comment on type tradeflow.observer is
  'A table''s oid whose subscript, in the WHEN clause of a watched table''s trigger, looks at the changed row: [1] insert, [2] update, [3] delete. Of no use elsewhere.';
comment on function tradeflow.observer_in(cstring) is 'Input of tradeflow.observer: an oid.';
comment on function tradeflow.observer_out(tradeflow.observer) is 'Output of tradeflow.observer: an oid.';
comment on function tradeflow.observer_subscript(internal) is 'Subscripting handler of tradeflow.observer.';

create function tradeflow._flush() returns trigger
language c as 'MODULE_PATHNAME', 'tradeflow_flush';
comment on function tradeflow._flush() is
  'Internal. Trigger of watched tables: answers what the statement left pending and puts the firings into the outbox, in one insert.';

create function tradeflow._invalidate(source regclass) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_invalidate';
comment on function tradeflow._invalidate(regclass) is
  'Internal. Makes every backend compile the rules of this table anew at its next statement.';

create function tradeflow._compile(
  rule text, source regclass, condition text, fires text, query text, fire_at text, still text,
  columns text[], search_path text, owner regrole
) returns void
language c as 'MODULE_PATHNAME', 'tradeflow_compile';
comment on function tradeflow._compile(text, regclass, text, text, text, text, text, text[], text, regrole) is
  'Internal. Compiles a definition as its owner and forgets it. The caller must be a member of the owner. Errors carry the position in the definition''s text; TF001: a setting it names does not exist (yet).';

create function tradeflow._still(rule text, key jsonb, subject text, occurrence text) returns jsonb
language c strict as 'MODULE_PATHNAME', 'tradeflow_still';
comment on function tradeflow._still(text, jsonb, text, text) is
  'Internal. Asks a due timer''s question again on the row as it is now, as the rule''s owner: the facts, or NULL for no.';

create function tradeflow._check_template(source text, name text) returns text
language c strict immutable as 'MODULE_PATHNAME', 'tradeflow_check_template';
comment on function tradeflow._check_template(text, text) is
  'Internal. NULL when the text compiles as a template, else what is wrong with it and where.';


-- 10_watch.sql
-- 10_watch: the tables whose changes are evaluated.

create table tradeflow.watched_tables (
  name        text primary key,
  key         text[] not null check (cardinality(key) > 0),
  ignore      text[] not null default '{}',
  watched_at  timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.watched_tables', '');
comment on table tradeflow.watched_tables is 'A row is a table whose changes are evaluated. Written by tradeflow.watch() and tradeflow.unwatch().';
comment on column tradeflow.watched_tables.name is 'Schema and table, as format(''%I.%I'') writes them. Tables are known by name: tools that reload by swapping tables keep it.';
comment on column tradeflow.watched_tables.key is 'The columns that identify a row. One column: its text is the subject of a firing; several: their text array.';
comment on column tradeflow.watched_tables.ignore is 'Columns whose change alone is no change: synced_at, the raw payload.';
comment on column tradeflow.watched_tables.watched_at is 'When the table was watched first.';


create function tradeflow._qualified_name(rel regclass) returns text
language sql stable strict
set search_path = pg_catalog, pg_temp
as $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = rel
$$;
comment on function tradeflow._qualified_name(regclass) is 'Internal. Schema and name of a table, quoted where needed.';


-- Every column of the list must be one of the table's; says which is not.
create function tradeflow._require_columns(rel regclass, columns text[], what text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
begin
  select c into missing
  from unnest(columns) c
  where not exists (select from pg_attribute a
                    where a.attrelid = rel and a.attname = c and a.attnum > 0 and not a.attisdropped)
  limit 1;
  if found then
    raise exception '% names column "%", which table % does not have', what, missing, tradeflow._qualified_name(rel)
      using errcode = 'undefined_column',
            hint = 'columns: ' || (select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a
                                   where a.attrelid = rel and a.attnum > 0 and not a.attisdropped);
  end if;
end
$$;
comment on function tradeflow._require_columns(regclass, text[], text) is 'Internal. Errors: 42703 for a column that the table does not have.';


create function tradeflow.watch("table" regclass, key text[] default null, ignore text[] default '{}') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  rel        record;
  the_name   text := tradeflow._qualified_name("table");
  the_key    text[] := key;
  spec       record;
begin
  if "table" is null then
    raise exception 'no table is named' using errcode = 'null_value_not_allowed', hint = 'select tradeflow.watch(''store.quotes'');';
  end if;
  select c.relkind, c.relispartition, c.relpersistence, n.nspname into rel
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = "table";
  if rel.relkind not in ('r', 'p') then
    raise exception '% is no table', the_name
      using errcode = 'wrong_object_type',
            hint = 'Only ordinary and partitioned tables have row triggers that see every change: watch the tables behind a view.';
  elsif rel.relispartition then
    raise exception '% is a partition', the_name
      using errcode = 'wrong_object_type',
            hint = format('watch the partitioned table it belongs to: select tradeflow.watch(%L);',
                          (select i.inhparent::regclass from pg_inherits i where i.inhrelid = "table" limit 1));
  elsif rel.relpersistence = 't' then
    raise exception '% is a temporary table', the_name
      using errcode = 'wrong_object_type', hint = 'Rules outlive the session: watch a permanent table.';
  elsif rel.nspname in ('tradeflow', 'pg_catalog') then
    raise exception '% cannot be watched', the_name
      using errcode = 'wrong_object_type', hint = 'tradeflow''s own tables and the system''s are not data of a store.';
  end if;

  if the_key is null then
    select array_agg(a.attname::text order by k.ord) into the_key
    from pg_index i, unnest(i.indkey) with ordinality k(attnum, ord), pg_attribute a
    where i.indrelid = "table" and i.indisprimary and a.attrelid = i.indrelid and a.attnum = k.attnum;
    if the_key is null then
      raise exception '% has no primary key', the_name
        using errcode = 'invalid_parameter_value',
              hint = format('name the columns that identify a row: select tradeflow.watch(%L, key => ''{…}'');', the_name);
    end if;
  elsif cardinality(the_key) = 0 then
    raise exception 'the key of % is empty', the_name
      using errcode = 'invalid_parameter_value', hint = 'name the columns that identify a row.';
  end if;
  perform tradeflow._require_columns("table", the_key, 'key');
  perform tradeflow._require_columns("table", watch.ignore, 'ignore');
  if the_key && watch.ignore then
    raise exception 'a key column of % cannot be ignored', the_name using errcode = 'invalid_parameter_value';
  end if;

  insert into tradeflow.watched_tables as w (name, key, ignore) values (the_name, the_key, watch.ignore)
  on conflict (name) do update set key = excluded.key, ignore = excluded.ignore
    where (w.key, w.ignore) is distinct from (excluded.key, excluded.ignore);

  for spec in values ('insert', 'new', 1), ('update', 'new', 2), ('delete', 'old', 3) loop
    if not exists (select from pg_trigger t where t.tgrelid = "table" and t.tgname = 'tradeflow_' || spec.column1) then
      execute format(
        'create trigger %I after %s on %s for each row when ((%s.tableoid::tradeflow.observer)[%s]) execute function tradeflow._flush()',
        'tradeflow_' || spec.column1, spec.column1, the_name, spec.column2, spec.column3);
      -- ALWAYS: rows applied by logical replication, or written in replica mode, count as well.
      execute format('alter table %s enable always trigger %I', the_name, 'tradeflow_' || spec.column1);
    end if;
  end loop;
  perform tradeflow._invalidate("table");
end
$$;
comment on function tradeflow.watch(regclass, text[], text[]) is
  'Evaluates the changes of a table from now on. key: the columns that identify a row (default: the primary key); ignore: columns whose change alone is no change. Repeatable: a second call changes key and ignore. The caller must own the table or have its TRIGGER right. Errors: 42809 no ordinary table, 22023 no key, 42703 unknown column.';


create function tradeflow.unwatch("table" regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_name  text := tradeflow._qualified_name("table");
  t         text;
begin
  begin
    delete from tradeflow.watched_tables w where w.name = the_name;
  exception when foreign_key_violation then
    raise exception 'rules still read the changes of %', the_name
      using errcode = 'dependent_objects_still_exist',
            detail = (select 'rules: ' || string_agg(r.name, ', ' order by r.name) from tradeflow.rules r where r.source = the_name),
            hint = 'delete these rules first, or set their mode to off and keep the table watched.';
  end;
  foreach t in array '{tradeflow_insert,tradeflow_update,tradeflow_delete}'::text[] loop
    execute format('drop trigger if exists %I on %s', t, the_name);
  end loop;
  perform tradeflow._invalidate("table");
end
$$;
comment on function tradeflow.unwatch(regclass) is
  'Stops evaluating the changes of a table. Errors: 2BP01 while rules still name it.';


-- 20_rules.sql
-- 20_rules: the rules, their versions, and what is checked when one is written.

create table tradeflow.rules (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  source       text not null references tradeflow.watched_tables (name) on update cascade,
  events       text[] not null default '{insert,update}'
               check (cardinality(events) > 0 and events <@ '{insert,update,delete}'),
  condition    text,
  fires        text not null check (fires in ('enter', 'always')),
  still        text,
  columns      text[] check (cardinality(columns) > 0),
  query        text,
  fire_at      text,
  mode         text not null default 'live' check (mode in ('live', 'shadow', 'off')),
  project      text,
  description  text,
  max_firings  int not null default 1000 check (max_firings > 0),
  owner        name not null default current_user,
  search_path  text not null,
  version      int not null default 1 check (version > 0),
  invalid      text,
  updated_at   timestamptz not null default now(),
  updated_by   name not null default current_user
);
create index rules_source on tradeflow.rules (source);
select pg_catalog.pg_extension_config_dump('tradeflow.rules', '');

comment on table tradeflow.rules is 'A row is a named question about a changed row. Writing one compiles it; a bad one is rejected with the position of the error.';
comment on column tradeflow.rules.name is 'Unique; letters, digits, underscore, dot, hyphen; at most 63.';
comment on column tradeflow.rules.source is 'The watched table whose changes are asked about.';
comment on column tradeflow.rules.events is 'insert, update (default both), delete.';
comment on column tradeflow.rules.condition is 'SQL boolean over new and old. Old is all NULL on insert, new on delete. No subqueries (use query), no volatile functions. NULL: every change.';
comment on column tradeflow.rules.fires is 'enter (default): it holds for new and did not hold before; always (default without condition): at every real change while it holds. A condition that mentions old is its own edge.';
comment on column tradeflow.rules.still is 'Asked instead of condition when a timer is due; over new alone.';
comment on column tradeflow.rules.columns is 'On update, look only when one of these columns changed. NULL: any column.';
comment on column tradeflow.rules.query is 'A SELECT, may mention new and old; run for all rows of the statement that passed the condition at once. Each row it returns is one firing, its columns are the facts; columns named subject, occurrence and fire_at mean these.';
comment on column tradeflow.rules.fire_at is 'Expression over new (and old): when the firing is due, timestamptz. NULL, or a NULL value: now.';
comment on column tradeflow.rules.mode is 'live; shadow: firings are recorded and never executed; off: not evaluated, what waits is cancelled.';
comment on column tradeflow.rules.project is 'The project whose files define the rule: the scope of apply --prune.';
comment on column tradeflow.rules.description is 'For people: what the rule is for.';
comment on column tradeflow.rules.max_firings is 'More firings than this from one statement are held, all of them, with an incident.';
comment on column tradeflow.rules.owner is 'The role as which condition and query run. Default: who writes the rule; only members of the role may set it.';
comment on column tradeflow.rules.search_path is 'The path its names are looked up in, always: the writer''s own at the time, unless given.';
comment on column tradeflow.rules.version is 'Counts the definitions; earlier ones are in rule_versions.';
comment on column tradeflow.rules.invalid is 'Why the rule is stored but not evaluated: a setting or target is missing, or something it needs was dropped. NULL: it works.';
comment on column tradeflow.rules.updated_at is 'When this definition was written.';
comment on column tradeflow.rules.updated_by is 'Who wrote this definition.';


create table tradeflow.rule_versions (
  rule        text not null,
  version     int not null,
  definition  jsonb not null,
  written_by  name not null,
  written_at  timestamptz not null,
  replaced_by name not null default current_user,
  replaced_at timestamptz not null default now(),
  primary key (rule, version)
);
select pg_catalog.pg_extension_config_dump('tradeflow.rule_versions', '');
comment on table tradeflow.rule_versions is 'Every earlier definition of a rule, with who and when. Kept when the rule is deleted.';
comment on column tradeflow.rule_versions.rule is 'Name of the rule; no foreign key, so that the history outlives it.';
comment on column tradeflow.rule_versions.version is 'The version that this definition was.';
comment on column tradeflow.rule_versions.definition is 'The row of rules as it was.';
comment on column tradeflow.rule_versions.written_by is 'Who wrote that definition.';
comment on column tradeflow.rule_versions.written_at is 'When it was written.';
comment on column tradeflow.rule_versions.replaced_by is 'Who replaced or deleted it.';
comment on column tradeflow.rule_versions.replaced_at is 'When it was replaced or deleted.';


-- Why a definition does not compile for want of something that may still come, else NULL.
-- Every other mistake is an error: it is the writer's to mend.
create function tradeflow._rule_missing(r tradeflow.rules) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
begin
  if to_regrole(quote_ident(r.owner)) is null then
    return format('its owner, role "%s", does not exist', r.owner);
  end if;
  begin
    perform tradeflow._compile(r.name, r.source::regclass, r.condition, r.fires, r.query, r.fire_at, r.still, r.columns,
                               r.search_path, to_regrole(quote_ident(r.owner)));
  exception when sqlstate 'TF001' then
    return replace(sqlerrm, format('rule "%s": ', r.name), '');
  end;
  select format('action %s wants target "%s", which does not exist', a.step, a.target) into missing
  from tradeflow.actions a
  where a.rule = r.name and a.target is not null
    and not exists (select from tradeflow.targets t where t.name = a.target)
  order by a.step limit 1;
  return missing;
end
$$;
comment on function tradeflow._rule_missing(tradeflow.rules) is
  'Internal. What a rule still waits for (a setting, a target, its owner); NULL when it compiles. Any other mistake is raised.';


create function tradeflow._require_member(owner name, rule text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from pg_roles where rolname = owner) then
    -- A superuser may: a dump is restored where its roles are not. For others it would be a way to a role made later.
    if not (select rolsuper from pg_roles where rolname = current_user) then
      raise exception 'rule "%": its owner, role "%", does not exist', rule, owner using errcode = 'undefined_object';
    end if;
  elsif not pg_has_role(current_user, owner, 'member') then
    raise exception 'rule "%" belongs to role "%", and "%" is no member of it', rule, owner, current_user
      using errcode = 'insufficient_privilege',
            hint = 'A rule runs with its owner''s rights, so only members of that role may write it.';
  end if;
end
$$;
comment on function tradeflow._require_member(name, text) is 'Internal. Errors: 42501 unless the current user is a member of the rule''s owner.';


create function tradeflow._rules_before_write() returns trigger
language plpgsql
set search_path from current
as $$
declare
  rel regclass;
begin
  if tg_op = 'DELETE' then
    perform tradeflow._require_member(old.owner, old.name);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    perform tradeflow._require_member(old.owner, old.name);
    -- Found not to work: noted. Everything else is asked anew, also that it works again.
    if new.invalid is not null and to_jsonb(new) - 'invalid' = to_jsonb(old) - 'invalid' then
      return new;
    end if;
  end if;
  perform tradeflow._require_member(new.owner, new.name);

  if new.source is null then
    raise exception 'rule "%" has no source', new.name
      using errcode = 'not_null_violation', hint = 'source is the watched table whose changes the rule is asked about.';
  end if;
  rel := to_regclass(new.source);
  if rel is null then
    raise exception 'rule "%": table "%" does not exist', new.name, new.source
      using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  end if;
  new.source := tradeflow._qualified_name(rel);
  if not exists (select from tradeflow.watched_tables w where w.name = new.source) then
    raise exception 'rule "%": table % is not watched', new.name, new.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L);', new.source);
  end if;

  new.fires := case when new.condition is null then 'always' else coalesce(new.fires, 'enter') end;
  perform tradeflow._require_columns(rel, new.columns, format('rule "%s": columns', new.name));
  new.invalid := tradeflow._rule_missing(new);
  if new.invalid is not null then
    raise warning 'rule "%" is stored, but not evaluated yet: %', new.name, new.invalid
      using hint = 'It compiles by itself when the missing part comes.';
  end if;

  if tg_op = 'INSERT' then
    -- A rule that comes back goes on counting where it ended: no version means two things.
    new.version := greatest(new.version, 1 + (select max(v.version) from tradeflow.rule_versions v where v.rule = new.name));
  elsif (to_jsonb(new) - '{version,updated_at,updated_by,invalid}'::text[])
                          is distinct from (to_jsonb(old) - '{version,updated_at,updated_by,invalid}'::text[]) then
    new.version := old.version + 1;
    new.updated_at := now();
    new.updated_by := current_user;
  end if;
  return new;
end
$$;
alter function tradeflow._rules_before_write() set search_path = pg_catalog, pg_temp;
comment on function tradeflow._rules_before_write() is 'Internal. Checks a rule as it is written and compiles it.';


-- The path is the writer's, so it is read before any function of ours pins its own.
create function tradeflow._rules_search_path() returns trigger
language plpgsql
as $$
begin
  new.search_path := coalesce(
    new.search_path,
    (select pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ' order by i)
     from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(s, i)),
    '');
  return new;
end
$$;
comment on function tradeflow._rules_search_path() is 'Internal. Pins the writer''s search_path to a rule that gives none.';


create function tradeflow._rules_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or new.version <> old.version) then
    insert into tradeflow.rule_versions (rule, version, definition, written_by, written_at, replaced_by)
    values (old.name, old.version, to_jsonb(old), old.updated_by, old.updated_at,
            case when tg_op = 'DELETE' then session_user else new.updated_by end)
    on conflict (rule, version) do nothing;
  end if;
  if tg_op = 'DELETE' then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'rule deleted')
    from tradeflow.outbox o where o.rule = old.name and o.state in ('ready', 'waiting', 'held', 'shadow');
  elsif new.mode = 'off' and tg_op = 'UPDATE' and old.mode <> 'off' then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'rule turned off')
    from tradeflow.outbox o where o.rule = new.name and o.state = 'waiting';
  end if;
  if tg_op <> 'INSERT' then
    perform tradeflow._invalidate(to_regclass(old.source));
  end if;
  if tg_op <> 'DELETE' then
    perform tradeflow._invalidate(to_regclass(new.source));
  end if;
  return null;
end
$$;
comment on function tradeflow._rules_after_write() is 'Internal. Keeps the earlier definition, cancels what waits for a rule that is off or gone, and has every backend compile anew.';

-- Names decide the order: the path first, then the check.
create trigger rules_a_search_path before insert or update on tradeflow.rules
  for each row execute function tradeflow._rules_search_path();
create trigger rules_b_check before insert or update or delete on tradeflow.rules
  for each row execute function tradeflow._rules_before_write();
create trigger rules_c_after after insert or update or delete on tradeflow.rules
  for each row execute function tradeflow._rules_after_write();


-- Asks the rules again that a change of settings or targets may concern. A rule that worked and would
-- stop working refuses the change; one that waited for this starts.
create function tradeflow._revalidate(mentions text[], what text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  r        tradeflow.rules;
  missing  text;
begin
  for r in
    select * from tradeflow.rules x
    where x.invalid is not null
       or exists (select from unnest(mentions) m
                  where position(m in concat_ws(' ', x.condition, x.query, x.fire_at, x.still)) > 0
                     or exists (select from tradeflow.actions a where a.rule = x.name and a.target = m))
    order by x.name
  loop
    begin
      missing := tradeflow._rule_missing(r);
    exception when others then
      if r.invalid is not null then
        continue;
      end if;
      raise exception '% breaks %', what, sqlerrm
        using errcode = sqlstate, hint = 'Change the rule first, or give a value that it can read.';
    end;
    if missing is not null and r.invalid is null then
      raise exception '% breaks rule "%": %', what, r.name, missing
        using errcode = 'dependent_objects_still_exist', hint = 'Change or delete the rule first.';
    elsif missing is distinct from r.invalid then
      update tradeflow.rules set invalid = missing where name = r.name;
    end if;
    perform tradeflow._invalidate(to_regclass(r.source));
  end loop;
end
$$;
comment on function tradeflow._revalidate(text[], text) is
  'Internal. Compiles again the rules that mention one of these names, or that are invalid. Errors: whatever a rule that worked would fail with.';


create function tradeflow._settings_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    perform tradeflow._revalidate(array[old.name], format('deleting setting "%s"', old.name));
  else
    perform tradeflow._revalidate(array[new.name], format('setting "%s" = %L', new.name, new.value));
    if tg_op = 'UPDATE' and new.name <> old.name then
      perform tradeflow._revalidate(array[old.name], format('renaming setting "%s"', old.name));
    end if;
  end if;
  return null;
end
$$;
comment on function tradeflow._settings_after_write() is 'Internal. A setting is a constant of the rules that read it: they are compiled again.';
create function tradeflow._settings_before_update() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function tradeflow._settings_before_update() is 'Internal. Notes when a setting was last written.';
create trigger settings_before_update before update on tradeflow.settings
  for each row when (old.value is distinct from new.value) execute function tradeflow._settings_before_update();
create trigger settings_after_write after insert or delete on tradeflow.settings
  for each row execute function tradeflow._settings_after_write();
create trigger settings_after_update after update on tradeflow.settings
  for each row when (old.* is distinct from new.*) execute function tradeflow._settings_after_write();


-- The test clock is a constant of compiled rules too.
create function tradeflow._clock_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._invalidate(to_regclass(w.name)) from tradeflow.watched_tables w where to_regclass(w.name) is not null;
  return null;
end
$$;
comment on function tradeflow._clock_after_write() is 'Internal. Rules that read tradeflow.now() are compiled again.';
create trigger clock_after_write after insert or update or delete on tradeflow.clock
  for each statement execute function tradeflow._clock_after_write();


-- 25_actions.sql
-- 25_actions: what follows from a firing: kinds, targets, templates, and the actions themselves.

create table tradeflow.action_kinds (
  name         text primary key,
  repeatable   boolean not null,
  required     text[] not null default '{}',
  optional     text[] not null default '{}',
  description  text not null,
  builtin      boolean not null default false
);
select pg_catalog.pg_extension_config_dump('tradeflow.action_kinds', 'where not builtin');
comment on table tradeflow.action_kinds is 'The kinds of action that a sidecar can execute. Own kinds of an own client are added here.';
comment on column tradeflow.action_kinds.name is 'What actions.kind says.';
comment on column tradeflow.action_kinds.repeatable is 'Whether an execution whose outcome is unknown may be repeated. If not, it becomes uncertain and waits for a person.';
comment on column tradeflow.action_kinds.required is 'Parameters that must be given; a|b means one of the two.';
comment on column tradeflow.action_kinds.optional is 'Parameters that may be given.';
comment on column tradeflow.action_kinds.description is 'What executing it does.';
comment on column tradeflow.action_kinds.builtin is 'Comes with the extension; not dumped.';

insert into tradeflow.action_kinds (name, repeatable, required, optional, description, builtin) values
  ('email', false, '{to,template|text}', '{cc,bcc,reply_to,from,subject,html,headers}',
   'Sends a mail through the target''s SMTP server: a template by name, or subject and text.', true),
  ('http', true, '{}', '{method,url,path,headers,query,body,expect,timeout}',
   'Sends an HTTP request to the target, with an idempotency key; the response is the result.', true);


create table tradeflow.targets (
  name            text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  system          text not null check (system in ('smtp', 'http')),
  base_url        text not null check (base_url !~ '^[a-z]+://[^/]*@'),
  secret          text check (secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  username        text,
  auth            text not null default 'none' check (auth ~ '^(none|bearer|basic|header:[A-Za-z0-9-]+)$'),
  sender          text,
  signing_secret  text check (signing_secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  headers         jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  allow_private   boolean not null default false,
  timeout         interval not null default '30 seconds' check (timeout > '0'),
  description     text,
  check (case system when 'smtp' then base_url ~ '^smtps?://' else base_url ~ '^https?://' end),
  check (system = 'http' or auth in ('none', 'basic'))
);
select pg_catalog.pg_extension_config_dump('tradeflow.targets', '');
comment on table tradeflow.targets is 'A row is a destination of actions. Secrets are named here, never held: the sidecar reads them.';
comment on column tradeflow.targets.name is 'What actions.target says.';
comment on column tradeflow.targets.system is 'smtp or http.';
comment on column tradeflow.targets.base_url is 'http(s)://host/path: requests go nowhere else. smtp://host:port (plain), smtp://host:port?tls=starttls (required), smtps://host:port. Without user or password.';
comment on column tradeflow.targets.secret is 'Where the password or token is: env:NAME or file:/path.';
comment on column tradeflow.targets.username is 'User name for auth basic.';
comment on column tradeflow.targets.auth is 'none, bearer, basic, or header:<Name> (the secret is that header''s value).';
comment on column tradeflow.targets.sender is 'Sender of mails: "Name <address>".';
comment on column tradeflow.targets.signing_secret is 'Where the Standard Webhooks secret is; requests are signed with it.';
comment on column tradeflow.targets.headers is 'Headers of every request. Not for secrets.';
comment on column tradeflow.targets.allow_private is 'Whether the host may be a private or loopback address.';
comment on column tradeflow.targets.timeout is 'How long one execution may take.';
comment on column tradeflow.targets.description is 'For people.';


create table tradeflow.templates (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  subject      text not null,
  text         text not null,
  html         text,
  description  text,
  updated_at   timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.templates', '');
comment on table tradeflow.templates is 'Mail templates (Jinja): rendered over facts, steps, settings and rule.';
comment on column tradeflow.templates.name is 'What the parameter template of an email action says.';
comment on column tradeflow.templates.subject is 'Template of the subject line.';
comment on column tradeflow.templates.text is 'Template of the plain text.';
comment on column tradeflow.templates.html is 'Template of the HTML part; values are escaped. NULL: text only.';
comment on column tradeflow.templates.description is 'For people.';
comment on column tradeflow.templates.updated_at is 'When it was last written.';

create function tradeflow._templates_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  part     record;
  problem  text;
begin
  for part in values ('subject', new.subject), ('text', new.text), ('html', new.html) loop
    problem := tradeflow._check_template(part.column2, part.column1);
    if problem is not null then
      raise exception 'template "%" does not compile: %', new.name, problem using errcode = 'syntax_error';
    end if;
  end loop;
  if tg_op = 'UPDATE' then
    new.updated_at := now();
  end if;
  return new;
end
$$;
comment on function tradeflow._templates_before_write() is 'Internal. Rejects a mail template that does not compile. Errors: 42601.';
create trigger templates_check before insert or update on tradeflow.templates
  for each row execute function tradeflow._templates_before_write();


create table tradeflow.actions (
  rule          text not null references tradeflow.rules (name) on update cascade on delete cascade,
  step          int not null default 1 check (step > 0),
  name          text check (name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
  edge          text not null default 'enter' check (edge = 'enter'),
  kind          text not null,
  target        text,
  params        jsonb not null default '{}' check (jsonb_typeof(params) = 'object'),
  delay         interval not null default '0',
  if_late       text not null default 'run' check (if_late in ('run', 'skip')),
  max_attempts  int not null default 20 check (max_attempts between 1 and 100),
  on_failure    text not null default 'stop' check (on_failure in ('stop', 'continue')),
  primary key (rule, edge, step),
  unique (rule, edge, name)
);
select pg_catalog.pg_extension_config_dump('tradeflow.actions', '');
comment on table tradeflow.actions is 'Step n of what a rule''s firing causes. Steps run one after another.';
comment on column tradeflow.actions.rule is 'The rule.';
comment on column tradeflow.actions.step is 'Order among the rule''s actions; gaps are fine.';
comment on column tradeflow.actions.name is 'Later steps read its result as steps.<name>.';
comment on column tradeflow.actions.edge is 'enter: the answer became yes.';
comment on column tradeflow.actions.kind is 'One of action_kinds.';
comment on column tradeflow.actions.target is 'One of targets.';
comment on column tradeflow.actions.params is 'JSON whose strings are templates over facts, steps, settings and rule. A string that is one {{ expression }} keeps its JSON type.';
comment on column tradeflow.actions.delay is 'Added to fire_at, or to now. May be negative: -7 days.';
comment on column tradeflow.actions.if_late is 'When the due time has passed already at the firing: run at once, or skip.';
comment on column tradeflow.actions.max_attempts is 'Executions before the action is dead. With the backoff of fail(), 20 last about an hour.';
comment on column tradeflow.actions.on_failure is 'When this action is dead: stop, or continue with the next step.';


-- The path of the first string of a JSON value that is no template, with what is wrong; NULL if all are.
create function tradeflow._check_params(params jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  item     record;
  problem  text;
begin
  case jsonb_typeof(params)
    when 'string' then
      return tradeflow._check_template(params #>> '{}', path);
    when 'object' then
      for item in select path || '.' || e.key as path, e.value from jsonb_each(params) e loop
        problem := tradeflow._check_params(item.value, item.path);
        exit when problem is not null;
      end loop;
    when 'array' then
      for item in select format('%s[%s]', path, e.ord - 1) as path, e.value from jsonb_array_elements(params) with ordinality e(value, ord) loop
        problem := tradeflow._check_params(item.value, item.path);
        exit when problem is not null;
      end loop;
    else
      null;
  end case;
  return problem;
end
$$;
comment on function tradeflow._check_params(jsonb, text) is 'Internal. NULL when every string of the parameters compiles as a template, else where and why not.';


create function tradeflow._actions_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  kind     tradeflow.action_kinds;
  problem  text;
  the_rule tradeflow.rules;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if found then
    perform tradeflow._require_member(the_rule.owner, the_rule.name);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if tg_op = 'UPDATE' and old.rule <> new.rule then
    perform tradeflow._require_member(r.owner, r.name) from tradeflow.rules r where r.name = old.rule;
  end if;

  select * into kind from tradeflow.action_kinds k where k.name = new.kind;
  if not found then
    raise exception 'action % of rule "%": there is no kind "%"', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value',
            hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  if jsonb_typeof(new.params) <> 'object' then
    raise exception 'action % of rule "%": params is a JSON %, not an object', new.step, new.rule, jsonb_typeof(new.params)
      using errcode = 'invalid_parameter_value', hint = 'params names each parameter: {"to": "…", "template": "…"}';
  end if;
  select format('parameter "%s" is missing', replace(want, '|', '" or "')) into problem
  from unnest(kind.required) want
  where not exists (select from unnest(string_to_array(want, '|')) alternative where new.params ? alternative)
  limit 1;
  if problem is null then
    select format('kind "%s" has no parameter "%s"', new.kind, given) into problem
    from jsonb_object_keys(new.params) given
    where not (given = any (kind.optional) or given = any (string_to_array(array_to_string(kind.required, '|'), '|')))
    limit 1;
  end if;
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'invalid_parameter_value',
            hint = format('required: %s; optional: %s', coalesce(nullif(array_to_string(kind.required, ', '), ''), 'none'),
                          coalesce(nullif(array_to_string(kind.optional, ', '), ''), 'none'));
  end if;
  problem := tradeflow._check_params(new.params, 'params');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'Strings of params are Jinja templates: {{ facts.quote_number }}.';
  end if;
  return new;
end
$$;
comment on function tradeflow._actions_before_write() is
  'Internal. Checks kind, parameters and templates of an action. Errors: 22023 unknown kind or parameter, 42601 a string that is no template, 42501 no member of the rule''s owner.';

create function tradeflow._actions_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  the_rule  tradeflow.rules;
  missing   text;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if not found then
    return null;
  end if;
  missing := tradeflow._rule_missing(the_rule);
  if missing is distinct from the_rule.invalid then
    update tradeflow.rules set invalid = missing where name = the_rule.name;
  end if;
  perform tradeflow._invalidate(to_regclass(the_rule.source));
  return null;
end
$$;
comment on function tradeflow._actions_after_write() is 'Internal. Has the rule compiled again with its actions.';

create trigger actions_check before insert or update or delete on tradeflow.actions
  for each row execute function tradeflow._actions_before_write();
create trigger actions_after_write after insert or update or delete on tradeflow.actions
  for each row execute function tradeflow._actions_after_write();


create function tradeflow._targets_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'DELETE' then
    perform tradeflow._revalidate(array[new.name], format('target "%s"', new.name));
  end if;
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.name <> new.name) then
    perform tradeflow._revalidate(array[old.name], format('the loss of target "%s"', old.name));
  end if;
  return null;
end
$$;
comment on function tradeflow._targets_after_write() is 'Internal. A rule whose action waited for this target starts; one that needs it refuses its loss.';
create trigger targets_after_write after insert or update of name or delete on tradeflow.targets
  for each row execute function tradeflow._targets_after_write();


-- 30_outbox.sql
-- 30_outbox: actions that wait or run, those that ended, and what needs a person.

create sequence tradeflow.firing_id;
comment on sequence tradeflow.firing_id is 'Numbers the firings.';
select pg_catalog.pg_extension_config_dump('tradeflow.firing_id', '');

create table tradeflow.outbox (
  id            bigint generated by default as identity primary key,
  firing_id     bigint not null,
  rule          text not null,
  rule_version  int not null,
  source        text not null,
  event         text not null check (event in ('insert', 'update', 'delete')),
  subject       text not null,
  occurrence    text not null default '',
  key           jsonb,
  edge          text not null default 'enter',
  step          int,
  action        text,
  kind          text,
  target        text,
  lane          text not null,
  state         text not null check (state in ('ready', 'waiting', 'running', 'done', 'dead', 'held', 'cancelled', 'uncertain', 'shadow')),
  reason        text,
  facts         jsonb not null,
  steps         jsonb not null default '{}',
  run_at        timestamptz not null default now(),
  fire_at       timestamptz,
  attempt       int not null default 0,
  max_attempts  int not null default 20,
  worker        text,
  lease_until   timestamptz,
  started_at    timestamptz,
  error         text,
  result        jsonb,
  created_at    timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.outbox', '');
select pg_catalog.pg_extension_config_dump('tradeflow.outbox_id_seq', '');

-- Rows live briefly and change often: the autovacuum of a table that is nearly empty most of the time.
alter table tradeflow.outbox set (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 2000, autovacuum_vacuum_cost_delay = 0
);

-- What claim() reads; a retry's run_at lies in the future, so it is not met on the way.
create index outbox_ready on tradeflow.outbox (run_at, id) where state = 'ready';
-- Whether something is before an action in its lane.
create index outbox_lane on tradeflow.outbox (lane, id) where state in ('ready', 'running');
-- What tick() reads: timers that are due, leases that ended.
create index outbox_waiting on tradeflow.outbox (run_at) where state = 'waiting';
create index outbox_lease on tradeflow.outbox (lease_until) where state = 'running';
-- What a later match replaces, and a "no" cancels.
create index outbox_timer on tradeflow.outbox (rule, subject) where state = 'waiting';
create index outbox_timer_key on tradeflow.outbox (rule, key) where state = 'waiting';
-- What waits for a person, and what is swept into history.
create index outbox_resting on tradeflow.outbox (state, created_at) where state not in ('ready', 'waiting', 'running');

comment on table tradeflow.outbox is 'A row is one action of a firing, waiting or running. Rows of one firing share firing_id. Written by rules and the functions claim, started, complete, fail, extend, cancel, retry, tick; never directly.';
comment on column tradeflow.outbox.id is 'Identifies the action; the idempotency key is made of it.';
comment on column tradeflow.outbox.firing_id is 'The firing it belongs to.';
comment on column tradeflow.outbox.rule is 'The rule that fired.';
comment on column tradeflow.outbox.rule_version is 'The version of the rule that fired.';
comment on column tradeflow.outbox.source is 'The table whose row changed.';
comment on column tradeflow.outbox.event is 'insert, update or delete.';
comment on column tradeflow.outbox.subject is 'Who it is about: the key of the row as text (several columns: a text array), or what the query says.';
comment on column tradeflow.outbox.occurrence is 'Which of several answers about the subject; empty where there is one.';
comment on column tradeflow.outbox.key is 'The row''s key columns with their values; kept for timers, which ask again about the row.';
comment on column tradeflow.outbox.edge is 'enter: the answer became yes.';
comment on column tradeflow.outbox.step is 'The step of the rule''s actions. NULL: the rule has none, and the firing itself is the record.';
comment on column tradeflow.outbox.action is 'The action''s name, if it has one.';
comment on column tradeflow.outbox.kind is 'The action''s kind.';
comment on column tradeflow.outbox.target is 'The action''s target.';
comment on column tradeflow.outbox.lane is 'Actions of one lane run one after another, in the order of their ids: source:subject.';
comment on column tradeflow.outbox.state is 'ready, waiting (for its time), running, done, dead, held, cancelled, uncertain (sent, outcome unknown), shadow. Dead, held and uncertain stay until a person acts; done, cancelled and shadow move to outbox_history.';
comment on column tradeflow.outbox.reason is 'Why it is held or cancelled.';
comment on column tradeflow.outbox.facts is 'What templates read: the changed row, or the row of the query.';
comment on column tradeflow.outbox.steps is 'Results of the firing''s earlier steps, under their names and numbers.';
comment on column tradeflow.outbox.run_at is 'Not before this time.';
comment on column tradeflow.outbox.fire_at is 'The due time that the rule computed, before the action''s delay.';
comment on column tradeflow.outbox.attempt is 'How often it was claimed. A completion must name the attempt that holds the lease.';
comment on column tradeflow.outbox.max_attempts is 'After as many it is dead.';
comment on column tradeflow.outbox.worker is 'Who holds the lease.';
comment on column tradeflow.outbox.lease_until is 'Until when, by the database''s clock.';
comment on column tradeflow.outbox.started_at is 'When the worker said that it begins something it cannot take back.';
comment on column tradeflow.outbox.error is 'The last error.';
comment on column tradeflow.outbox.result is 'What executing it returned.';
comment on column tradeflow.outbox.created_at is 'The start of the transaction that fired.';


-- Where finished actions go. No indexes but those that people search by: it is written far more than read.
create table tradeflow.outbox_history (
  like tradeflow.outbox,
  request      jsonb,
  finished_at  timestamptz not null default clock_timestamp()
) partition by range (finished_at);
create table tradeflow.outbox_history_default partition of tradeflow.outbox_history default;
-- Each partition has its own, none is the parent's: pg_dump writes the days' tables with their indexes, and a parent
-- that comes with the extension would have made them already.
create index on tradeflow.outbox_history_default (id);
create index on tradeflow.outbox_history_default (firing_id);
create index on tradeflow.outbox_history_default (rule, subject);
select pg_catalog.pg_extension_config_dump('tradeflow.outbox_history_default', '');
comment on table tradeflow.outbox_history is 'Finished actions (done, cancelled, shadow), partitioned by day; days older than setting history_days (default 90) are dropped by tick().';
comment on table tradeflow.outbox_history_default is 'Catches rows of a day whose partition tick() has not made yet.';
comment on column tradeflow.outbox_history.request is 'The rendered request, without secrets.';
comment on column tradeflow.outbox_history.finished_at is 'When it ended.';
do $comments$
declare
  c record;
begin
  for c in
    select a.attname, col_description('tradeflow.outbox'::regclass, a.attnum) as text
    from pg_catalog.pg_attribute a
    where a.attrelid = 'tradeflow.outbox'::pg_catalog.regclass and a.attnum > 0
  loop
    execute format('comment on column tradeflow.outbox_history.%I is %L', c.attname, c.text);
  end loop;
end
$comments$;


create table tradeflow.incidents (
  id            bigint generated by default as identity primary key,
  kind          text not null check (kind in ('rule_error', 'rule_invalid', 'held_burst', 'dead_action', 'uncertain_action', 'timer_error')),
  rule          text,
  source        text,
  subject       text,
  outbox_id     bigint,
  message       text not null,
  detail        text,
  hint          text,
  sqlstate      text,
  count         int not null default 1,
  created_at    timestamptz not null default now(),
  last_seen_at  timestamptz not null default now(),
  acked_at      timestamptz,
  acked_by      name
);
create index incidents_open on tradeflow.incidents (rule, kind) where acked_at is null;
select pg_catalog.pg_extension_config_dump('tradeflow.incidents', '');
select pg_catalog.pg_extension_config_dump('tradeflow.incidents_id_seq', '');
comment on table tradeflow.incidents is 'A row is something that went wrong and needs a person. Statements append; tick() adds up the ones that say the same.';
comment on column tradeflow.incidents.id is 'Identifies the incident.';
comment on column tradeflow.incidents.kind is 'rule_error: a condition, query or due time failed for a row. rule_invalid: a rule no longer compiles. held_burst: more firings than max_firings. dead_action, uncertain_action: see the outbox row. timer_error: a due timer could not be asked again.';
comment on column tradeflow.incidents.rule is 'The rule concerned.';
comment on column tradeflow.incidents.source is 'The table whose row it happened for.';
comment on column tradeflow.incidents.subject is 'The key of the (first) row it happened for.';
comment on column tradeflow.incidents.outbox_id is 'The action concerned.';
comment on column tradeflow.incidents.message is 'What happened.';
comment on column tradeflow.incidents.detail is 'More of it.';
comment on column tradeflow.incidents.hint is 'What to do.';
comment on column tradeflow.incidents.sqlstate is 'The error''s SQLSTATE.';
comment on column tradeflow.incidents.count is 'How many rows or times.';
comment on column tradeflow.incidents.created_at is 'First seen.';
comment on column tradeflow.incidents.last_seen_at is 'Last seen.';
comment on column tradeflow.incidents.acked_at is 'When somebody took note. NULL: open.';
comment on column tradeflow.incidents.acked_by is 'Who.';


-- The one way out of the outbox: everything that ends goes through here.
create function tradeflow._archive(ids bigint[], state text, reason text default null, results jsonb[] default null) returns int
language sql
set search_path = pg_catalog, pg_temp
as $$
  with gone as (
    delete from tradeflow.outbox o where o.id = any (ids) returning o.*
  ), moved as (
    insert into tradeflow.outbox_history (
      id, firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, reason, facts, steps, run_at, fire_at, attempt, max_attempts, worker, started_at, error,
      result, request, created_at)
    select
      g.id, g.firing_id, g.rule, g.rule_version, g.source, g.event, g.subject, g.occurrence, g.key, g.edge, g.step, g.action, g.kind, g.target, g.lane,
      coalesce(_archive.state, g.state), coalesce(_archive.reason, g.reason), g.facts, g.steps, g.run_at, g.fire_at, g.attempt, g.max_attempts, g.worker, g.started_at, g.error,
      coalesce(r.result - 'request', g.result), r.result -> 'request', g.created_at
    from gone g
    left join unnest(ids, results) r(id, result) on r.id = g.id
    returning 1
  )
  select count(*)::int from moved
$$;
comment on function tradeflow._archive(bigint[], text, text, jsonb[]) is
  'Internal. Moves actions to the history, in this state (NULL: as they are); results are in the order of ids. Returns how many.';


create view tradeflow.firings as
with rows as (
  select o.firing_id, o.rule, o.rule_version, o.source, o.event, o.subject, o.occurrence, o.edge, o.facts, o.step, o.state, o.run_at, o.created_at,
         null::timestamptz as finished_at
  from tradeflow.outbox o
  union all
  select h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge, h.facts, h.step, h.state, h.run_at, h.created_at,
         h.finished_at
  from tradeflow.outbox_history h
)
select
  r.firing_id,
  r.rule,
  r.rule_version,
  r.source,
  r.event,
  r.subject,
  r.occurrence,
  r.edge,
  (array_agg(r.facts order by r.step))[1] as facts,
  (array_agg(r.state order by r.step desc nulls last))[1] as state,
  count(r.step)::int as actions,
  min(r.run_at) as run_at,
  min(r.created_at) as created_at,
  case when bool_and(r.finished_at is not null) then max(r.finished_at) end as finished_at
from rows r
group by r.firing_id, r.rule, r.rule_version, r.source, r.event, r.subject, r.occurrence, r.edge;
comment on view tradeflow.firings is 'One row a firing, over outbox and outbox_history.';
comment on column tradeflow.firings.firing_id is 'Identifies the firing.';
comment on column tradeflow.firings.rule is 'The rule that fired.';
comment on column tradeflow.firings.rule_version is 'Its version then.';
comment on column tradeflow.firings.source is 'The table whose row changed.';
comment on column tradeflow.firings.event is 'insert, update or delete.';
comment on column tradeflow.firings.subject is 'Who it is about.';
comment on column tradeflow.firings.occurrence is 'Which of several answers.';
comment on column tradeflow.firings.edge is 'enter: the answer became yes.';
comment on column tradeflow.firings.facts is 'What templates read.';
comment on column tradeflow.firings.state is 'State of the latest step.';
comment on column tradeflow.firings.actions is 'How many steps were begun.';
comment on column tradeflow.firings.run_at is 'When its first step was or is due.';
comment on column tradeflow.firings.created_at is 'When it fired.';
comment on column tradeflow.firings.finished_at is 'When its last step ended; NULL while something is open.';


-- 40_executor_api.sql
-- 40_executor_api: what a sidecar calls. Any client in any language can be one.
--
-- They are many short statements over tables that are small and rarely analysed: compiling their plans (jit) costs
-- ten times what it saves, seen as 73 ms for a claim of 128 actions, 5 without.
--
-- The database's own clock decides about leases (clock_timestamp(), never tradeflow.now()), so the clocks of
-- the hosts that run sidecars do not matter. docs/decisions/0004 has the state machine.

create function tradeflow.claim(worker text, max int, lease interval, kinds text[] default null)
returns table (
  id bigint, attempt int, max_attempts int, firing_id bigint, rule text, rule_version int, source text, event text, subject text,
  occurrence text, edge text, step int, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb,
  idempotency_key text, run_at timestamptz, created_at timestamptz, lease_until timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
begin
  if claim.max is null or claim.max not between 1 and 10000 then
    raise exception 'max must be between 1 and 10000, not %', coalesce(claim.max::text, 'NULL') using errcode = 'invalid_parameter_value';
  elsif claim.lease is null or claim.lease not between interval '1 second' and interval '1 day' then
    raise exception 'lease must be between 1 second and 1 day, not %', coalesce(claim.lease::text, 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'a lease is how long a dead worker delays an action; extend() prolongs it.';
  elsif coalesce(claim.worker, '') = '' then
    raise exception 'worker must be named' using errcode = 'invalid_parameter_value', hint = 'host and process, for people who ask who holds a lease.';
  end if;

  return query
  with free as (
    -- The head of each lane: nothing of the lane is running (a timer that became ready meanwhile may have a lower id
    -- than what runs), and nothing is ready before it. A head that another worker
    -- holds is skipped, and still blocks the rest of its lane.
    select o.id
    from tradeflow.outbox o
    where o.state = 'ready'
      and o.run_at <= clock_timestamp()
      and (claim.kinds is null or o.kind = any (claim.kinds))
      and not exists (
        select from tradeflow.outbox b
        where b.lane = o.lane and (b.state = 'running' or (b.state = 'ready' and b.id < o.id)))
    order by o.run_at, o.id
    limit claim.max
    for update of o skip locked
  ), held as (
    update tradeflow.outbox o
    set state = 'running', attempt = o.attempt + 1, worker = claim.worker,
        lease_until = clock_timestamp() + claim.lease, started_at = null
    from free
    where o.id = free.id
    returning o.*
  )
  select h.id, h.attempt, h.max_attempts, h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge,
         h.step, h.action, h.kind, h.target, a.params, h.facts, h.steps, s.settings,
         i.id || '-' || h.id, h.run_at, h.created_at, h.lease_until
  from held h
  left join tradeflow.actions a on a.rule = h.rule and a.edge = h.edge and a.step = h.step
  cross join tradeflow.installation i
  cross join (select coalesce(jsonb_object_agg(x.name, x.value), '{}') as settings from tradeflow.settings x) s
  order by h.run_at, h.id;
end
$$;
comment on function tradeflow.claim(text, int, interval, text[]) is
  'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. params is NULL when the action was deleted meanwhile. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';


create function tradeflow.started(id bigint, attempt int) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  with mine as (
    update tradeflow.outbox o set started_at = clock_timestamp()
    where o.id = started.id and o.attempt = started.attempt and o.state = 'running' and o.lease_until > clock_timestamp()
    returning 1
  )
  select exists (select from mine)
$$;
comment on function tradeflow.started(bigint, int) is
  'Says that the worker begins what it cannot take back. False: the lease is lost; do not begin. After it, a lost lease makes a kind that cannot be repeated uncertain.';


-- Inserts the step after a finished one, with the results so far. Returns how many.
create function tradeflow._next_step(ids bigint[], outcomes jsonb[]) returns int
language sql
set search_path = pg_catalog, pg_temp
as $$
  with finished as (
    select o.*, coalesce(f.outcome, '{}') - 'request' as outcome
    from unnest(ids, outcomes) f(id, outcome)
    join tradeflow.outbox o on o.id = f.id
    left join tradeflow.actions mine on mine.rule = o.rule and mine.edge = o.edge and mine.step = o.step
    -- A dead action that the firing went on without, and that a person had executed again: its next step was begun then.
    where case when o.attempt > 1 and mine.on_failure = 'continue' then
      not exists (select from tradeflow.outbox x where x.firing_id = o.firing_id and x.step > o.step)
      and not exists (select from tradeflow.outbox_history x where x.firing_id = o.firing_id and x.step > o.step)
      else true end
  ), added as (
    insert into tradeflow.outbox (
      firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, facts, steps, run_at, fire_at, max_attempts)
    select
      f.firing_id, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target, f.lane,
      case when a.delay > '0' then 'waiting' else 'ready' end, f.facts,
      f.steps || jsonb_build_object(f.step::text, f.outcome)
              || case when f.action is null then '{}' else jsonb_build_object(f.action, f.outcome) end,
      case when a.delay > '0' then tradeflow.now() + a.delay else clock_timestamp() end, f.fire_at, a.max_attempts
    from finished f
    cross join lateral (
      select * from tradeflow.actions x
      where x.rule = f.rule and x.edge = f.edge and x.step > f.step
      order by x.step limit 1) a
    returning 1
  )
  select count(*)::int from added
$$;
comment on function tradeflow._next_step(bigint[], jsonb[]) is 'Internal. Begins the next step of the firings of these actions.';


create function tradeflow.complete(ids bigint[], attempts int[], results jsonb[]) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  good     bigint[];
  outcome  jsonb[];
begin
  if cardinality(ids) is distinct from cardinality(attempts) or cardinality(ids) is distinct from cardinality(results) then
    raise exception 'ids, attempts and results must be of one length' using errcode = 'invalid_parameter_value';
  elsif exists (select from unnest(results) r where r is not null and (jsonb_typeof(r) <> 'object' or pg_column_size(r) > 4194304)) then
    raise exception 'a result must be a JSON object of at most 4 MB' using errcode = 'invalid_parameter_value';
  end if;

  -- In the order of ids, as every function here locks: two workers never wait for each other.
  with mine as (
    select o.id, c.result
    from (select distinct on (u.id) u.* from unnest(ids, attempts, results) u(id, attempt, result) order by u.id) c
    join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
    order by o.id
    for update of o
  )
  select array_agg(m.id), array_agg(m.result) into good, outcome from mine m;

  if good is not null then
    if tradeflow._next_step(good, outcome) > 0 then
      perform pg_notify('tradeflow', '');
    end if;
    perform tradeflow._archive(good, 'done', null, outcome);
  end if;
  return query select c.id, c.id = any (coalesce(good, '{}')) from unnest(ids) c(id);
end
$$;
comment on function tradeflow.complete(bigint[], int[], jsonb[]) is
  'Ends actions as done, with their results (objects; the key request is kept as the rendered request). Accepted only for the attempt that holds the lease. Errors: 22023 for arrays of different length, a result that is no object or over 4 MB.';


create function tradeflow._incident(
  kind text, outbox tradeflow.outbox, message text, hint text default null, sqlstate text default null
) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  insert into tradeflow.incidents (kind, rule, source, subject, outbox_id, message, hint, sqlstate)
  values (_incident.kind, outbox.rule, outbox.source, outbox.subject, outbox.id, message, hint, _incident.sqlstate)
$$;
comment on function tradeflow._incident(text, tradeflow.outbox, text, text, text) is 'Internal. Appends an incident about an action.';


-- Exponential with full jitter: 0–2 s, 0–4 s, … 0–10 min.
create function tradeflow._backoff(attempt int) returns interval
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select random() * least(interval '10 minutes', interval '1 second' * 2 ^ least(attempt, 20)) $$;
comment on function tradeflow._backoff(int) is 'Internal. How long to wait after this attempt.';


create function tradeflow._bury(o tradeflow.outbox, to_state text, error text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.outbox b
  set state = to_state, error = _bury.error, worker = null, lease_until = null
  where b.id = o.id;
  perform tradeflow._incident(
    to_state || '_action', o, format('action %s of rule "%s" for %s: %s', coalesce(o.action, o.step::text), o.rule, o.subject, _bury.error),
    case to_state
      when 'dead' then format('mend the cause, then select tradeflow.retry(%s); or select tradeflow.cancel(%s);', o.id, o.id)
      else format('find out whether it arrived; then select tradeflow.cancel(%s, ''it arrived''); or select tradeflow.retry(%s);', o.id, o.id)
    end);
  if to_state = 'dead' and exists (
    select from tradeflow.actions a where a.rule = o.rule and a.edge = o.edge and a.step = o.step and a.on_failure = 'continue')
  then
    perform tradeflow._next_step(array[o.id], array[jsonb_build_object('error', _bury.error)]);
  end if;
  return to_state;
end
$$;
comment on function tradeflow._bury(tradeflow.outbox, text, text) is 'Internal. Ends an action as dead or uncertain, with an incident.';


create function tradeflow.fail(id bigint, attempt int, error text, outcome text, retry_after interval default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  o tradeflow.outbox;
begin
  if outcome is null or outcome not in ('retry', 'dead', 'uncertain') then
    raise exception 'outcome must be retry, dead or uncertain, not %', coalesce(outcome, 'NULL') using errcode = 'invalid_parameter_value';
  end if;
  select * into o from tradeflow.outbox x
  where x.id = fail.id and x.attempt = fail.attempt and x.state = 'running'
  for update;
  if not found then
    return null;
  end if;
  if outcome = 'retry' and o.attempt < o.max_attempts then
    update tradeflow.outbox x
    set state = 'ready', error = fail.error, worker = null, lease_until = null, started_at = null,
        run_at = clock_timestamp() + greatest(retry_after, tradeflow._backoff(o.attempt))
    where x.id = o.id;
    return 'ready';
  end if;
  return tradeflow._bury(
    o, case outcome when 'retry' then 'dead' else outcome end,
    case outcome when 'retry' then format('gave up after %s attempts: %s', o.attempt, fail.error) else fail.error end);
end
$$;
comment on function tradeflow.fail(bigint, int, text, text, interval) is
  'Ends an attempt. outcome: retry (again after backoff, at least retry_after; dead after max_attempts), dead, uncertain. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';


create function tradeflow.extend(ids bigint[], attempts int[], lease interval) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  good bigint[];
begin
  if cardinality(ids) is distinct from cardinality(attempts) then
    raise exception 'ids and attempts must be of one length' using errcode = 'invalid_parameter_value';
  elsif lease is null or lease not between interval '1 second' and interval '1 day' then
    raise exception 'lease must be between 1 second and 1 day, not %', coalesce(lease::text, 'NULL') using errcode = 'invalid_parameter_value';
  end if;
  with mine as (
    select o.id
    from unnest(ids, attempts) c(id, attempt)
    join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
    order by o.id
    for update of o
  ), prolonged as (
    update tradeflow.outbox o set lease_until = clock_timestamp() + extend.lease from mine where o.id = mine.id returning o.id
  )
  select coalesce(array_agg(p.id), '{}') into good from prolonged p;
  return query select c.id, c.id = any (good) from unnest(ids) c(id);
end
$$;
comment on function tradeflow.extend(bigint[], int[], interval) is
  'Prolongs leases, from now. False for those no longer held. Errors: 22023 for a lease outside 1 s – 1 day.';


-- 45_tick.sql
-- 45_tick: everything that only time brings about. Any sidecar calls it, about every second.

-- Leases that ended. Before started() nothing happened: again. After it, a kind that may be repeated is
-- tried again; for another nobody knows whether it happened, and a person must look.
create function tradeflow._rescue() returns table (rescued int, uncertain int)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  o          tradeflow.outbox;
  repeatable boolean;
begin
  rescued := 0;
  uncertain := 0;
  for o in
    select * from tradeflow.outbox x
    where x.state = 'running' and x.lease_until < clock_timestamp()
    order by x.id limit 1000
    for update skip locked
  loop
    repeatable := o.started_at is null or coalesce((select k.repeatable from tradeflow.action_kinds k where k.name = o.kind), false);
    if not repeatable then
      perform tradeflow._bury(o, 'uncertain', format('worker %s was lost after it began to send; whether it arrived is unknown', o.worker));
      uncertain := uncertain + 1;
    elsif o.attempt >= o.max_attempts then
      perform tradeflow._bury(o, 'dead', format('gave up after %s attempts: worker %s was lost', o.attempt, o.worker));
    else
      update tradeflow.outbox x
      set state = 'ready', error = format('worker %s was lost', o.worker), worker = null, lease_until = null, started_at = null,
          run_at = least(x.run_at, clock_timestamp())
      where x.id = o.id;
      rescued := rescued + 1;
    end if;
  end loop;
  return next;
end
$$;
comment on function tradeflow._rescue() is 'Internal. Takes back actions whose lease ended.';


-- Timers that are due: the question is asked again, on the row as it is now.
create function tradeflow._wake_timers() returns table (due int, cancelled int)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  o      tradeflow.outbox;
  fresh  jsonb;
begin
  due := 0;
  cancelled := 0;
  for o in
    select * from tradeflow.outbox x
    where x.state = 'waiting' and x.run_at <= tradeflow.now()
    order by x.run_at, x.id limit 1000
    for update skip locked
  loop
    begin
      -- Later steps follow from a step that was done: they are not asked again.
      fresh := case when o.key is null or o.steps <> '{}' then o.facts else tradeflow._still(o.rule, o.key, o.subject, o.occurrence) end;
    exception when others then
      update tradeflow.outbox x set state = 'held', reason = 'its question could not be asked again', error = sqlerrm where x.id = o.id;
      perform tradeflow._incident('timer_error', o, format('rule "%s" for %s, when its timer was due: %s', o.rule, o.subject, sqlerrm),
                                  format('mend the rule, then select tradeflow.retry(%s);', o.id), sqlstate);
      continue;
    end;
    if fresh is null then
      perform tradeflow._archive(array[o.id], 'cancelled', 'no longer holds when due');
      cancelled := cancelled + 1;
    else
      -- Without an action the firing itself is the record.
      update tradeflow.outbox x
      set state = case when o.step is null then 'done' else 'ready' end, facts = fresh, run_at = clock_timestamp()
      where x.id = o.id;
      due := due + 1;
    end if;
  end loop;
  return next;
end
$$;
comment on function tradeflow._wake_timers() is 'Internal. Makes due timers ready, or cancels them when the answer is no longer yes.';


-- A partition for today and tomorrow; days past their retention go. The default partition keeps a database
-- working whose tick() nobody called: its rows of today are moved when the day's partition is made.
create function tradeflow._partitions() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  day   date;
  part  text;
  made  int := 0;
  keep  int := coalesce((select s.value::int from tradeflow.settings s where s.name = 'history_days' and s.value ~ '^[0-9]{1,5}$'), 90);
begin
  foreach day in array array[(clock_timestamp() at time zone 'UTC')::date, (clock_timestamp() at time zone 'UTC')::date + 1] loop
    part := 'outbox_history_' || to_char(day, 'YYYYMMDD');
    if to_regclass('tradeflow.' || part) is null then
      execute format('create table tradeflow.%I (like tradeflow.outbox_history_default including all)', part);
      execute format(
        'with gone as (delete from tradeflow.outbox_history_default d where d.finished_at >= %1$L and d.finished_at < %2$L returning d.*) '
        'insert into tradeflow.%3$I select * from gone', day || ' 00:00+00', (day + 1) || ' 00:00+00', part);
      execute format('alter table tradeflow.outbox_history attach partition tradeflow.%I for values from (%L) to (%L)',
                     part, day || ' 00:00+00', (day + 1) || ' 00:00+00');
      made := made + 1;
    end if;
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'tradeflow.outbox_history'::regclass
      and c.relname ~ '^outbox_history_[0-9]{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < (clock_timestamp() at time zone 'UTC')::date - keep
  loop
    execute format('drop table tradeflow.%I', part);
  end loop;
  return made;
end
$$;
comment on function tradeflow._partitions() is 'Internal. Makes the history''s next days, drops those past setting history_days.';


-- Statements only append incidents, so that syncs never wait for each other; here the same ones become one.
-- A rule that a backend could not compile is marked, so that everybody sees it.
create function tradeflow._merge_incidents() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  merged int;
begin
  with same as (
    select min(i.id) as keep, array_agg(i.id) as ids, sum(i.count)::int as total, max(i.last_seen_at) as last_seen
    from tradeflow.incidents i
    where i.acked_at is null and i.kind in ('rule_error', 'rule_invalid')
    group by i.kind, i.rule, i.source, i.message, i.sqlstate
    having count(*) > 1
  ), gone as (
    delete from tradeflow.incidents i using same s where i.id = any (s.ids) and i.id <> s.keep returning i.id
  ), kept as (
    update tradeflow.incidents i set count = s.total, last_seen_at = s.last_seen from same s where i.id = s.keep returning 1
  )
  select count(*)::int into merged from gone;

  update tradeflow.rules r set invalid = i.message
  from tradeflow.incidents i
  where i.kind = 'rule_invalid' and i.acked_at is null and i.rule = r.name and r.invalid is null
    and i.created_at > r.updated_at and not tradeflow._compiles(r);
  return merged;
end
$$;
comment on function tradeflow._merge_incidents() is 'Internal. Adds up equal incidents and marks rules that no longer compile.';

create function tradeflow._compiles(r tradeflow.rules) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return tradeflow._rule_missing(r) is null;
exception when others then
  return false;
end
$$;
comment on function tradeflow._compiles(tradeflow.rules) is 'Internal. Whether a rule compiles now.';


create function tradeflow.tick() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  rescue  record;
  timers  record;
  swept   int;
  done    jsonb;
begin
  -- One at a time is enough; the others return at once.
  if not pg_try_advisory_xact_lock(hashtext('tradeflow.tick')) then
    return '{"busy": true}';
  end if;
  select * into rescue from tradeflow._rescue();
  select * into timers from tradeflow._wake_timers();
  swept := tradeflow._archive(array(
    select o.id from tradeflow.outbox o where o.state in ('done', 'cancelled', 'shadow') order by o.id limit 10000), null);
  done := jsonb_build_object(
    'rescued', rescue.rescued, 'uncertain', rescue.uncertain, 'due', timers.due, 'cancelled', timers.cancelled,
    'swept', swept, 'incidents_merged', tradeflow._merge_incidents(), 'partitions', tradeflow._partitions());
  if rescue.rescued + timers.due > 0 then
    perform pg_notify('tradeflow', '');
  end if;
  return done;
end
$$;
comment on function tradeflow.tick() is
  'Does all work that only time brings: takes back ended leases, wakes due timers, moves finished actions to the history, keeps its partitions, adds up incidents. Cheap when there is nothing to do; safe to call from anywhere at any time. Returns what it did.';


-- 50_operator_api.sql
-- 50_operator_api: what a person does about actions and incidents.

create function tradeflow.cancel(ids bigint[], reason text default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._archive(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and o.state in ('ready', 'waiting', 'held', 'dead', 'uncertain', 'shadow')
    order by o.id for update), 'cancelled', coalesce(reason, 'cancelled by ' || session_user))
$$;
comment on function tradeflow.cancel(bigint[], text) is
  'Cancels actions that are not running; they move to the history with the reason. Returns how many.';

create function tradeflow.cancel(id bigint, reason text default null) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.cancel(array[id], reason) = 1 $$;
comment on function tradeflow.cancel(bigint, text) is 'Cancels one action. False: it is running, or ended already.';


create function tradeflow._make_ready(ids bigint[]) returns int
language sql
set search_path = pg_catalog, pg_temp
as $$
  with again as (
    update tradeflow.outbox o
    set state = case when o.step is null then 'done'  -- a rule without actions: the firing itself is the record
                     when o.run_at > tradeflow.now() and o.attempt = 0 then 'waiting' else 'ready' end,
        run_at = case when o.run_at > tradeflow.now() and o.attempt = 0 then o.run_at else clock_timestamp() end,
        reason = null, error = null, started_at = null, max_attempts = greatest(o.max_attempts, o.attempt + 1)
    where o.id = any (ids)
    returning 1
  ), told as (
    select pg_notify('tradeflow', '') where exists (select from again)
  )
  select count(*)::int from again left join told on true
$$;
comment on function tradeflow._make_ready(bigint[]) is 'Internal. Makes resting actions ready again, or waiting when their time has not come.';

create function tradeflow.retry(ids bigint[]) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and (o.state in ('dead', 'uncertain', 'held') or (o.state = 'ready' and o.run_at > clock_timestamp()))
    order by o.id for update))
$$;
comment on function tradeflow.retry(bigint[]) is
  'Executes dead, uncertain or held actions again, and retrying ones at once; a last attempt is granted where none was left. An uncertain mail may arrive twice: look first. Returns how many.';

create function tradeflow.retry(id bigint) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.retry(array[id]) = 1 $$;
comment on function tradeflow.retry(bigint) is 'Executes one action again. False: it is not dead, uncertain, held or retrying.';


create function tradeflow.release_held(rule text default null, ids bigint[] default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (release_held.rule is null or o.rule = release_held.rule) and (ids is null or o.id = any (ids))
    order by o.id for update))
$$;
comment on function tradeflow.release_held(text, bigint[]) is 'Lets held actions go: of one rule, of these ids, or all. Returns how many.';

create function tradeflow.discard_held(rule text default null, ids bigint[] default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._archive(array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (discard_held.rule is null or o.rule = discard_held.rule) and (ids is null or o.id = any (ids))
    order by o.id for update), 'cancelled', 'discarded by ' || session_user)
$$;
comment on function tradeflow.discard_held(text, bigint[]) is 'Cancels held actions: of one rule, of these ids, or all. Returns how many.';


create function tradeflow.ack(incident bigint) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with mine as (
    update tradeflow.incidents i set acked_at = now(), acked_by = session_user
    where i.id = incident and i.acked_at is null returning 1
  )
  select exists (select from mine)
$$;
comment on function tradeflow.ack(bigint) is 'Takes note of an incident. False: there is none, or it was noted before.';


create view tradeflow.queue_health as
select
  o.state,
  o.kind,
  o.target,
  count(*) as actions,
  min(o.run_at) as oldest_run_at,
  case when o.state = 'ready' then greatest(clock_timestamp() - min(o.run_at), '0') end as lag
from tradeflow.outbox o
group by o.state, o.kind, o.target;
comment on view tradeflow.queue_health is 'How many actions are in which state, by kind and target, and how late the oldest ready one is.';
comment on column tradeflow.queue_health.state is 'State of the actions counted.';
comment on column tradeflow.queue_health.kind is 'Their kind.';
comment on column tradeflow.queue_health.target is 'Their target.';
comment on column tradeflow.queue_health.actions is 'How many.';
comment on column tradeflow.queue_health.oldest_run_at is 'The earliest due time among them.';
comment on column tradeflow.queue_health.lag is 'How long the oldest ready one has been due.';


-- 90_grants.sql
-- 90_grants: who may do what. A sync job needs nothing here: rights on its own tables are enough.

grant usage on schema tradeflow to public;

-- Functions are PUBLIC's by default; ours are not, but for those anybody's statement needs.
revoke execute on all functions in schema tradeflow from public;
grant execute on function
  tradeflow.observer_in(cstring), tradeflow.observer_out(tradeflow.observer), tradeflow.observer_subscript(internal),
  tradeflow._flush(), tradeflow.now(), tradeflow.version()
to public;

-- What tradeflow.now() reads, with the caller's rights.
grant select on tradeflow.clock to public;

-- Authors: rules, their actions, templates and settings.
grant select, insert, update, delete on tradeflow.rules, tradeflow.actions, tradeflow.templates, tradeflow.settings to tradeflow_author;
grant select, insert, update, delete on tradeflow.watched_tables to tradeflow_author;
grant select on tradeflow.rule_versions, tradeflow.action_kinds, tradeflow.targets, tradeflow.outbox, tradeflow.outbox_history,
  tradeflow.incidents, tradeflow.firings, tradeflow.queue_health, tradeflow.clock to tradeflow_author;
grant execute on function
  tradeflow.setting(text), tradeflow.watch(regclass, text[], text[]), tradeflow.unwatch(regclass),
  tradeflow._qualified_name(regclass), tradeflow._require_columns(regclass, text[], text), tradeflow._invalidate(regclass),
  tradeflow._compile(text, regclass, text, text, text, text, text, text[], text, regrole),
  tradeflow._rule_missing(tradeflow.rules), tradeflow._require_member(name, text),
  tradeflow._check_template(text, text), tradeflow._check_params(jsonb, text)
to tradeflow_author;

-- Sidecars: the executor API, and what rendering and delivering needs to read.
grant select on tradeflow.targets, tradeflow.templates, tradeflow.settings, tradeflow.action_kinds, tradeflow.actions,
  tradeflow.rules, tradeflow.watched_tables, tradeflow.incidents, tradeflow.queue_health, tradeflow.outbox, tradeflow.clock to tradeflow_executor;
grant execute on function
  tradeflow.claim(text, int, interval, text[]), tradeflow.started(bigint, int), tradeflow.complete(bigint[], int[], jsonb[]),
  tradeflow.fail(bigint, int, text, text, interval), tradeflow.extend(bigint[], int[], interval), tradeflow.tick(), tradeflow.setting(text)
to tradeflow_executor;

-- Operators: targets, incidents, what becomes of actions, the clock.
grant select on all tables in schema tradeflow to tradeflow_operator;
grant insert, update, delete on tradeflow.targets, tradeflow.settings, tradeflow.clock, tradeflow.action_kinds to tradeflow_operator;
grant execute on function
  tradeflow.cancel(bigint[], text), tradeflow.cancel(bigint, text), tradeflow.retry(bigint[]), tradeflow.retry(bigint),
  tradeflow.release_held(text, bigint[]), tradeflow.discard_held(text, bigint[]), tradeflow.ack(bigint),
  tradeflow.set_clock(timestamptz), tradeflow.setting(text), tradeflow.tick()
to tradeflow_operator;
