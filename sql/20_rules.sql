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
