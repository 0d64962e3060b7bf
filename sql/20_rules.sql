-- 20_rules: the rules, their versions, and what is checked when one is written.

create table tradeflow.rules (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  source       text references tradeflow.watched_tables (name) on update cascade,
  view         text,
  schedule     text,
  events       text[] not null default '{insert,update}'
               check (cardinality(events) > 0 and events <@ '{insert,update,delete}'),
  condition    text,
  fires        text not null check (fires in ('enter', 'always', 'once')),
  still        text,
  columns      text[] check (cardinality(columns) > 0),
  query        text,
  fire_at      text,
  mode         text not null default 'live' check (mode in ('live', 'shadow', 'off')),
  project      text,
  description  text,
  max_firings  int not null default 1000 check (max_firings > 0),
  max_per_subject int not null default 20 check (max_per_subject > 0),
  owner        name not null default current_user,
  search_path  text not null,
  version      int not null default 1 check (version > 0),
  invalid      text,
  paused_at    timestamptz,
  paused_reason text,
  updated_at   timestamptz not null default now(),
  updated_by   name not null default current_user,
  check (num_nonnulls(source, view, schedule) = 1),
  check (view is null or num_nonnulls(condition, still, query, fire_at, columns) = 0),
  check (schedule is null or (query is not null and num_nonnulls(condition, still, fire_at, columns) = 0))
);
create index rules_source on tradeflow.rules (source);
select pg_catalog.pg_extension_config_dump('tradeflow.rules', '');

comment on table tradeflow.rules is 'A row is a named question about a changed row. Writing one compiles it; a bad one is rejected with the position of the error.';
comment on column tradeflow.rules.name is 'Unique; letters, digits, underscore, dot, hyphen; at most 63.';
comment on column tradeflow.rules.source is 'The watched table whose changes are asked about.';
comment on column tradeflow.rules.view is 'Instead of source: a view whose rows are the subjects for which the answer is yes. Columns: subject; occurrence, fire_at, recheck_at if it has them; the others are the facts. See rule_inputs.';
comment on column tradeflow.rules.schedule is 'Instead of source: when query is run, as cron with an optional time zone: 0 9 * * 1-5 Europe/Berlin. Each row it returns is a firing.';
comment on column tradeflow.rules.events is 'insert, update (default both), delete.';
comment on column tradeflow.rules.condition is 'SQL boolean over new and old. Old is all NULL on insert, new on delete. No subqueries (use query), no volatile functions. NULL: every change.';
comment on column tradeflow.rules.fires is 'enter (default): it holds for new and did not hold before; always (default without condition): at every real change while it holds. A condition that mentions old is its own edge. once: at the first answer ever about a subject, remembered in members.';
comment on column tradeflow.rules.still is 'Asked instead of condition when a timer is due; over new alone.';
comment on column tradeflow.rules.columns is 'On update, look only when one of these columns changed. NULL: any column.';
comment on column tradeflow.rules.query is 'A SELECT, may mention new and old; run for all rows of the statement that passed the condition at once. Each row it returns is one firing, its columns are the facts; columns named subject, occurrence and fire_at mean these.';
comment on column tradeflow.rules.fire_at is 'Expression over new (and old): when the firing is due, timestamptz. NULL, or a NULL value: now.';
comment on column tradeflow.rules.mode is 'live; shadow: firings are recorded and never executed; off: not evaluated, what waits is cancelled.';
comment on column tradeflow.rules.project is 'The project whose files define the rule: the scope of apply --prune.';
comment on column tradeflow.rules.description is 'For people: what the rule is for.';
comment on column tradeflow.rules.max_firings is 'More firings than this from one statement are held, all of them, with an incident.';
comment on column tradeflow.rules.max_per_subject is 'More firings than this about one subject within an hour are held, with an incident: a loop.';
comment on column tradeflow.rules.paused_at is 'Since when the rule is not asked because it failed too often; see tradeflow.resume(rule). NULL: it is asked.';
comment on column tradeflow.rules.paused_reason is 'Why it was paused.';
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
  elsif tradeflow._restoring() then
    -- What its owner may read is granted at the end of a dump; it compiled when it was dumped.
    return r.invalid;
  end if;
  if r.view is not null then
    perform tradeflow._check_view(r.name, r.view);
    if not has_table_privilege(r.owner, r.view::regclass, 'select') then
      raise exception 'rule "%": permission denied for view %', r.name, r.view
        using errcode = 'insufficient_privilege', hint = format('grant select on %s to %I;', r.view, r.owner);
    end if;
  elsif r.source is not null then
    begin
      perform tradeflow._compile(r.name, r.source::regclass, r.condition, r.fires, r.query, r.fire_at, r.still, r.columns,
                                 r.search_path, to_regrole(quote_ident(r.owner)));
    exception when sqlstate 'TF001' then
      return replace(sqlerrm, format('rule "%s": ', r.name), '');
    end;
  end if;
  if r.schedule is not null then
    perform tradeflow._next_run(r.schedule, now());
    perform tradeflow._check_schedule(r.name, r.query, r.search_path, to_regrole(quote_ident(r.owner)));
  end if;
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


create function tradeflow._check_source(rule text, source text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rel       regclass := to_regclass(source);
  the_name  text := tradeflow._qualified_name(rel);
begin
  if rel is null then
    raise exception 'rule "%": table "%" does not exist', rule, source
      using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  elsif not exists (select from tradeflow.watched_tables w where w.name = the_name) then
    raise exception 'rule "%": table % is not watched', rule, the_name
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L);', the_name);
  end if;
  return the_name;
end
$$;
comment on function tradeflow._check_source(text, text) is 'Internal. The qualified name of a watched table. Errors: 42P01 no such table, 55000 not watched.';


-- Whether a rule takes part: the others are stored, and nothing more.
create function tradeflow._is_asked(r tradeflow.rules) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select r.mode <> 'off' and r.invalid is null and r.paused_at is null and to_regrole(quote_ident(r.owner)) is not null $$;
comment on function tradeflow._is_asked(tradeflow.rules) is 'Internal. False for a rule that is off, paused, invalid, or whose owner is gone.';


create function tradeflow._rules_before_write() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if tg_op = 'DELETE' then
    perform tradeflow._require_member(old.owner, old.name);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    -- Pausing and resuming changes no definition.
    if new.paused_at is distinct from old.paused_at
       and to_jsonb(new) - '{paused_at,paused_reason}'::text[] = to_jsonb(old) - '{paused_at,paused_reason}'::text[]
       and pg_has_role(current_user, 'tradeflow_operator', 'member') then
      return new;
    end if;
    perform tradeflow._require_member(old.owner, old.name);
    -- Found not to work: noted. Everything else is asked anew, also that it works again.
    if new.invalid is not null and to_jsonb(new) - 'invalid' = to_jsonb(old) - 'invalid' then
      return new;
    end if;
  end if;
  perform tradeflow._require_member(new.owner, new.name);

  if num_nonnulls(new.source, new.view, new.schedule) <> 1 then
    raise exception 'rule "%" needs one of source, view and schedule', new.name
      using errcode = 'not_null_violation',
            hint = 'source: the watched table whose changes it is asked about; view: whose rows are the subjects; schedule: when its query is run.';
  elsif new.schedule is not null and (new.query is null or num_nonnulls(new.condition, new.still, new.fire_at, new.columns) > 0) then
    raise exception 'rule "%" has a schedule and no query alone', new.name
      using errcode = 'invalid_parameter_value',
            hint = 'A schedule has a query, each row of which is a firing (its column fire_at may say when it is due), and no condition, still, fire_at or columns.';
  elsif new.view is not null and new.fires = 'once' then
    raise exception 'rule "%" has a view, which fires on entering', new.name
      using errcode = 'invalid_parameter_value', hint = 'once is for rules with a source. A view whose rows never leave fires once for each.';
  elsif new.view is not null then
    new.view := tradeflow._check_view(new.name, new.view);
  elsif new.source is not null then
    new.source := tradeflow._check_source(new.name, new.source);
    perform tradeflow._require_columns(new.source::regclass, new.columns, format('rule "%s": columns', new.name));
  end if;

  new.fires := case
    when new.fires = 'once' then 'once'
    when new.view is null and new.condition is null then 'always'
    else coalesce(new.fires, 'enter')
  end;
  new.invalid := tradeflow._rule_missing(new);
  if new.invalid is not null then
    raise warning 'rule "%" is stored, but not evaluated yet: %', new.name, new.invalid
      using hint = 'It compiles by itself when the missing part comes.';
  end if;

  if tg_op = 'INSERT' then
    -- A rule that comes back goes on counting where it ended: no version means two things.
    new.version := greatest(new.version, 1 + (select max(v.version) from tradeflow.rule_versions v where v.rule = new.name));
  elsif (to_jsonb(new) - '{version,updated_at,updated_by,invalid,paused_at,paused_reason}'::text[])
                          is distinct from (to_jsonb(old) - '{version,updated_at,updated_by,invalid,paused_at,paused_reason}'::text[]) then
    new.version := old.version + 1;
    new.updated_at := now();
    new.updated_by := current_user;
  end if;
  return new;
end
$$;
alter function tradeflow._rules_before_write() set search_path = pg_catalog, pg_temp;
comment on function tradeflow._rules_before_write() is 'Internal. Checks a rule as it is written and compiles it.';


-- A table or view as the writer names it, qualified; what there is not stays as it is written.
-- The path is the writer's, so names are looked up before any function of ours pins its own.
create function tradeflow._as_written(name text) returns text
language sql stable
as $$
  select coalesce(
    (select pg_catalog.format('%I.%I', n.nspname, c.relname)
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = pg_catalog.to_regclass(name)), name)
$$;
comment on function tradeflow._as_written(text) is 'Internal. The qualified name of what a name means to the current user now.';

create function tradeflow._rules_search_path() returns trigger
language plpgsql
as $$
begin
  new.search_path := coalesce(
    new.search_path,
    (select pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ' order by i)
     from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(s, i)),
    '');
  new.source := tradeflow._as_written(new.source);
  new.view := tradeflow._as_written(new.view);
  return new;
end
$$;
comment on function tradeflow._rules_search_path() is 'Internal. Pins the writer''s search_path to a rule that gives none, and qualifies the names of its table or view.';


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
    perform tradeflow._invalidate(to_regclass(coalesce(old.source, old.view)));
  end if;
  if tg_op <> 'DELETE' then
    perform tradeflow._invalidate(to_regclass(coalesce(new.source, new.view)));
    perform tradeflow._invalidate(to_regclass(i.source)) from tradeflow.rule_inputs i where i.rule = new.name;
    if new.view is not null and tradeflow._is_asked(new)
       and (tg_op = 'INSERT' or not tradeflow._is_asked(old)
            or (old.view, old.owner, old.search_path) is distinct from (new.view, new.owner, new.search_path)) then
      perform tradeflow._seed_view(new.name);
    end if;
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
