-- 26_valid_values: values that are wrong whatever else is there, told in words. A CHECK that fails names its expression
-- and shows the whole row in its DETAIL, also what somebody took for the place of a secret. So what people write is looked
-- at before it comes to that; the CHECKs stay, for what nobody has thought of.

create function tradeflow._refuse_value(what text, how text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '%', what using errcode = 'check_violation', hint = how;
end
$$;
comment on function tradeflow._refuse_value(text, text) is 'Internal. Errors: always 23514, with these words and this hint.';


create function tradeflow._rules_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._refuse_value(format('rule "%s": %s', new.name, c.what), c.how)
  from (values
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'this is no name of a rule',
     'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.'),
    (cardinality(new.events) > 0, 'events is empty', 'Name at least one of insert, update, delete; mode = ''off'' turns the rule off.'),
    (new.events <@ '{insert,update,delete}',
     format('events names "%s"', (select e from unnest(new.events) e where e <> all ('{insert,update,delete}') limit 1)),
     'There are insert, update and delete; TRUNCATE fires nothing.'),
    (new.fires in ('enter', 'always', 'once'), format('fires is "%s"', new.fires),
     'enter: when it begins to hold; always: at every change while it holds; once: at the first answer ever.'),
    (new.mode in ('live', 'shadow', 'off'), format('mode is "%s"', new.mode),
     'live; shadow: firings are recorded and never executed; off: not evaluated.'),
    (cardinality(new.columns) > 0, 'columns is empty', 'Name the columns one of which must change; NULL: any column.'),
    (new.max_firings > 0, format('max_firings is %s', new.max_firings),
     'At least 1: of more firings than this from one statement all are held.'),
    (new.max_per_subject > 0, format('max_per_subject is %s', new.max_per_subject),
     'At least 1: further firings about one subject within an hour are held.'),
    (new.version > 0, format('version is %s', new.version), 'Leave it out: tradeflow counts the definitions.'),
    (new.view is null or num_nonnulls(new.condition, new.still, new.query, new.fire_at, new.columns) = 0,
     format('it has a view, so it has no %s',
            (select string_agg(p.name, ', ' order by p.i)
             from (values (1, 'condition', new.condition), (2, 'still', new.still), (3, 'query', new.query), (4, 'fire_at', new.fire_at),
                          (5, 'columns', new.columns::text)) p(i, name, given)
             where p.given is not null)),
     'The view is the question: its rows are those for whom the answer is yes, its columns fire_at and recheck_at say when.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;
comment on function tradeflow._rules_valid() is 'Internal. Errors: 23514 for a value that a rule cannot have.';
-- After the path is pinned, before anything is compiled.
create trigger rules_a_valid before insert or update on tradeflow.rules
  for each row execute function tradeflow._rules_valid();


create function tradeflow._actions_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._refuse_value(format('action %s of rule "%s": %s', new.step, new.rule, c.what), c.how)
  from (values
    (new.step > 0, 'step must be at least 1', 'Steps run in the order of their numbers; gaps are fine.'),
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_]*$', format('"%s" is no name of an action', new.name),
     'Letters, digits and underscore, no digit first: later steps read its result as steps.name.'),
    (new.edge in ('enter', 'leave'), format('edge is "%s"', new.edge), 'enter: the answer became yes; leave: it is yes no longer.'),
    (new.if_late in ('run', 'skip'), format('if_late is "%s"', new.if_late),
     'run: at once, when its time has passed already; skip: not at all.'),
    (new.max_attempts between 1 and 100, format('max_attempts is %s', new.max_attempts),
     'From 1 to 100; with the backoff between them, 20 last about an hour.'),
    (new.on_failure in ('stop', 'continue'), format('on_failure is "%s"', new.on_failure), 'stop, or continue with the next step.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;
comment on function tradeflow._actions_valid() is 'Internal. Errors: 23514 for a value that an action cannot have.';
create trigger actions_a_valid before insert or update on tradeflow.actions
  for each row execute function tradeflow._actions_valid();


create function tradeflow._targets_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  reference constant text := '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$';
  where_it_is constant text := 'It says where the sidecar finds the secret, env:NAME or file:/path; the secret itself is never written here.';
begin
  perform tradeflow._refuse_value(format('target "%s": %s', new.name, c.what), c.how)
  from (values
    (new.secret ~ reference, 'secret is no reference to a secret', where_it_is),
    (new.signing_secret ~ reference, 'signing_secret is no reference to a secret', where_it_is),
    (new.base_url !~ '^[a-z]+://[^/]*@', 'base_url holds a user or a password',
     'Put the user into username, and where the password is into secret: env:NAME or file:/path.'),
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'this is no name of a target',
     'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.'),
    (jsonb_typeof(new.headers) = 'object', format('headers is a JSON %s, not an object', jsonb_typeof(new.headers)),
     'It names each header: {"X-Client": "tradeflow"}'),
    (new.timeout > '0', format('timeout is %s', new.timeout), 'How long one execution may take, as in 30 seconds.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;
comment on function tradeflow._targets_valid() is 'Internal. Errors: 23514 for a value that a target cannot have; what was taken for a secret is not repeated.';
create trigger targets_a_valid before insert or update on tradeflow.targets
  for each row execute function tradeflow._targets_valid();


create function tradeflow._name_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.name !~ tg_argv[1] then
    raise exception '"%" is no name of a %', new.name, tg_argv[0] using errcode = 'check_violation', hint = tg_argv[2];
  end if;
  return new;
end
$$;
comment on function tradeflow._name_valid() is 'Internal. Its arguments: of what, the pattern, the pattern in words. Errors: 23514 for another name.';
create trigger settings_a_valid before insert or update of name on tradeflow.settings
  for each row execute function tradeflow._name_valid(
    'setting', '^[A-Za-z_][A-Za-z0-9_.]*$', 'Letters, digits, underscore and dot; a letter or underscore first: templates read it as settings.name.');
create trigger templates_a_valid before insert or update of name on tradeflow.templates
  for each row execute function tradeflow._name_valid(
    'template', '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.');
