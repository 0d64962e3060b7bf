-- 10_watch: the tables whose changes are evaluated.

create table tradeflow.watched_tables (
  name        text primary key,
  key         text[] not null check (cardinality(key) > 0),
  ignore      text[] not null default '{}',
  watched_at  timestamptz not null default now(),
  lost        text,
  log         boolean not null default false,
  logged_since timestamptz
);
select pg_catalog.pg_extension_config_dump('tradeflow.watched_tables', '');
comment on table tradeflow.watched_tables is 'A row is a table whose changes are evaluated. Written by tradeflow.watch() and tradeflow.unwatch().';
comment on column tradeflow.watched_tables.name is 'Schema and table, as format(''%I.%I'') writes them. Tables are known by name: tools that reload by swapping tables keep it.';
comment on column tradeflow.watched_tables.key is 'The columns that identify a row. One column: its text is the subject of a firing; several: their text array.';
comment on column tradeflow.watched_tables.ignore is 'Columns whose change alone is no change: synced_at, the raw payload.';
comment on column tradeflow.watched_tables.log is 'Whether old and new of each change are kept in change_log.';
comment on column tradeflow.watched_tables.logged_since is 'Since when they are. NULL: they are not.';
comment on column tradeflow.watched_tables.watched_at is 'When the table was watched first.';
comment on column tradeflow.watched_tables.lost is 'Why its changes are not seen at present: it was dropped, renamed, lost a key column. An incident watch_lost tells the same. NULL: they are seen.';


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


-- Makes the triggers that are missing. Returns whether there were any.
create function tradeflow._install_triggers("table" regclass) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_name  text := tradeflow._qualified_name("table");
  spec      record;
  always    text;
begin
  for spec in
    select * from (values
      ('tradeflow_insert', 'insert', 'row when ((new.tableoid::tradeflow.observer)[1])', '_flush'),
      ('tradeflow_update', 'update', 'row when ((new.tableoid::tradeflow.observer)[2])', '_flush'),
      ('tradeflow_delete', 'delete', 'row when ((old.tableoid::tradeflow.observer)[3])', '_flush'),
      ('tradeflow_truncate', 'truncate', 'statement', '_truncated')) s(name, event, level, function)
    where not exists (select from pg_trigger t where t.tgrelid = "table" and t.tgname = s.name)
  loop
    execute format('create trigger %I after %s on %s for each %s execute function tradeflow.%I()',
                   spec.name, spec.event, the_name, spec.level, spec.function);
  end loop;
  -- ALWAYS: rows applied by logical replication, or written in replica mode, count as well. In one command, since the
  -- event trigger looks after each.
  select string_agg(format('enable always trigger %I', t.tgname), ', ' order by t.tgname) into always
  from pg_trigger t
  where t.tgrelid = "table" and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete', 'tradeflow_truncate')
    and t.tgenabled in ('O', 'R');
  if always is not null then
    execute format('alter table %s %s', the_name, always);
  end if;
  return always is not null;
end
$$;
comment on function tradeflow._install_triggers(regclass) is
  'Internal. Makes a watched table''s triggers, as far as they are missing. Returns whether there was anything to do.';


create function tradeflow.watch("table" regclass, key text[] default null, ignore text[] default '{}', log boolean default false)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  rel        record;
  the_name   text := tradeflow._qualified_name("table");
  the_key    text[] := key;
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
  elsif rel.nspname in ('tradeflow', 'pg_catalog') and "table" is distinct from to_regclass('tradeflow.tasks') then
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

  insert into tradeflow.watched_tables as w (name, key, ignore, log, logged_since)
  values (the_name, the_key, watch.ignore, watch.log, case when watch.log then now() end)
  on conflict (name) do update set key = excluded.key, ignore = excluded.ignore, log = excluded.log,
      logged_since = case when excluded.log then coalesce(w.logged_since, excluded.logged_since) end
    where (w.key, w.ignore, w.log) is distinct from (excluded.key, excluded.ignore, excluded.log);

  -- The triggers of the tasks are made by our owner: nobody else may have others there.
  if rel.nspname <> 'tradeflow' then
    perform tradeflow._install_triggers("table");
  end if;
  perform tradeflow._check_watch(the_name);
  perform tradeflow._invalidate("table");
end
$$;
comment on function tradeflow.watch(regclass, text[], text[], boolean) is
  'Evaluates the changes of a table from now on. key: the columns that identify a row (default: the primary key); ignore: columns whose change alone is no change; log: keep old and new of each change in change_log, for backtest() and explain(). Repeatable: a second call changes key, ignore and log. The caller must own the table or have its TRIGGER right; tradeflow.tasks may be watched by every author. Errors: 42809 no ordinary table, 22023 no key, 42703 unknown column.';


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
  foreach t in array '{tradeflow_insert,tradeflow_update,tradeflow_delete,tradeflow_truncate}'::text[] loop
    execute format('drop trigger if exists %I on %s', t, the_name);
  end loop;
  for t in select p.relid::regclass::text from pg_partition_tree("table") p where p.relid <> "table" loop
    execute format('drop trigger if exists tradeflow_truncate on %s', t);
  end loop;
  perform tradeflow._invalidate("table");
end
$$;
comment on function tradeflow.unwatch(regclass) is
  'Stops evaluating the changes of a table. Errors: 2BP01 while rules still name it.';
