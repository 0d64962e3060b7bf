-- 80_ddl: tables change under their rules. Tools drop, swap and rename tables, people drop columns: what is watched is
-- known by name, and event triggers see to it that the name's table has its triggers, or say that it cannot.

-- Whether the changes of what bears the name now are seen; mends what it can. Never fails: it runs in other people's DDL.
create function tradeflow._check_watch(name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  w        tradeflow.watched_tables;
  rel      record;
  anew     boolean := false;
  problem  text;
begin
  select * into w from tradeflow.watched_tables x where x.name = _check_watch.name;
  if not found then
    return;
  end if;
  begin
    select c.oid, c.relkind, c.relispartition into rel from pg_class c where c.oid = to_regclass(w.name);
    if not found then
      problem := 'there is no table of this name';
    elsif rel.relkind not in ('r', 'p') then
      problem := 'what bears this name is no table';
    elsif rel.relispartition then
      problem := 'it has become a partition of another table: watch that one';
    else
      perform tradeflow._require_columns(rel.oid, w.key, 'the watched key');
      anew := tradeflow._install_triggers(rel.oid);
      perform tradeflow._watch_truncation(rel.oid);
      if exists (select from pg_trigger t where t.tgrelid = rel.oid and t.tgenabled = 'D'
                 and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete')) then
        problem := 'its triggers are disabled';
      end if;
    end if;
  exception when others then
    problem := sqlerrm;
  end;

  if problem is distinct from w.lost then
    update tradeflow.watched_tables x set lost = problem where x.name = w.name;
  end if;
  if problem is not null and w.lost is null then
    insert into tradeflow.incidents (kind, source, message, detail, hint)
    values ('watch_lost', w.name, format('changes of %s are not seen any more: %s', w.name, problem),
            (select 'rules: ' || string_agg(r.name, ', ' order by r.name) from tradeflow.rules r
             where r.source = w.name or exists (select from tradeflow.rule_inputs i where i.rule = r.name and i.source = w.name)),
            'bring a table with its key back under this name: it is watched again by itself. Or give its rules another source, then delete it from tradeflow.watched_tables.');
    raise notice 'tradeflow does not see the changes of % any more: %', w.name, problem;
  elsif problem is null and w.lost is not null then
    perform tradeflow._resolve_incidents('watch_lost', null, w.name);
  end if;
  if problem is null and (anew or w.lost is not null) then
    perform tradeflow._invalidate(rel.oid);
    perform tradeflow._check_rules(array[w.name]);
  end if;
end
$$;
comment on function tradeflow._check_watch(text) is
  'Internal. Sees to it that the table that bears a watched name has its triggers; if that cannot be, says so in watched_tables.lost and in an incident.';


-- Row triggers come to each partition by themselves, a trigger of TRUNCATE does not.
create function tradeflow._watch_truncation(root regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  parts  regclass[];
  part   regclass;
begin
  select array_agg(p.relid order by p.relid) into parts
  from pg_partition_tree(root) p
  where p.relid <> root and not exists (select from pg_trigger t where t.tgrelid = p.relid and t.tgname = 'tradeflow_truncate');
  if parts is null then
    return;
  end if;
  -- First all of them: each ALTER TABLE has the event trigger look for partitions without.
  foreach part in array parts loop
    execute format('create trigger tradeflow_truncate after truncate on %s for each statement execute function tradeflow._truncated()', part);
  end loop;
  foreach part in array parts loop
    execute format('alter table %s enable always trigger tradeflow_truncate', part);
  end loop;
end
$$;
comment on function tradeflow._watch_truncation(regclass) is 'Internal. Makes the missing triggers that see a TRUNCATE of one partition alone.';


-- What a swap by rename loses for a moment in one transaction was never lost; otherwise the incident is closed.
create function tradeflow._resolve_incidents(kind text, rule text, source text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.incidents i
  where i.kind = _resolve_incidents.kind and i.acked_at is null and i.created_at = now()
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
  update tradeflow.incidents i set acked_at = now(), acked_by = 'tradeflow'
  where i.kind = _resolve_incidents.kind and i.acked_at is null
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
$$;
comment on function tradeflow._resolve_incidents(text, text, text) is
  'Internal. Closes the open incidents of this kind, rule and source, whose cause is gone.';


-- Compiles again the rules that mention one of these names, and reports which no longer work, and which work again.
create function tradeflow._check_rules(names text[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  r        tradeflow.rules;
  problem  text;
  state    text;
  rest     text;
begin
  for r in
    select * from tradeflow.rules x
    where exists (select from unnest(names) n
                  where position(n in concat_ws(' ', x.source, x.view, x.condition, x.query, x.fire_at, x.still)) > 0)
      -- Of rules whose table is gone, the incident watch_lost tells.
      and (x.source is null or to_regclass(x.source) is not null)
    order by x.name
  loop
    begin
      problem := tradeflow._rule_missing(r);
      state := null;
    exception when others then
      get stacked diagnostics problem = message_text, state = returned_sqlstate;
      problem := replace(problem, format('rule "%s": ', r.name), '');
    end;
    if problem is not distinct from r.invalid then
      continue;
    end if;
    begin
      update tradeflow.rules x set invalid = problem where x.name = r.name;
      if problem is null then
        perform tradeflow._resolve_incidents('rule_invalid', r.name, r.source);
      elsif r.invalid is null and r.mode <> 'off' then
        insert into tradeflow.incidents (kind, rule, source, message, hint, sqlstate)
        values ('rule_invalid', r.name, r.source, format('rule "%s" no longer compiles: %s', r.name, problem),
                'change the rule, or bring back what it reads; until then it is not evaluated', state);
        raise warning 'tradeflow rule "%" no longer compiles: %', r.name, problem;
      end if;
    exception when others then
      get stacked diagnostics rest = message_text;
      raise warning 'tradeflow rule "%": % (%)', r.name, problem, rest;
    end;
  end loop;
end
$$;
comment on function tradeflow._check_rules(text[]) is
  'Internal. Asks the rules that mention one of these names whether they still compile; marks and reports those that do not, and those that do again.';


-- A dump brings the triggers of its tables itself, after their rows: making them before it does would fail it. pg_dump
-- writes these two settings at the top of what it dumps.
create function tradeflow._restoring() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select not current_setting('check_function_bodies')::boolean and not current_setting('row_security')::boolean $$;
comment on function tradeflow._restoring() is 'Internal. Whether the session restores a dump.';


create function tradeflow._ddl_ended() returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  touched  oid[];
  names    text[];
  watched  text;
begin
  if tradeflow._restoring() then
    return;
  end if;
  -- Nothing but temporary tables, or tradeflow's own: the common case of a busy database.
  if tg_tag not like 'DROP %' then
    select array_agg(c.objid), array_agg(distinct coalesce(k.relname, p.proname))
    into touched, names
    from pg_event_trigger_ddl_commands() c
    left join pg_class k on c.classid = 'pg_class'::regclass and k.oid = c.objid
    left join pg_proc p on c.classid = 'pg_proc'::regclass and p.oid = c.objid
    where not c.in_extension and c.schema_name is distinct from 'tradeflow' and c.schema_name is distinct from 'pg_temp';
    if touched is null then
      return;
    end if;
  end if;
  for watched in
    select w.name
    from tradeflow.watched_tables w
    left join pg_class c on c.oid = to_regclass(w.name)
    where c.oid is null and w.lost is null
       or c.oid = any (touched)
       or exists (select from unnest(touched) t(oid), pg_partition_ancestors(t.oid) a where a.relid = c.oid)
       or w.lost is not null and c.oid is not null
       or c.oid is not null and (select count(*) from pg_trigger t where t.tgrelid = c.oid
                                 and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete', 'tradeflow_truncate')) < 4
    order by w.name
  loop
    perform tradeflow._check_watch(watched);
  end loop;
  -- A new or replaced table or function may mend a rule; an altered one may break it.
  names := array_remove(names, null);
  if cardinality(names) > 0 then
    perform tradeflow._check_rules(names);
  end if;
exception when others then
  raise warning 'tradeflow could not look after its watched tables: %', sqlerrm;
end
$$;
comment on function tradeflow._ddl_ended() is
  'Internal. After a command that makes, alters, renames or drops tables: watches the watched names again, and asks the rules concerned whether they still compile. Never fails the command.';


create function tradeflow._dropped() returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  names text[];
begin
  if tradeflow._restoring() then
    return;
  end if;
  select array_agg(distinct case when d.object_type in ('table column', 'function') then
                                   coalesce(d.address_names[2], d.object_name) else d.object_name end)
  into names
  from pg_event_trigger_dropped_objects() d
  where d.object_type in ('table', 'table column', 'view', 'materialized view', 'foreign table', 'function', 'type')
    and not d.is_temporary and d.schema_name is distinct from 'tradeflow'
    -- A table's row type, and the columns that go with it, say nothing new.
    and (d.original or d.object_type in ('table', 'view', 'materialized view', 'foreign table', 'function'));
  names := array_remove(names, null);
  if cardinality(names) > 0 then
    perform tradeflow._check_rules(names);
  end if;
exception when others then
  raise warning 'tradeflow could not look after its rules: %', sqlerrm;
end
$$;
comment on function tradeflow._dropped() is
  'Internal. After something was dropped: asks the rules that mention it whether they still compile. Never fails the command.';


-- TRUNCATE is no delete of rows to Postgres, but it is one to whoever waits for them.
create function tradeflow._truncated() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  root     regclass := coalesce((select a.relid from pg_partition_ancestors(tg_relid) a
                                 join tradeflow.watched_tables w on w.name = tradeflow._qualified_name(a.relid)
                                 where a.relid <> tg_relid limit 1), tg_relid);
  the_name text := tradeflow._qualified_name(root);
begin
  -- Of a partition alone, the timers of the other rows go on: each is asked again when it is due, and its row is gone.
  if root = tg_relid then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'table truncated')
    from tradeflow.outbox o
    where o.source = the_name and o.state = 'waiting' and o.key is not null;
  end if;
  insert into tradeflow.view_checks (rules, subjects, silent)
  select array[i.rule], array_agg(distinct m.subject), coalesce(current_setting('tradeflow.mode', true) = 'silent', false)
  from tradeflow.rule_inputs i
  join tradeflow.rules r on r.name = i.rule and tradeflow._is_asked(r)
  join tradeflow.members m on m.rule = i.rule
  where i.source = the_name
  group by i.rule;
  return null;
end
$$;
comment on function tradeflow._truncated() is
  'Internal. Trigger of watched tables: what waits for rows that TRUNCATE removed is cancelled, and views are asked about all their members.';


create event trigger tradeflow_ddl on ddl_command_end
  when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'DROP TABLE', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED',
               'DROP TRIGGER', 'CREATE VIEW', 'ALTER VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION')
  execute function tradeflow._ddl_ended();
comment on event trigger tradeflow_ddl is 'Watches again the tables that tools swap, rename and make anew.';
create event trigger tradeflow_drop on sql_drop execute function tradeflow._dropped();
comment on event trigger tradeflow_drop is 'Reports the rules that something dropped was needed by.';
