-- PostgreSQL database dump

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA tradeflow;

COMMENT ON SCHEMA tradeflow IS 'Rules over changed rows; their firings wait in an outbox. A rule is a question about a changed row; a firing is one answer "yes", and it commits with the change.';

CREATE TYPE tradeflow.observer;

CREATE FUNCTION tradeflow.observer_in(cstring) RETURNS tradeflow.observer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
    AS $$oidin$$;

COMMENT ON FUNCTION tradeflow.observer_in(cstring) IS 'Input of tradeflow.observer: an oid.';

CREATE FUNCTION tradeflow.observer_out(tradeflow.observer) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
    AS $$oidout$$;

COMMENT ON FUNCTION tradeflow.observer_out(tradeflow.observer) IS 'Output of tradeflow.observer: an oid.';

CREATE FUNCTION tradeflow.observer_subscript(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS '$libdir/tradeflow', 'tradeflow_observer_subscript';

COMMENT ON FUNCTION tradeflow.observer_subscript(internal) IS 'Subscripting handler of tradeflow.observer.';

CREATE TYPE tradeflow.observer (
    INTERNALLENGTH = 4,
    INPUT = tradeflow.observer_in,
    OUTPUT = tradeflow.observer_out,
    SUBSCRIPT = tradeflow.observer_subscript,
    ALIGNMENT = int4,
    STORAGE = plain,
    PASSEDBYVALUE
);

COMMENT ON TYPE tradeflow.observer IS 'A table''s oid whose subscript, in the WHEN clause of a watched table''s trigger, looks at the changed row: [1] insert, [2] update, [3] delete. Of no use elsewhere.';

CREATE CAST (oid AS tradeflow.observer) WITHOUT FUNCTION;

CREATE FUNCTION tradeflow._actions_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._actions_after_write() IS 'Internal. Has the rule compiled again with its actions.';

CREATE FUNCTION tradeflow._actions_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._actions_before_write() IS 'Internal. Checks kind, parameters and templates of an action. Errors: 22023 unknown kind or parameter, 42601 a string that is no template, 42501 no member of the rule''s owner.';

CREATE FUNCTION tradeflow._archive(ids bigint[], state text, reason text DEFAULT NULL::text, results jsonb[] DEFAULT NULL::jsonb[]) RETURNS integer
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._archive(ids bigint[], state text, reason text, results jsonb[]) IS 'Internal. Moves actions to the history, in this state (NULL: as they are); results are in the order of ids. Returns how many.';

CREATE FUNCTION tradeflow._backoff(attempt integer) RETURNS interval
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select random() * least(interval '10 minutes', interval '1 second' * 2 ^ least(attempt, 20)) $$;

COMMENT ON FUNCTION tradeflow._backoff(attempt integer) IS 'Internal. How long to wait after this attempt.';

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE tradeflow.outbox (
    id bigint NOT NULL,
    firing_id bigint NOT NULL,
    rule text NOT NULL,
    rule_version integer NOT NULL,
    source text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    occurrence text DEFAULT ''::text NOT NULL,
    key jsonb,
    edge text DEFAULT 'enter'::text NOT NULL,
    step integer,
    action text,
    kind text,
    target text,
    lane text NOT NULL,
    state text NOT NULL,
    reason text,
    facts jsonb NOT NULL,
    steps jsonb DEFAULT '{}'::jsonb NOT NULL,
    run_at timestamp with time zone DEFAULT now() NOT NULL,
    fire_at timestamp with time zone,
    attempt integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 20 NOT NULL,
    worker text,
    lease_until timestamp with time zone,
    started_at timestamp with time zone,
    error text,
    result jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT outbox_event_check CHECK ((event = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT outbox_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'waiting'::text, 'running'::text, 'done'::text, 'dead'::text, 'held'::text, 'cancelled'::text, 'uncertain'::text, 'shadow'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0.0', autovacuum_vacuum_insert_threshold='10000', autovacuum_analyze_scale_factor='0.0', autovacuum_analyze_threshold='2000', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE tradeflow.outbox IS 'A row is one action of a firing, waiting or running. Rows of one firing share firing_id. Written by rules and the functions claim, started, complete, fail, extend, cancel, retry, tick; never directly.';

COMMENT ON COLUMN tradeflow.outbox.id IS 'Identifies the action; the idempotency key is made of it.';

COMMENT ON COLUMN tradeflow.outbox.firing_id IS 'The firing it belongs to.';

COMMENT ON COLUMN tradeflow.outbox.rule IS 'The rule that fired.';

COMMENT ON COLUMN tradeflow.outbox.rule_version IS 'The version of the rule that fired.';

COMMENT ON COLUMN tradeflow.outbox.source IS 'The table whose row changed.';

COMMENT ON COLUMN tradeflow.outbox.event IS 'insert, update or delete.';

COMMENT ON COLUMN tradeflow.outbox.subject IS 'Who it is about: the key of the row as text (several columns: a text array), or what the query says.';

COMMENT ON COLUMN tradeflow.outbox.occurrence IS 'Which of several answers about the subject; empty where there is one.';

COMMENT ON COLUMN tradeflow.outbox.key IS 'The row''s key columns with their values; kept for timers, which ask again about the row.';

COMMENT ON COLUMN tradeflow.outbox.edge IS 'enter: the answer became yes.';

COMMENT ON COLUMN tradeflow.outbox.step IS 'The step of the rule''s actions. NULL: the rule has none, and the firing itself is the record.';

COMMENT ON COLUMN tradeflow.outbox.action IS 'The action''s name, if it has one.';

COMMENT ON COLUMN tradeflow.outbox.kind IS 'The action''s kind.';

COMMENT ON COLUMN tradeflow.outbox.target IS 'The action''s target.';

COMMENT ON COLUMN tradeflow.outbox.lane IS 'Actions of one lane run one after another, in the order of their ids: source:subject.';

COMMENT ON COLUMN tradeflow.outbox.state IS 'ready, waiting (for its time), running, done, dead, held, cancelled, uncertain (sent, outcome unknown), shadow. Dead, held and uncertain stay until a person acts; done, cancelled and shadow move to outbox_history.';

COMMENT ON COLUMN tradeflow.outbox.reason IS 'Why it is held or cancelled.';

COMMENT ON COLUMN tradeflow.outbox.facts IS 'What templates read: the changed row, or the row of the query.';

COMMENT ON COLUMN tradeflow.outbox.steps IS 'Results of the firing''s earlier steps, under their names and numbers.';

COMMENT ON COLUMN tradeflow.outbox.run_at IS 'Not before this time.';

COMMENT ON COLUMN tradeflow.outbox.fire_at IS 'The due time that the rule computed, before the action''s delay.';

COMMENT ON COLUMN tradeflow.outbox.attempt IS 'How often it was claimed. A completion must name the attempt that holds the lease.';

COMMENT ON COLUMN tradeflow.outbox.max_attempts IS 'After as many it is dead.';

COMMENT ON COLUMN tradeflow.outbox.worker IS 'Who holds the lease.';

COMMENT ON COLUMN tradeflow.outbox.lease_until IS 'Until when, by the database''s clock.';

COMMENT ON COLUMN tradeflow.outbox.started_at IS 'When the worker said that it begins something it cannot take back.';

COMMENT ON COLUMN tradeflow.outbox.error IS 'The last error.';

COMMENT ON COLUMN tradeflow.outbox.result IS 'What executing it returned.';

COMMENT ON COLUMN tradeflow.outbox.created_at IS 'The start of the transaction that fired.';

CREATE FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) IS 'Internal. Ends an action as dead or uncertain, with an incident.';

CREATE FUNCTION tradeflow._check_params(params jsonb, path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._check_params(params jsonb, path text) IS 'Internal. NULL when every string of the parameters compiles as a template, else where and why not.';

CREATE FUNCTION tradeflow._check_template(source text, name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT
    AS '$libdir/tradeflow', 'tradeflow_check_template';

COMMENT ON FUNCTION tradeflow._check_template(source text, name text) IS 'Internal. NULL when the text compiles as a template, else what is wrong with it and where.';

CREATE FUNCTION tradeflow._clock_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform tradeflow._invalidate(to_regclass(w.name)) from tradeflow.watched_tables w where to_regclass(w.name) is not null;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._clock_after_write() IS 'Internal. Rules that read tradeflow.now() are compiled again.';

CREATE FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) RETURNS void
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_compile';

COMMENT ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) IS 'Internal. Compiles a definition as its owner and forgets it. The caller must be a member of the owner. Errors carry the position in the definition''s text; TF001: a setting it names does not exist (yet).';

CREATE TABLE tradeflow.rules (
    name text NOT NULL,
    source text NOT NULL,
    events text[] DEFAULT '{insert,update}'::text[] NOT NULL,
    condition text,
    fires text NOT NULL,
    still text,
    columns text[],
    query text,
    fire_at text,
    mode text DEFAULT 'live'::text NOT NULL,
    project text,
    description text,
    max_firings integer DEFAULT 1000 NOT NULL,
    owner name DEFAULT CURRENT_USER NOT NULL,
    search_path text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    invalid text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_by name DEFAULT CURRENT_USER NOT NULL,
    CONSTRAINT rules_columns_check CHECK ((cardinality(columns) > 0)),
    CONSTRAINT rules_events_check CHECK (((cardinality(events) > 0) AND (events <@ '{insert,update,delete}'::text[]))),
    CONSTRAINT rules_fires_check CHECK ((fires = ANY (ARRAY['enter'::text, 'always'::text]))),
    CONSTRAINT rules_max_firings_check CHECK ((max_firings > 0)),
    CONSTRAINT rules_mode_check CHECK ((mode = ANY (ARRAY['live'::text, 'shadow'::text, 'off'::text]))),
    CONSTRAINT rules_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text)),
    CONSTRAINT rules_version_check CHECK ((version > 0))
);

COMMENT ON TABLE tradeflow.rules IS 'A row is a named question about a changed row. Writing one compiles it; a bad one is rejected with the position of the error.';

COMMENT ON COLUMN tradeflow.rules.name IS 'Unique; letters, digits, underscore, dot, hyphen; at most 63.';

COMMENT ON COLUMN tradeflow.rules.source IS 'The watched table whose changes are asked about.';

COMMENT ON COLUMN tradeflow.rules.events IS 'insert, update (default both), delete.';

COMMENT ON COLUMN tradeflow.rules.condition IS 'SQL boolean over new and old. Old is all NULL on insert, new on delete. No subqueries (use query), no volatile functions. NULL: every change.';

COMMENT ON COLUMN tradeflow.rules.fires IS 'enter (default): it holds for new and did not hold before; always (default without condition): at every real change while it holds. A condition that mentions old is its own edge.';

COMMENT ON COLUMN tradeflow.rules.still IS 'Asked instead of condition when a timer is due; over new alone.';

COMMENT ON COLUMN tradeflow.rules.columns IS 'On update, look only when one of these columns changed. NULL: any column.';

COMMENT ON COLUMN tradeflow.rules.query IS 'A SELECT, may mention new and old; run for all rows of the statement that passed the condition at once. Each row it returns is one firing, its columns are the facts; columns named subject, occurrence and fire_at mean these.';

COMMENT ON COLUMN tradeflow.rules.fire_at IS 'Expression over new (and old): when the firing is due, timestamptz. NULL, or a NULL value: now.';

COMMENT ON COLUMN tradeflow.rules.mode IS 'live; shadow: firings are recorded and never executed; off: not evaluated, what waits is cancelled.';

COMMENT ON COLUMN tradeflow.rules.project IS 'The project whose files define the rule: the scope of apply --prune.';

COMMENT ON COLUMN tradeflow.rules.description IS 'For people: what the rule is for.';

COMMENT ON COLUMN tradeflow.rules.max_firings IS 'More firings than this from one statement are held, all of them, with an incident.';

COMMENT ON COLUMN tradeflow.rules.owner IS 'The role as which condition and query run. Default: who writes the rule; only members of the role may set it.';

COMMENT ON COLUMN tradeflow.rules.search_path IS 'The path its names are looked up in, always: the writer''s own at the time, unless given.';

COMMENT ON COLUMN tradeflow.rules.version IS 'Counts the definitions; earlier ones are in rule_versions.';

COMMENT ON COLUMN tradeflow.rules.invalid IS 'Why the rule is stored but not evaluated: a setting or target is missing, or something it needs was dropped. NULL: it works.';

COMMENT ON COLUMN tradeflow.rules.updated_at IS 'When this definition was written.';

COMMENT ON COLUMN tradeflow.rules.updated_by IS 'Who wrote this definition.';

CREATE FUNCTION tradeflow._compiles(r tradeflow.rules) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return tradeflow._rule_missing(r) is null;
exception when others then
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow._compiles(r tradeflow.rules) IS 'Internal. Whether a rule compiles now.';

CREATE FUNCTION tradeflow._flush() RETURNS trigger
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_flush';

COMMENT ON FUNCTION tradeflow._flush() IS 'Internal. Trigger of watched tables: answers what the statement left pending and puts the firings into the outbox, in one insert.';

CREATE FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text DEFAULT NULL::text, sqlstate text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  insert into tradeflow.incidents (kind, rule, source, subject, outbox_id, message, hint, sqlstate)
  values (_incident.kind, outbox.rule, outbox.source, outbox.subject, outbox.id, message, hint, _incident.sqlstate)
$$;

COMMENT ON FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text, sqlstate text) IS 'Internal. Appends an incident about an action.';

CREATE FUNCTION tradeflow._installation_replace() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from tradeflow.installation;
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._installation_replace() IS 'Internal. Lets the dumped identity take the place of the new one.';

CREATE FUNCTION tradeflow._invalidate(source regclass) RETURNS void
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_invalidate';

COMMENT ON FUNCTION tradeflow._invalidate(source regclass) IS 'Internal. Makes every backend compile the rules of this table anew at its next statement.';

CREATE FUNCTION tradeflow._make_ready(ids bigint[]) RETURNS integer
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._make_ready(ids bigint[]) IS 'Internal. Makes resting actions ready again, or waiting when their time has not come.';

CREATE FUNCTION tradeflow._merge_incidents() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._merge_incidents() IS 'Internal. Adds up equal incidents and marks rules that no longer compile.';

CREATE FUNCTION tradeflow._next_step(ids bigint[], outcomes jsonb[]) RETURNS integer
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._next_step(ids bigint[], outcomes jsonb[]) IS 'Internal. Begins the next step of the firings of these actions.';

CREATE FUNCTION tradeflow._partitions() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION tradeflow._partitions() IS 'Internal. Makes the history''s next days, drops those past setting history_days.';

CREATE FUNCTION tradeflow._qualified_name(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = rel
$$;

COMMENT ON FUNCTION tradeflow._qualified_name(rel regclass) IS 'Internal. Schema and name of a table, quoted where needed.';

CREATE FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) IS 'Internal. Errors: 42703 for a column that the table does not have.';

CREATE FUNCTION tradeflow._require_member(owner name, rule text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._require_member(owner name, rule text) IS 'Internal. Errors: 42501 unless the current user is a member of the rule''s owner.';

CREATE FUNCTION tradeflow._rescue() RETURNS TABLE(rescued integer, uncertain integer)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rescue() IS 'Internal. Takes back actions whose lease ended.';

CREATE FUNCTION tradeflow._revalidate(mentions text[], what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._revalidate(mentions text[], what text) IS 'Internal. Compiles again the rules that mention one of these names, or that are invalid. Errors: whatever a rule that worked would fail with.';

CREATE FUNCTION tradeflow._rule_missing(r tradeflow.rules) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rule_missing(r tradeflow.rules) IS 'Internal. What a rule still waits for (a setting, a target, its owner); NULL when it compiles. Any other mistake is raised.';

CREATE FUNCTION tradeflow._rules_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rules_after_write() IS 'Internal. Keeps the earlier definition, cancels what waits for a rule that is off or gone, and has every backend compile anew.';

CREATE FUNCTION tradeflow._rules_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rules_before_write() IS 'Internal. Checks a rule as it is written and compiles it.';

CREATE FUNCTION tradeflow._rules_search_path() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  new.search_path := coalesce(
    new.search_path,
    (select pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ' order by i)
     from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(s, i)),
    '');
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._rules_search_path() IS 'Internal. Pins the writer''s search_path to a rule that gives none.';

CREATE FUNCTION tradeflow._settings_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._settings_after_write() IS 'Internal. A setting is a constant of the rules that read it: they are compiled again.';

CREATE FUNCTION tradeflow._settings_before_update() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  new.updated_at := now();
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._settings_before_update() IS 'Internal. Notes when a setting was last written.';

CREATE FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) RETURNS jsonb
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_still';

COMMENT ON FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) IS 'Internal. Asks a due timer''s question again on the row as it is now, as the rule''s owner: the facts, or NULL for no.';

CREATE FUNCTION tradeflow._targets_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._targets_after_write() IS 'Internal. A rule whose action waited for this target starts; one that needs it refuses its loss.';

CREATE FUNCTION tradeflow._templates_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._templates_before_write() IS 'Internal. Rejects a mail template that does not compile. Errors: 42601.';

CREATE FUNCTION tradeflow._wake_timers() RETURNS TABLE(due integer, cancelled integer)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._wake_timers() IS 'Internal. Makes due timers ready, or cancels them when the answer is no longer yes.';

CREATE FUNCTION tradeflow.ack(incident bigint) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with mine as (
    update tradeflow.incidents i set acked_at = now(), acked_by = session_user
    where i.id = incident and i.acked_at is null returning 1
  )
  select exists (select from mine)
$$;

COMMENT ON FUNCTION tradeflow.ack(incident bigint) IS 'Takes note of an incident. False: there is none, or it was noted before.';

CREATE FUNCTION tradeflow.cancel(ids bigint[], reason text DEFAULT NULL::text) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select tradeflow._archive(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and o.state in ('ready', 'waiting', 'held', 'dead', 'uncertain', 'shadow')
    order by o.id for update), 'cancelled', coalesce(reason, 'cancelled by ' || session_user))
$$;

COMMENT ON FUNCTION tradeflow.cancel(ids bigint[], reason text) IS 'Cancels actions that are not running; they move to the history with the reason. Returns how many.';

CREATE FUNCTION tradeflow.cancel(id bigint, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.cancel(array[id], reason) = 1 $$;

COMMENT ON FUNCTION tradeflow.cancel(id bigint, reason text) IS 'Cancels one action. False: it is running, or ended already.';

CREATE FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[] DEFAULT NULL::text[]) RETURNS TABLE(id bigint, attempt integer, max_attempts integer, firing_id bigint, rule text, rule_version integer, source text, event text, subject text, occurrence text, edge text, step integer, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb, idempotency_key text, run_at timestamp with time zone, created_at timestamp with time zone, lease_until timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[]) IS 'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. params is NULL when the action was deleted meanwhile. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';

CREATE FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) RETURNS TABLE(id bigint, accepted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) IS 'Ends actions as done, with their results (objects; the key request is kept as the rendered request). Accepted only for the attempt that holds the lease. Errors: 22023 for arrays of different length, a result that is no object or over 4 MB.';

CREATE FUNCTION tradeflow.discard_held(rule text DEFAULT NULL::text, ids bigint[] DEFAULT NULL::bigint[]) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select tradeflow._archive(array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (discard_held.rule is null or o.rule = discard_held.rule) and (ids is null or o.id = any (ids))
    order by o.id for update), 'cancelled', 'discarded by ' || session_user)
$$;

COMMENT ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) IS 'Cancels held actions: of one rule, of these ids, or all. Returns how many.';

CREATE FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) RETURNS TABLE(id bigint, accepted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) IS 'Prolongs leases, from now. False for those no longer held. Errors: 22023 for a lease outside 1 s – 1 day.';

CREATE FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval DEFAULT NULL::interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval) IS 'Ends an attempt. outcome: retry (again after backoff, at least retry_after; dead after max_attempts), dead, uncertain. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';

CREATE FUNCTION tradeflow.now() RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select coalesce((select c.at from tradeflow.clock c), pg_catalog.now()) $$;

COMMENT ON FUNCTION tradeflow.now() IS 'The time that rules and timers go by: now(), or the test clock where an operator has set one.';

CREATE FUNCTION tradeflow.release_held(rule text DEFAULT NULL::text, ids bigint[] DEFAULT NULL::bigint[]) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (release_held.rule is null or o.rule = release_held.rule) and (ids is null or o.id = any (ids))
    order by o.id for update))
$$;

COMMENT ON FUNCTION tradeflow.release_held(rule text, ids bigint[]) IS 'Lets held actions go: of one rule, of these ids, or all. Returns how many.';

CREATE FUNCTION tradeflow.retry(ids bigint[]) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and (o.state in ('dead', 'uncertain', 'held') or (o.state = 'ready' and o.run_at > clock_timestamp()))
    order by o.id for update))
$$;

COMMENT ON FUNCTION tradeflow.retry(ids bigint[]) IS 'Executes dead, uncertain or held actions again, and retrying ones at once; a last attempt is granted where none was left. An uncertain mail may arrive twice: look first. Returns how many.';

CREATE FUNCTION tradeflow.retry(id bigint) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.retry(array[id]) = 1 $$;

COMMENT ON FUNCTION tradeflow.retry(id bigint) IS 'Executes one action again. False: it is not dead, uncertain, held or retrying.';

CREATE FUNCTION tradeflow.set_clock(at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from tradeflow.clock;
  insert into tradeflow.clock (at) select set_clock.at where set_clock.at is not null;
  select tradeflow.now();
$$;

COMMENT ON FUNCTION tradeflow.set_clock(at timestamp with time zone) IS 'Sets the test clock; NULL goes back to real time. The operator''s alone. Returns the time from now on.';

CREATE FUNCTION tradeflow.setting(name text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow.setting(name text) IS 'The value of a setting, as text. In a rule''s condition it is a constant of the compiled rule. Errors: 42704 when there is no such setting.';

CREATE FUNCTION tradeflow.started(id bigint, attempt integer) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
  with mine as (
    update tradeflow.outbox o set started_at = clock_timestamp()
    where o.id = started.id and o.attempt = started.attempt and o.state = 'running' and o.lease_until > clock_timestamp()
    returning 1
  )
  select exists (select from mine)
$$;

COMMENT ON FUNCTION tradeflow.started(id bigint, attempt integer) IS 'Says that the worker begins what it cannot take back. False: the lease is lost; do not begin. After it, a lost lease makes a kind that cannot be repeated uncertain.';

CREATE FUNCTION tradeflow.tick() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

COMMENT ON FUNCTION tradeflow.tick() IS 'Does all work that only time brings: takes back ended leases, wakes due timers, moves finished actions to the history, keeps its partitions, adds up incidents. Cheap when there is nothing to do; safe to call from anywhere at any time. Returns what it did.';

CREATE FUNCTION tradeflow.unwatch("table" regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow.unwatch("table" regclass) IS 'Stops evaluating the changes of a table. Errors: 2BP01 while rules still name it.';

CREATE FUNCTION tradeflow.version() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select extversion from pg_extension where extname = 'tradeflow' $$;

COMMENT ON FUNCTION tradeflow.version() IS 'The installed version of the extension.';

CREATE FUNCTION tradeflow.watch("table" regclass, key text[] DEFAULT NULL::text[], ignore text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[]) IS 'Evaluates the changes of a table from now on. key: the columns that identify a row (default: the primary key); ignore: columns whose change alone is no change. Repeatable: a second call changes key and ignore. The caller must own the table or have its TRIGGER right. Errors: 42809 no ordinary table, 22023 no key, 42703 unknown column.';

CREATE TABLE tradeflow.action_kinds (
    name text NOT NULL,
    repeatable boolean NOT NULL,
    required text[] DEFAULT '{}'::text[] NOT NULL,
    optional text[] DEFAULT '{}'::text[] NOT NULL,
    description text NOT NULL,
    builtin boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE tradeflow.action_kinds IS 'The kinds of action that a sidecar can execute. Own kinds of an own client are added here.';

COMMENT ON COLUMN tradeflow.action_kinds.name IS 'What actions.kind says.';

COMMENT ON COLUMN tradeflow.action_kinds.repeatable IS 'Whether an execution whose outcome is unknown may be repeated. If not, it becomes uncertain and waits for a person.';

COMMENT ON COLUMN tradeflow.action_kinds.required IS 'Parameters that must be given; a|b means one of the two.';

COMMENT ON COLUMN tradeflow.action_kinds.optional IS 'Parameters that may be given.';

COMMENT ON COLUMN tradeflow.action_kinds.description IS 'What executing it does.';

COMMENT ON COLUMN tradeflow.action_kinds.builtin IS 'Comes with the extension; not dumped.';

CREATE TABLE tradeflow.actions (
    rule text NOT NULL,
    step integer DEFAULT 1 NOT NULL,
    name text,
    edge text DEFAULT 'enter'::text NOT NULL,
    kind text NOT NULL,
    target text,
    params jsonb DEFAULT '{}'::jsonb NOT NULL,
    delay interval DEFAULT '00:00:00'::interval NOT NULL,
    if_late text DEFAULT 'run'::text NOT NULL,
    max_attempts integer DEFAULT 20 NOT NULL,
    on_failure text DEFAULT 'stop'::text NOT NULL,
    CONSTRAINT actions_edge_check CHECK ((edge = 'enter'::text)),
    CONSTRAINT actions_if_late_check CHECK ((if_late = ANY (ARRAY['run'::text, 'skip'::text]))),
    CONSTRAINT actions_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 100))),
    CONSTRAINT actions_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_]*$'::text)),
    CONSTRAINT actions_on_failure_check CHECK ((on_failure = ANY (ARRAY['stop'::text, 'continue'::text]))),
    CONSTRAINT actions_params_check CHECK ((jsonb_typeof(params) = 'object'::text)),
    CONSTRAINT actions_step_check CHECK ((step > 0))
);

COMMENT ON TABLE tradeflow.actions IS 'Step n of what a rule''s firing causes. Steps run one after another.';

COMMENT ON COLUMN tradeflow.actions.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.actions.step IS 'Order among the rule''s actions; gaps are fine.';

COMMENT ON COLUMN tradeflow.actions.name IS 'Later steps read its result as steps.<name>.';

COMMENT ON COLUMN tradeflow.actions.edge IS 'enter: the answer became yes.';

COMMENT ON COLUMN tradeflow.actions.kind IS 'One of action_kinds.';

COMMENT ON COLUMN tradeflow.actions.target IS 'One of targets.';

COMMENT ON COLUMN tradeflow.actions.params IS 'JSON whose strings are templates over facts, steps, settings and rule. A string that is one {{ expression }} keeps its JSON type.';

COMMENT ON COLUMN tradeflow.actions.delay IS 'Added to fire_at, or to now. May be negative: -7 days.';

COMMENT ON COLUMN tradeflow.actions.if_late IS 'When the due time has passed already at the firing: run at once, or skip.';

COMMENT ON COLUMN tradeflow.actions.max_attempts IS 'Executions before the action is dead. With the backoff of fail(), 20 last about an hour.';

COMMENT ON COLUMN tradeflow.actions.on_failure IS 'When this action is dead: stop, or continue with the next step.';

CREATE TABLE tradeflow.clock (
    only_row boolean DEFAULT true NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT clock_only_row_check CHECK (only_row)
);

COMMENT ON TABLE tradeflow.clock IS 'Empty, or one row: the test clock. Set with tradeflow.set_clock().';

COMMENT ON COLUMN tradeflow.clock.only_row IS 'Always true: the table holds at most one row.';

COMMENT ON COLUMN tradeflow.clock.at IS 'What tradeflow.now() returns while the row is there.';

CREATE SEQUENCE tradeflow.firing_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE tradeflow.firing_id IS 'Numbers the firings.';

CREATE TABLE tradeflow.outbox_history (
    id bigint NOT NULL,
    firing_id bigint NOT NULL,
    rule text NOT NULL,
    rule_version integer NOT NULL,
    source text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    occurrence text NOT NULL,
    key jsonb,
    edge text NOT NULL,
    step integer,
    action text,
    kind text,
    target text,
    lane text NOT NULL,
    state text NOT NULL,
    reason text,
    facts jsonb NOT NULL,
    steps jsonb NOT NULL,
    run_at timestamp with time zone NOT NULL,
    fire_at timestamp with time zone,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    worker text,
    lease_until timestamp with time zone,
    started_at timestamp with time zone,
    error text,
    result jsonb,
    created_at timestamp with time zone NOT NULL,
    request jsonb,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (finished_at);

COMMENT ON TABLE tradeflow.outbox_history IS 'Finished actions (done, cancelled, shadow), partitioned by day; days older than setting history_days (default 90) are dropped by tick().';

COMMENT ON COLUMN tradeflow.outbox_history.id IS 'Identifies the action; the idempotency key is made of it.';

COMMENT ON COLUMN tradeflow.outbox_history.firing_id IS 'The firing it belongs to.';

COMMENT ON COLUMN tradeflow.outbox_history.rule IS 'The rule that fired.';

COMMENT ON COLUMN tradeflow.outbox_history.rule_version IS 'The version of the rule that fired.';

COMMENT ON COLUMN tradeflow.outbox_history.source IS 'The table whose row changed.';

COMMENT ON COLUMN tradeflow.outbox_history.event IS 'insert, update or delete.';

COMMENT ON COLUMN tradeflow.outbox_history.subject IS 'Who it is about: the key of the row as text (several columns: a text array), or what the query says.';

COMMENT ON COLUMN tradeflow.outbox_history.occurrence IS 'Which of several answers about the subject; empty where there is one.';

COMMENT ON COLUMN tradeflow.outbox_history.key IS 'The row''s key columns with their values; kept for timers, which ask again about the row.';

COMMENT ON COLUMN tradeflow.outbox_history.edge IS 'enter: the answer became yes.';

COMMENT ON COLUMN tradeflow.outbox_history.step IS 'The step of the rule''s actions. NULL: the rule has none, and the firing itself is the record.';

COMMENT ON COLUMN tradeflow.outbox_history.action IS 'The action''s name, if it has one.';

COMMENT ON COLUMN tradeflow.outbox_history.kind IS 'The action''s kind.';

COMMENT ON COLUMN tradeflow.outbox_history.target IS 'The action''s target.';

COMMENT ON COLUMN tradeflow.outbox_history.lane IS 'Actions of one lane run one after another, in the order of their ids: source:subject.';

COMMENT ON COLUMN tradeflow.outbox_history.state IS 'ready, waiting (for its time), running, done, dead, held, cancelled, uncertain (sent, outcome unknown), shadow. Dead, held and uncertain stay until a person acts; done, cancelled and shadow move to outbox_history.';

COMMENT ON COLUMN tradeflow.outbox_history.reason IS 'Why it is held or cancelled.';

COMMENT ON COLUMN tradeflow.outbox_history.facts IS 'What templates read: the changed row, or the row of the query.';

COMMENT ON COLUMN tradeflow.outbox_history.steps IS 'Results of the firing''s earlier steps, under their names and numbers.';

COMMENT ON COLUMN tradeflow.outbox_history.run_at IS 'Not before this time.';

COMMENT ON COLUMN tradeflow.outbox_history.fire_at IS 'The due time that the rule computed, before the action''s delay.';

COMMENT ON COLUMN tradeflow.outbox_history.attempt IS 'How often it was claimed. A completion must name the attempt that holds the lease.';

COMMENT ON COLUMN tradeflow.outbox_history.max_attempts IS 'After as many it is dead.';

COMMENT ON COLUMN tradeflow.outbox_history.worker IS 'Who holds the lease.';

COMMENT ON COLUMN tradeflow.outbox_history.lease_until IS 'Until when, by the database''s clock.';

COMMENT ON COLUMN tradeflow.outbox_history.started_at IS 'When the worker said that it begins something it cannot take back.';

COMMENT ON COLUMN tradeflow.outbox_history.error IS 'The last error.';

COMMENT ON COLUMN tradeflow.outbox_history.result IS 'What executing it returned.';

COMMENT ON COLUMN tradeflow.outbox_history.created_at IS 'The start of the transaction that fired.';

COMMENT ON COLUMN tradeflow.outbox_history.request IS 'The rendered request, without secrets.';

COMMENT ON COLUMN tradeflow.outbox_history.finished_at IS 'When it ended.';

CREATE VIEW tradeflow.firings AS
 WITH rows AS (
         SELECT o.firing_id,
            o.rule,
            o.rule_version,
            o.source,
            o.event,
            o.subject,
            o.occurrence,
            o.edge,
            o.facts,
            o.step,
            o.state,
            o.run_at,
            o.created_at,
            NULL::timestamp with time zone AS finished_at
           FROM tradeflow.outbox o
        UNION ALL
         SELECT h.firing_id,
            h.rule,
            h.rule_version,
            h.source,
            h.event,
            h.subject,
            h.occurrence,
            h.edge,
            h.facts,
            h.step,
            h.state,
            h.run_at,
            h.created_at,
            h.finished_at
           FROM tradeflow.outbox_history h
        )
 SELECT r.firing_id,
    r.rule,
    r.rule_version,
    r.source,
    r.event,
    r.subject,
    r.occurrence,
    r.edge,
    (array_agg(r.facts ORDER BY r.step))[1] AS facts,
    (array_agg(r.state ORDER BY r.step DESC NULLS LAST))[1] AS state,
    (count(r.step))::integer AS actions,
    min(r.run_at) AS run_at,
    min(r.created_at) AS created_at,
        CASE
            WHEN bool_and((r.finished_at IS NOT NULL)) THEN max(r.finished_at)
            ELSE NULL::timestamp with time zone
        END AS finished_at
   FROM rows r
  GROUP BY r.firing_id, r.rule, r.rule_version, r.source, r.event, r.subject, r.occurrence, r.edge;

COMMENT ON VIEW tradeflow.firings IS 'One row a firing, over outbox and outbox_history.';

COMMENT ON COLUMN tradeflow.firings.firing_id IS 'Identifies the firing.';

COMMENT ON COLUMN tradeflow.firings.rule IS 'The rule that fired.';

COMMENT ON COLUMN tradeflow.firings.rule_version IS 'Its version then.';

COMMENT ON COLUMN tradeflow.firings.source IS 'The table whose row changed.';

COMMENT ON COLUMN tradeflow.firings.event IS 'insert, update or delete.';

COMMENT ON COLUMN tradeflow.firings.subject IS 'Who it is about.';

COMMENT ON COLUMN tradeflow.firings.occurrence IS 'Which of several answers.';

COMMENT ON COLUMN tradeflow.firings.edge IS 'enter: the answer became yes.';

COMMENT ON COLUMN tradeflow.firings.facts IS 'What templates read.';

COMMENT ON COLUMN tradeflow.firings.state IS 'State of the latest step.';

COMMENT ON COLUMN tradeflow.firings.actions IS 'How many steps were begun.';

COMMENT ON COLUMN tradeflow.firings.run_at IS 'When its first step was or is due.';

COMMENT ON COLUMN tradeflow.firings.created_at IS 'When it fired.';

COMMENT ON COLUMN tradeflow.firings.finished_at IS 'When its last step ended; NULL while something is open.';

CREATE TABLE tradeflow.incidents (
    id bigint NOT NULL,
    kind text NOT NULL,
    rule text,
    source text,
    subject text,
    outbox_id bigint,
    message text NOT NULL,
    detail text,
    hint text,
    sqlstate text,
    count integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    acked_at timestamp with time zone,
    acked_by name,
    CONSTRAINT incidents_kind_check CHECK ((kind = ANY (ARRAY['rule_error'::text, 'rule_invalid'::text, 'held_burst'::text, 'dead_action'::text, 'uncertain_action'::text, 'timer_error'::text])))
);

COMMENT ON TABLE tradeflow.incidents IS 'A row is something that went wrong and needs a person. Statements append; tick() adds up the ones that say the same.';

COMMENT ON COLUMN tradeflow.incidents.id IS 'Identifies the incident.';

COMMENT ON COLUMN tradeflow.incidents.kind IS 'rule_error: a condition, query or due time failed for a row. rule_invalid: a rule no longer compiles. held_burst: more firings than max_firings. dead_action, uncertain_action: see the outbox row. timer_error: a due timer could not be asked again.';

COMMENT ON COLUMN tradeflow.incidents.rule IS 'The rule concerned.';

COMMENT ON COLUMN tradeflow.incidents.source IS 'The table whose row it happened for.';

COMMENT ON COLUMN tradeflow.incidents.subject IS 'The key of the (first) row it happened for.';

COMMENT ON COLUMN tradeflow.incidents.outbox_id IS 'The action concerned.';

COMMENT ON COLUMN tradeflow.incidents.message IS 'What happened.';

COMMENT ON COLUMN tradeflow.incidents.detail IS 'More of it.';

COMMENT ON COLUMN tradeflow.incidents.hint IS 'What to do.';

COMMENT ON COLUMN tradeflow.incidents.sqlstate IS 'The error''s SQLSTATE.';

COMMENT ON COLUMN tradeflow.incidents.count IS 'How many rows or times.';

COMMENT ON COLUMN tradeflow.incidents.created_at IS 'First seen.';

COMMENT ON COLUMN tradeflow.incidents.last_seen_at IS 'Last seen.';

COMMENT ON COLUMN tradeflow.incidents.acked_at IS 'When somebody took note. NULL: open.';

COMMENT ON COLUMN tradeflow.incidents.acked_by IS 'Who.';

ALTER TABLE tradeflow.incidents ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.incidents_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tradeflow.installation (
    only_row boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

COMMENT ON TABLE tradeflow.installation IS 'One row: the identity of this installation, the prefix of every idempotency key. A restored dump keeps it, since its actions may have been sent before; a copy that shall call remote systems on its own needs a new one: update tradeflow.installation set id = gen_random_uuid();';

COMMENT ON COLUMN tradeflow.installation.only_row IS 'Always true: the table holds one row.';

COMMENT ON COLUMN tradeflow.installation.id IS 'Random at creation.';

CREATE TABLE tradeflow.outbox_history_default (
    id bigint NOT NULL,
    firing_id bigint NOT NULL,
    rule text NOT NULL,
    rule_version integer NOT NULL,
    source text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    occurrence text NOT NULL,
    key jsonb,
    edge text NOT NULL,
    step integer,
    action text,
    kind text,
    target text,
    lane text NOT NULL,
    state text NOT NULL,
    reason text,
    facts jsonb NOT NULL,
    steps jsonb NOT NULL,
    run_at timestamp with time zone NOT NULL,
    fire_at timestamp with time zone,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    worker text,
    lease_until timestamp with time zone,
    started_at timestamp with time zone,
    error text,
    result jsonb,
    created_at timestamp with time zone NOT NULL,
    request jsonb,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE tradeflow.outbox_history_default IS 'Catches rows of a day whose partition tick() has not made yet.';

ALTER TABLE tradeflow.outbox ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW tradeflow.queue_health AS
 SELECT o.state,
    o.kind,
    o.target,
    count(*) AS actions,
    min(o.run_at) AS oldest_run_at,
        CASE
            WHEN (o.state = 'ready'::text) THEN GREATEST((clock_timestamp() - min(o.run_at)), '00:00:00'::interval)
            ELSE NULL::interval
        END AS lag
   FROM tradeflow.outbox o
  GROUP BY o.state, o.kind, o.target;

COMMENT ON VIEW tradeflow.queue_health IS 'How many actions are in which state, by kind and target, and how late the oldest ready one is.';

COMMENT ON COLUMN tradeflow.queue_health.state IS 'State of the actions counted.';

COMMENT ON COLUMN tradeflow.queue_health.kind IS 'Their kind.';

COMMENT ON COLUMN tradeflow.queue_health.target IS 'Their target.';

COMMENT ON COLUMN tradeflow.queue_health.actions IS 'How many.';

COMMENT ON COLUMN tradeflow.queue_health.oldest_run_at IS 'The earliest due time among them.';

COMMENT ON COLUMN tradeflow.queue_health.lag IS 'How long the oldest ready one has been due.';

CREATE TABLE tradeflow.rule_versions (
    rule text NOT NULL,
    version integer NOT NULL,
    definition jsonb NOT NULL,
    written_by name NOT NULL,
    written_at timestamp with time zone NOT NULL,
    replaced_by name DEFAULT CURRENT_USER NOT NULL,
    replaced_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.rule_versions IS 'Every earlier definition of a rule, with who and when. Kept when the rule is deleted.';

COMMENT ON COLUMN tradeflow.rule_versions.rule IS 'Name of the rule; no foreign key, so that the history outlives it.';

COMMENT ON COLUMN tradeflow.rule_versions.version IS 'The version that this definition was.';

COMMENT ON COLUMN tradeflow.rule_versions.definition IS 'The row of rules as it was.';

COMMENT ON COLUMN tradeflow.rule_versions.written_by IS 'Who wrote that definition.';

COMMENT ON COLUMN tradeflow.rule_versions.written_at IS 'When it was written.';

COMMENT ON COLUMN tradeflow.rule_versions.replaced_by IS 'Who replaced or deleted it.';

COMMENT ON COLUMN tradeflow.rule_versions.replaced_at IS 'When it was replaced or deleted.';

CREATE TABLE tradeflow.settings (
    name text NOT NULL,
    value text NOT NULL,
    description text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT settings_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.]*$'::text))
);

COMMENT ON TABLE tradeflow.settings IS 'Named values that rules read with tradeflow.setting(name) and templates as settings.name. Not for secrets.';

COMMENT ON COLUMN tradeflow.settings.name IS 'Letters, digits, underscore and dot; starts with a letter or underscore.';

COMMENT ON COLUMN tradeflow.settings.value IS 'Always text; a rule casts it: tradeflow.setting(''max_discount'')::numeric.';

COMMENT ON COLUMN tradeflow.settings.description IS 'For people: what the value decides and in which unit.';

COMMENT ON COLUMN tradeflow.settings.updated_at IS 'When the value was last written.';

CREATE TABLE tradeflow.targets (
    name text NOT NULL,
    system text NOT NULL,
    base_url text NOT NULL,
    secret text,
    username text,
    auth text DEFAULT 'none'::text NOT NULL,
    sender text,
    signing_secret text,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    allow_private boolean DEFAULT false NOT NULL,
    timeout interval DEFAULT '00:00:30'::interval NOT NULL,
    description text,
    CONSTRAINT targets_auth_check CHECK ((auth ~ '^(none|bearer|basic|header:[A-Za-z0-9-]+)$'::text)),
    CONSTRAINT targets_base_url_check CHECK ((base_url !~ '^[a-z]+://[^/]*@'::text)),
    CONSTRAINT targets_check CHECK (
CASE system
    WHEN 'smtp'::text THEN (base_url ~ '^smtps?://'::text)
    ELSE (base_url ~ '^https?://'::text)
END),
    CONSTRAINT targets_check1 CHECK (((system = 'http'::text) OR (auth = ANY (ARRAY['none'::text, 'basic'::text])))),
    CONSTRAINT targets_headers_check CHECK ((jsonb_typeof(headers) = 'object'::text)),
    CONSTRAINT targets_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text)),
    CONSTRAINT targets_secret_check CHECK ((secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'::text)),
    CONSTRAINT targets_signing_secret_check CHECK ((signing_secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'::text)),
    CONSTRAINT targets_system_check CHECK ((system = ANY (ARRAY['smtp'::text, 'http'::text]))),
    CONSTRAINT targets_timeout_check CHECK ((timeout > '00:00:00'::interval))
);

COMMENT ON TABLE tradeflow.targets IS 'A row is a destination of actions. Secrets are named here, never held: the sidecar reads them.';

COMMENT ON COLUMN tradeflow.targets.name IS 'What actions.target says.';

COMMENT ON COLUMN tradeflow.targets.system IS 'smtp or http.';

COMMENT ON COLUMN tradeflow.targets.base_url IS 'http(s)://host/path: requests go nowhere else. smtp://host:port (plain), smtp://host:port?tls=starttls (required), smtps://host:port. Without user or password.';

COMMENT ON COLUMN tradeflow.targets.secret IS 'Where the password or token is: env:NAME or file:/path.';

COMMENT ON COLUMN tradeflow.targets.username IS 'User name for auth basic.';

COMMENT ON COLUMN tradeflow.targets.auth IS 'none, bearer, basic, or header:<Name> (the secret is that header''s value).';

COMMENT ON COLUMN tradeflow.targets.sender IS 'Sender of mails: "Name <address>".';

COMMENT ON COLUMN tradeflow.targets.signing_secret IS 'Where the Standard Webhooks secret is; requests are signed with it.';

COMMENT ON COLUMN tradeflow.targets.headers IS 'Headers of every request. Not for secrets.';

COMMENT ON COLUMN tradeflow.targets.allow_private IS 'Whether the host may be a private or loopback address.';

COMMENT ON COLUMN tradeflow.targets.timeout IS 'How long one execution may take.';

COMMENT ON COLUMN tradeflow.targets.description IS 'For people.';

CREATE TABLE tradeflow.templates (
    name text NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text,
    description text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT templates_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text))
);

COMMENT ON TABLE tradeflow.templates IS 'Mail templates (Jinja): rendered over facts, steps, settings and rule.';

COMMENT ON COLUMN tradeflow.templates.name IS 'What the parameter template of an email action says.';

COMMENT ON COLUMN tradeflow.templates.subject IS 'Template of the subject line.';

COMMENT ON COLUMN tradeflow.templates.text IS 'Template of the plain text.';

COMMENT ON COLUMN tradeflow.templates.html IS 'Template of the HTML part; values are escaped. NULL: text only.';

COMMENT ON COLUMN tradeflow.templates.description IS 'For people.';

COMMENT ON COLUMN tradeflow.templates.updated_at IS 'When it was last written.';

CREATE TABLE tradeflow.watched_tables (
    name text NOT NULL,
    key text[] NOT NULL,
    ignore text[] DEFAULT '{}'::text[] NOT NULL,
    watched_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT watched_tables_key_check CHECK ((cardinality(key) > 0))
);

COMMENT ON TABLE tradeflow.watched_tables IS 'A row is a table whose changes are evaluated. Written by tradeflow.watch() and tradeflow.unwatch().';

COMMENT ON COLUMN tradeflow.watched_tables.name IS 'Schema and table, as format(''%I.%I'') writes them. Tables are known by name: tools that reload by swapping tables keep it.';

COMMENT ON COLUMN tradeflow.watched_tables.key IS 'The columns that identify a row. One column: its text is the subject of a firing; several: their text array.';

COMMENT ON COLUMN tradeflow.watched_tables.ignore IS 'Columns whose change alone is no change: synced_at, the raw payload.';

COMMENT ON COLUMN tradeflow.watched_tables.watched_at IS 'When the table was watched first.';

ALTER TABLE ONLY tradeflow.outbox_history ATTACH PARTITION tradeflow.outbox_history_default DEFAULT;

ALTER TABLE ONLY tradeflow.action_kinds
    ADD CONSTRAINT action_kinds_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_pkey PRIMARY KEY (rule, edge, step);

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_rule_edge_name_key UNIQUE (rule, edge, name);

ALTER TABLE ONLY tradeflow.clock
    ADD CONSTRAINT clock_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY tradeflow.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY tradeflow.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.rule_versions
    ADD CONSTRAINT rule_versions_pkey PRIMARY KEY (rule, version);

ALTER TABLE ONLY tradeflow.rules
    ADD CONSTRAINT rules_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.targets
    ADD CONSTRAINT targets_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.watched_tables
    ADD CONSTRAINT watched_tables_pkey PRIMARY KEY (name);

CREATE INDEX incidents_open ON tradeflow.incidents USING btree (rule, kind) WHERE (acked_at IS NULL);

CREATE INDEX outbox_history_default_firing_id_idx ON tradeflow.outbox_history_default USING btree (firing_id);

CREATE INDEX outbox_history_default_id_idx ON tradeflow.outbox_history_default USING btree (id);

CREATE INDEX outbox_history_default_rule_subject_idx ON tradeflow.outbox_history_default USING btree (rule, subject);

CREATE INDEX outbox_lane ON tradeflow.outbox USING btree (lane, id) WHERE (state = ANY (ARRAY['ready'::text, 'running'::text]));

CREATE INDEX outbox_lease ON tradeflow.outbox USING btree (lease_until) WHERE (state = 'running'::text);

CREATE INDEX outbox_ready ON tradeflow.outbox USING btree (run_at, id) WHERE (state = 'ready'::text);

CREATE INDEX outbox_resting ON tradeflow.outbox USING btree (state, created_at) WHERE (state <> ALL (ARRAY['ready'::text, 'waiting'::text, 'running'::text]));

CREATE INDEX outbox_timer ON tradeflow.outbox USING btree (rule, subject) WHERE (state = 'waiting'::text);

CREATE INDEX outbox_timer_key ON tradeflow.outbox USING btree (rule, key) WHERE (state = 'waiting'::text);

CREATE INDEX outbox_waiting ON tradeflow.outbox USING btree (run_at) WHERE (state = 'waiting'::text);

CREATE INDEX rules_source ON tradeflow.rules USING btree (source);

CREATE TRIGGER actions_after_write AFTER INSERT OR DELETE OR UPDATE ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._actions_after_write();

CREATE TRIGGER actions_check BEFORE INSERT OR DELETE OR UPDATE ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._actions_before_write();

CREATE TRIGGER clock_after_write AFTER INSERT OR DELETE OR UPDATE ON tradeflow.clock FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._clock_after_write();

CREATE TRIGGER installation_replace BEFORE INSERT ON tradeflow.installation FOR EACH ROW EXECUTE FUNCTION tradeflow._installation_replace();

CREATE TRIGGER rules_a_search_path BEFORE INSERT OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_search_path();

CREATE TRIGGER rules_b_check BEFORE INSERT OR DELETE OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_before_write();

CREATE TRIGGER rules_c_after AFTER INSERT OR DELETE OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_after_write();

CREATE TRIGGER settings_after_update AFTER UPDATE ON tradeflow.settings FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION tradeflow._settings_after_write();

CREATE TRIGGER settings_after_write AFTER INSERT OR DELETE ON tradeflow.settings FOR EACH ROW EXECUTE FUNCTION tradeflow._settings_after_write();

CREATE TRIGGER settings_before_update BEFORE UPDATE ON tradeflow.settings FOR EACH ROW WHEN ((old.value IS DISTINCT FROM new.value)) EXECUTE FUNCTION tradeflow._settings_before_update();

CREATE TRIGGER targets_after_write AFTER INSERT OR DELETE OR UPDATE OF name ON tradeflow.targets FOR EACH ROW EXECUTE FUNCTION tradeflow._targets_after_write();

CREATE TRIGGER templates_check BEFORE INSERT OR UPDATE ON tradeflow.templates FOR EACH ROW EXECUTE FUNCTION tradeflow._templates_before_write();

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.rules
    ADD CONSTRAINT rules_source_fkey FOREIGN KEY (source) REFERENCES tradeflow.watched_tables(name) ON UPDATE CASCADE;

REVOKE ALL ON FUNCTION tradeflow._actions_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._actions_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._archive(ids bigint[], state text, reason text, results jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._backoff(attempt integer) FROM PUBLIC;

GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._check_params(params jsonb, path text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_params(params jsonb, path text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_template(source text, name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_template(source text, name text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._clock_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) TO tradeflow_author;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.rules TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rules TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.rules TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._compiles(r tradeflow.rules) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text, sqlstate text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._installation_replace() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._invalidate(source regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._invalidate(source regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._make_ready(ids bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._merge_incidents() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._next_step(ids bigint[], outcomes jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._partitions() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._qualified_name(rel regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._qualified_name(rel regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._require_member(owner name, rule text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._require_member(owner name, rule text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._rescue() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._revalidate(mentions text[], what text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rule_missing(r tradeflow.rules) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._rule_missing(r tradeflow.rules) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._rules_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_search_path() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settings_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settings_before_update() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._targets_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._templates_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._wake_timers() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow.ack(incident bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.ack(incident bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.cancel(ids bigint[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.cancel(ids bigint[], reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.cancel(id bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.cancel(id bigint, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[]) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.release_held(rule text, ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.release_held(rule text, ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.retry(ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.retry(ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.retry(id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.retry(id bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.set_clock(at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.set_clock(at timestamp with time zone) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.setting(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.started(id bigint, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.started(id bigint, attempt integer) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.tick() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.tick() TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.tick() TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.unwatch("table" regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.unwatch("table" regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[]) TO tradeflow_author;

GRANT SELECT ON TABLE tradeflow.action_kinds TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.action_kinds TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.action_kinds TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.actions TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.actions TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.actions TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.clock TO PUBLIC;
GRANT SELECT ON TABLE tradeflow.clock TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.clock TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.clock TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.outbox_history TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.outbox_history TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.firings TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.firings TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.installation TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.outbox_history_default TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.rule_versions TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rule_versions TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.settings TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.settings TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.settings TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.targets TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.targets TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.targets TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.templates TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.templates TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.templates TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.watched_tables TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.watched_tables TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.watched_tables TO tradeflow_operator;

-- PostgreSQL database dump complete

