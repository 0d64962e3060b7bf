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

CREATE FUNCTION tradeflow._action_kinds_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  problem text := tradeflow._check_schema(new.params, 'params');
begin
  if problem is not null then
    raise exception 'kind "%": %', new.name, problem
      using errcode = 'invalid_parameter_value', hint = 'params is the JSON Schema of the kind''s parameters: {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._action_kinds_before_write() IS 'Internal. Refuses a schema that would not be obeyed. Errors: 22023.';

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
  perform tradeflow._invalidate(to_regclass(coalesce(the_rule.source, the_rule.view)));
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._actions_after_write() IS 'Internal. Has the rule compiled again with its actions.';

CREATE FUNCTION tradeflow._actions_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  kind     tradeflow.action_kinds;
  problem  text;
  the_rule tradeflow.rules;
  its_system text;
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
  -- when is every kind's: whether the step is wanted at all.
  problem := coalesce(tradeflow._check_value(new.params - 'when', kind.params, 'params'),
                      case when new.params ? 'when' then tradeflow._check_value(
                        new.params -> 'when', '{"type": ["boolean", "string"], "pattern": "^(true|false)$"}', 'params.when') end);
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'invalid_parameter_value',
            hint = coalesce(format('kind "%s" looks like this: ', kind.name) || (kind.params -> 'examples' -> 0)::text, format('see action_kinds.params of kind "%s"', kind.name));
  end if;
  -- A target that is not there yet makes the rule invalid until it comes; one of another system will never do.
  select t.system into its_system from tradeflow.targets t where t.name = new.target;
  if kind.system = 'none' and new.target is not null then
    raise exception 'action % of rule "%": kind "%" has no target', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value', hint = 'leave target NULL.';
  elsif kind.system <> 'none' and new.target is null then
    raise exception 'action % of rule "%": kind "%" needs a target of system %', new.step, new.rule, new.kind, kind.system
      using errcode = 'invalid_parameter_value', hint = tradeflow._targets_of(kind.system);
  elsif its_system is not null and kind.system is not null and its_system <> kind.system then
    raise exception 'action % of rule "%": target "%" is of system %, but kind "%" needs one of system %', new.step, new.rule, new.target, its_system, new.kind, kind.system
      using errcode = 'invalid_parameter_value',
            hint = tradeflow._targets_of(kind.system);
  end if;
  problem := tradeflow._check_params(new.params, 'params');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'Strings of params are Jinja templates: {{ facts.quote_number }}.';
  end if;
  problem := tradeflow._check_template(new.lane, 'lane');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'lane is a Jinja template: company {{ facts.company_id }}.';
  end if;
  return new;
end
$_$;

COMMENT ON FUNCTION tradeflow._actions_before_write() IS 'Internal. Checks kind, target, parameters and templates of an action. Errors: 22023 unknown kind or parameter, no target or one of another system, 42601 a string that is no template, 42501 no member of the rule''s owner.';

CREATE FUNCTION tradeflow._actions_valid() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION tradeflow._actions_valid() IS 'Internal. Errors: 23514 for a value that an action cannot have.';

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE tradeflow.target_states (
    target text NOT NULL,
    tokens double precision,
    refilled_at timestamp with time zone,
    running integer DEFAULT 0 NOT NULL,
    breaker text DEFAULT 'closed'::text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    opened_at timestamp with time zone,
    retry_at timestamp with time zone,
    throttled_until timestamp with time zone,
    last_error text,
    last_failed_at timestamp with time zone,
    CONSTRAINT target_states_breaker_check CHECK ((breaker = ANY (ARRAY['closed'::text, 'open'::text, 'half_open'::text]))),
    CONSTRAINT target_states_running_check CHECK ((running >= 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='200');

COMMENT ON TABLE tradeflow.target_states IS 'A row for each target: its token bucket, circuit breaker and last failure. Written by claim, complete, fail and tick under the row''s lock, so the limits hold for all sidecars together; not dumped.';

COMMENT ON COLUMN tradeflow.target_states.target IS 'The target.';

COMMENT ON COLUMN tradeflow.target_states.tokens IS 'Executions the bucket allowed at refilled_at. NULL: it is full.';

COMMENT ON COLUMN tradeflow.target_states.refilled_at IS 'When tokens was computed.';

COMMENT ON COLUMN tradeflow.target_states.running IS 'How many executions are under way; counted only while the target has a concurrency limit.';

COMMENT ON COLUMN tradeflow.target_states.breaker IS 'closed: it is used. open: not before retry_at. half_open: one execution tries, and its outcome decides.';

COMMENT ON COLUMN tradeflow.target_states.failures IS 'Transient failures in a row.';

COMMENT ON COLUMN tradeflow.target_states.opened_at IS 'Since when the breaker is not closed. NULL: it is closed.';

COMMENT ON COLUMN tradeflow.target_states.retry_at IS 'When an open breaker lets one execution try; half-open: when it lets another, should the first never be heard of again.';

COMMENT ON COLUMN tradeflow.target_states.throttled_until IS 'The destination asked not to be called before (Retry-After). NULL: it did not.';

COMMENT ON COLUMN tradeflow.target_states.last_error IS 'The last transient failure or throttling, in its words.';

COMMENT ON COLUMN tradeflow.target_states.last_failed_at IS 'When that was.';

CREATE TABLE tradeflow.targets (
    name text NOT NULL,
    system text NOT NULL,
    base_url text NOT NULL,
    secret text,
    username text,
    auth text DEFAULT 'none'::text NOT NULL,
    sender text,
    signing_secret text,
    token_url text,
    scope text,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    allow_private boolean DEFAULT false NOT NULL,
    timeout interval DEFAULT '00:00:30'::interval NOT NULL,
    rate_limit integer,
    rate_period interval DEFAULT '00:00:01'::interval NOT NULL,
    burst integer,
    concurrency integer,
    breaker_failures integer DEFAULT 10 NOT NULL,
    breaker_cooldown interval DEFAULT '00:00:30'::interval NOT NULL,
    paused_at timestamp with time zone,
    paused_reason text,
    description text,
    CONSTRAINT targets_auth_check CHECK ((auth ~ '^(none|bearer|basic|oauth2|header:[A-Za-z0-9-]+)$'::text)),
    CONSTRAINT targets_base_url_check CHECK ((base_url !~ '^[a-z]+://[^/]*@'::text)),
    CONSTRAINT targets_breaker_cooldown_check CHECK ((breaker_cooldown > '00:00:00'::interval)),
    CONSTRAINT targets_breaker_failures_check CHECK ((breaker_failures >= 0)),
    CONSTRAINT targets_burst_check CHECK ((burst > 0)),
    CONSTRAINT targets_check CHECK (
CASE system
    WHEN 'smtp'::text THEN (base_url ~ '^smtps?://'::text)
    ELSE (base_url ~ '^https?://'::text)
END),
    CONSTRAINT targets_check1 CHECK (((system = 'http'::text) OR (auth = ANY (ARRAY['none'::text, 'basic'::text])))),
    CONSTRAINT targets_concurrency_check CHECK ((concurrency > 0)),
    CONSTRAINT targets_headers_check CHECK ((jsonb_typeof(headers) = 'object'::text)),
    CONSTRAINT targets_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text)),
    CONSTRAINT targets_rate_limit_check CHECK ((rate_limit > 0)),
    CONSTRAINT targets_rate_period_check CHECK ((rate_period > '00:00:00'::interval)),
    CONSTRAINT targets_secret_check CHECK ((secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'::text)),
    CONSTRAINT targets_signing_secret_check CHECK ((signing_secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'::text)),
    CONSTRAINT targets_system_check CHECK ((system = ANY (ARRAY['smtp'::text, 'http'::text, 'bigcommerce'::text, 'hubspot'::text, 'google'::text]))),
    CONSTRAINT targets_timeout_check CHECK ((timeout > '00:00:00'::interval)),
    CONSTRAINT targets_token_url_check CHECK (((token_url ~ '^https?://'::text) AND (token_url !~ '^[a-z]+://[^/]*@'::text)))
);

COMMENT ON TABLE tradeflow.targets IS 'A row is a destination of actions. Secrets are named here, never held: the sidecar reads them.';

COMMENT ON COLUMN tradeflow.targets.name IS 'What actions.target says.';

COMMENT ON COLUMN tradeflow.targets.system IS 'smtp, http, bigcommerce, hubspot or google.';

COMMENT ON COLUMN tradeflow.targets.base_url IS 'http(s)://host/path: requests go nowhere else. smtp://host:port (plain), smtp://host:port?tls=starttls (required), smtps://host:port. Without user or password.';

COMMENT ON COLUMN tradeflow.targets.secret IS 'Where the password or token is: env:NAME or file:/path.';

COMMENT ON COLUMN tradeflow.targets.username IS 'User name for auth basic; the client''s id for oauth2.';

COMMENT ON COLUMN tradeflow.targets.auth IS 'none, bearer, basic, oauth2 (client credentials: username is the client''s id, secret its secret), or header:<Name> (the secret is that header''s value). The vendors'' systems have ways of their own: leave it none.';

COMMENT ON COLUMN tradeflow.targets.sender IS 'Sender of mails: "Name <address>".';

COMMENT ON COLUMN tradeflow.targets.signing_secret IS 'Where the Standard Webhooks secret is; requests are signed with it.';

COMMENT ON COLUMN tradeflow.targets.token_url IS 'Where tokens are fetched for auth oauth2.';

COMMENT ON COLUMN tradeflow.targets.scope IS 'The scope to ask for with auth oauth2.';

COMMENT ON COLUMN tradeflow.targets.headers IS 'Headers of every request. Not for secrets.';

COMMENT ON COLUMN tradeflow.targets.allow_private IS 'Whether the host may be a private or loopback address.';

COMMENT ON COLUMN tradeflow.targets.timeout IS 'How long one execution may take.';

COMMENT ON COLUMN tradeflow.targets.rate_limit IS 'At most so many executions per rate_period, all sidecars together: a token bucket. NULL: no limit.';

COMMENT ON COLUMN tradeflow.targets.rate_period IS 'The time that rate_limit is about.';

COMMENT ON COLUMN tradeflow.targets.burst IS 'Tokens the bucket holds: how many executions may come at once after a quiet time. NULL: as many as rate_limit.';

COMMENT ON COLUMN tradeflow.targets.concurrency IS 'At most so many executions at the same time, all sidecars together. NULL: no limit.';

COMMENT ON COLUMN tradeflow.targets.breaker_failures IS 'So many transient failures in a row open the circuit breaker: nothing is sent until breaker_cooldown has passed, then one execution tries. 0: there is no breaker.';

COMMENT ON COLUMN tradeflow.targets.breaker_cooldown IS 'How long an open breaker lets nothing through.';

COMMENT ON COLUMN tradeflow.targets.paused_at IS 'Since when nothing is sent there; see tradeflow.pause_target(). NULL: it is not paused.';

COMMENT ON COLUMN tradeflow.targets.paused_reason IS 'Why it was paused.';

COMMENT ON COLUMN tradeflow.targets.description IS 'For people.';

CREATE FUNCTION tradeflow._admits(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return case
    when s.throttled_until > now then 0
    -- Whether it works again is for one execution to find out.
    when s.breaker <> 'closed' and t.breaker_failures > 0 then case when s.retry_at > now then 0 else 1 end
    else greatest(0, least(10000, t.concurrency - s.running, floor(tradeflow._tokens(t, s, now))))::int
  end;
end
$$;

COMMENT ON FUNCTION tradeflow._admits(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) IS 'Internal. How many executions a target admits at this time.';

CREATE FUNCTION tradeflow._answered(targets text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- Nearly always none is: then there is nothing to count.
  if not exists (
    select from tradeflow.target_states s join tradeflow.targets t on t.name = s.target
    where s.failures > 0 or s.breaker <> 'closed' or t.concurrency is not null)
  then
    return;
  end if;
  update tradeflow.target_states s
  set running = case when t.concurrency is not null then greatest(s.running - d.n, 0) else 0 end,
      breaker = 'closed', failures = 0, opened_at = null, retry_at = null
  from (select u.target, count(*)::int as n from unnest(_answered.targets) u(target) where u.target is not null group by u.target) d
  join tradeflow.targets t on t.name = d.target
  where s.target = t.name and (s.failures > 0 or s.breaker <> 'closed' or t.concurrency is not null);
end
$$;

COMMENT ON FUNCTION tradeflow._answered(targets text[]) IS 'Internal. Notes that executions at these targets were successful: one element each.';

CREATE FUNCTION tradeflow._archive(ids bigint[], state text, reason text DEFAULT NULL::text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return (select coalesce(cardinality(f.ids), 0) from tradeflow._finish(ids, state, reason) f);
end
$$;

COMMENT ON FUNCTION tradeflow._archive(ids bigint[], state text, reason text) IS 'Internal. Moves actions to the history. Returns how many.';

CREATE FUNCTION tradeflow._as_written(name text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
  select coalesce(
    (select pg_catalog.format('%I.%I', n.nspname, c.relname)
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = pg_catalog.to_regclass(name)), name)
$$;

COMMENT ON FUNCTION tradeflow._as_written(name text) IS 'Internal. The qualified name of what a name means to the current user now.';

CREATE FUNCTION tradeflow._ask_again(id bigint) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'on'
    SET enable_hashjoin TO 'on'
    SET enable_mergejoin TO 'on'
    SET plan_cache_mode TO 'auto'
    AS $$
declare
  o      tradeflow.outbox;
  fresh  jsonb;
begin
  select * into o from tradeflow.outbox x where x.id = _ask_again.id;
  begin
    if o.event = 'view' then
      -- What the view says is in members, since the end of the transaction that changed it.
      select o.facts into fresh from tradeflow.members m
      where m.rule = o.rule and m.subject = o.subject and m.occurrence = o.occurrence and m.entered_at is not null;
    else
      fresh := tradeflow._still(o.rule, o.key, o.subject, o.occurrence);
    end if;
  exception when others then
    update tradeflow.outbox x
    set state = 'held', reason = 'its question could not be asked again', error = sqlerrm, worker = null, lease_until = null
    where x.id = o.id;
    perform tradeflow._incident('timer_error', o, format('rule "%s" for %s, before an execution: %s', o.rule, o.subject, sqlerrm),
                                format('mend the rule, then select tradeflow.retry(%s);', o.id), sqlstate);
    perform tradeflow._lanes_freed(array[o.lane]);
    return null;
  end;
  if fresh is null then
    perform tradeflow._archive(array[o.id], 'cancelled', 'no longer holds before execution');
  else
    update tradeflow.outbox x set facts = fresh where x.id = o.id;
  end if;
  return fresh;
end
$$;

COMMENT ON FUNCTION tradeflow._ask_again(id bigint) IS 'Internal. The fresh facts of an action with recheck; NULL when the answer is no (it is cancelled then) or could not be had (held).';

CREATE FUNCTION tradeflow._ask_parts(definition text, source regclass, parts text[], old jsonb, new jsonb, at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS text
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_ask_parts';

COMMENT ON FUNCTION tradeflow._ask_parts(definition text, source regclass, parts text[], old jsonb, new jsonb, at timestamp with time zone) IS 'Internal. Evaluates parts of a condition over a row given as JSON, as the definition''s owner, at this time (NULL: now): a JSON array of {part, value, reads_old, error}.';

CREATE FUNCTION tradeflow._backfill(rule text, "where" text, "limit" integer, mode text) RETURNS integer
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_backfill';

COMMENT ON FUNCTION tradeflow._backfill(rule text, "where" text, "limit" integer, mode text) IS 'Internal. What tradeflow.backfill() does.';

CREATE FUNCTION tradeflow._backoff(attempt integer) RETURNS interval
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select random() * least(interval '10 minutes', interval '1 second' * 2 ^ least(attempt, 20)) $$;

COMMENT ON FUNCTION tradeflow._backoff(attempt integer) IS 'Internal. How long to wait after this attempt.';

CREATE TABLE tradeflow.rules (
    name text NOT NULL,
    source text,
    view text,
    schedule text,
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
    max_per_subject integer DEFAULT 20 NOT NULL,
    owner name DEFAULT CURRENT_USER NOT NULL,
    search_path text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    invalid text,
    paused_at timestamp with time zone,
    paused_reason text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_by name DEFAULT CURRENT_USER NOT NULL,
    CONSTRAINT rules_check CHECK ((num_nonnulls(source, view, schedule) = 1)),
    CONSTRAINT rules_check1 CHECK (((view IS NULL) OR (num_nonnulls(condition, still, query, fire_at, columns) = 0))),
    CONSTRAINT rules_check2 CHECK (((schedule IS NULL) OR ((query IS NOT NULL) AND (num_nonnulls(condition, still, fire_at, columns) = 0)))),
    CONSTRAINT rules_columns_check CHECK ((cardinality(columns) > 0)),
    CONSTRAINT rules_events_check CHECK (((cardinality(events) > 0) AND (events <@ '{insert,update,delete}'::text[]))),
    CONSTRAINT rules_fires_check CHECK ((fires = ANY (ARRAY['enter'::text, 'always'::text, 'once'::text]))),
    CONSTRAINT rules_max_firings_check CHECK ((max_firings > 0)),
    CONSTRAINT rules_max_per_subject_check CHECK ((max_per_subject > 0)),
    CONSTRAINT rules_mode_check CHECK ((mode = ANY (ARRAY['live'::text, 'shadow'::text, 'off'::text]))),
    CONSTRAINT rules_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text)),
    CONSTRAINT rules_version_check CHECK ((version > 0))
);

COMMENT ON TABLE tradeflow.rules IS 'A row is a named question about a changed row. Writing one compiles it; a bad one is rejected with the position of the error.';

COMMENT ON COLUMN tradeflow.rules.name IS 'Unique; letters, digits, underscore, dot, hyphen; at most 63.';

COMMENT ON COLUMN tradeflow.rules.source IS 'The watched table whose changes are asked about.';

COMMENT ON COLUMN tradeflow.rules.view IS 'Instead of source: a view whose rows are the subjects for which the answer is yes. Columns: subject; occurrence, fire_at, recheck_at if it has them; the others are the facts. See rule_inputs.';

COMMENT ON COLUMN tradeflow.rules.schedule IS 'Instead of source: when query is run, as cron with an optional time zone: 0 9 * * 1-5 Europe/Berlin. Each row it returns is a firing.';

COMMENT ON COLUMN tradeflow.rules.events IS 'insert, update (default both), delete.';

COMMENT ON COLUMN tradeflow.rules.condition IS 'SQL boolean over new and old. Old is all NULL on insert, new on delete. No subqueries (use query), no volatile functions. NULL: every change.';

COMMENT ON COLUMN tradeflow.rules.fires IS 'enter (default): it holds for new and did not hold before; always (default without condition): at every real change while it holds. A condition that mentions old is its own edge. once: at the first answer ever about a subject, remembered in members.';

COMMENT ON COLUMN tradeflow.rules.still IS 'Asked instead of condition when a timer is due; over new alone.';

COMMENT ON COLUMN tradeflow.rules.columns IS 'On update, look only when one of these columns changed. NULL: any column.';

COMMENT ON COLUMN tradeflow.rules.query IS 'A SELECT, may mention new and old; run for all rows of the statement that passed the condition at once. Each row it returns is one firing, its columns are the facts; columns named subject, occurrence and fire_at mean these.';

COMMENT ON COLUMN tradeflow.rules.fire_at IS 'Expression over new (and old): when the firing is due, timestamptz. NULL, or a NULL value: now.';

COMMENT ON COLUMN tradeflow.rules.mode IS 'live; shadow: firings are recorded and never executed; off: not evaluated, what waits is cancelled.';

COMMENT ON COLUMN tradeflow.rules.project IS 'The project whose files define the rule: the scope of apply --prune.';

COMMENT ON COLUMN tradeflow.rules.description IS 'For people: what the rule is for.';

COMMENT ON COLUMN tradeflow.rules.max_firings IS 'More firings than this from one statement are held, all of them, with an incident.';

COMMENT ON COLUMN tradeflow.rules.max_per_subject IS 'More firings than this about one subject within an hour are held, with an incident: a loop.';

COMMENT ON COLUMN tradeflow.rules.owner IS 'The role as which condition and query run. Default: who writes the rule; only members of the role may set it.';

COMMENT ON COLUMN tradeflow.rules.search_path IS 'The path its names are looked up in, always: the writer''s own at the time, unless given.';

COMMENT ON COLUMN tradeflow.rules.version IS 'Counts the definitions; earlier ones are in rule_versions.';

COMMENT ON COLUMN tradeflow.rules.invalid IS 'Why the rule is stored but not evaluated: a setting or target is missing, or something it needs was dropped. NULL: it works.';

COMMENT ON COLUMN tradeflow.rules.paused_at IS 'Since when the rule is not asked because it failed too often; see tradeflow.resume(rule). NULL: it is asked.';

COMMENT ON COLUMN tradeflow.rules.paused_reason IS 'Why it was paused.';

COMMENT ON COLUMN tradeflow.rules.updated_at IS 'When this definition was written.';

COMMENT ON COLUMN tradeflow.rules.updated_by IS 'Who wrote this definition.';

CREATE FUNCTION tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamp with time zone, until timestamp with time zone) RETURNS TABLE(difference text, changed_at timestamp with time zone, event text, edge text, subject text, occurrence text, fire_at timestamp with time zone, facts jsonb, firing_id bigint, error text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  r        tradeflow.rules;
  rel      regclass;
  unknown  text;
  logged   timestamptz;
begin
  select k into unknown from jsonb_object_keys(draft) k
  where not exists (select from pg_attribute a where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and a.attname = k)
  limit 1;
  if found then
    raise exception 'a rule has no "%"', unknown
      using errcode = 'undefined_column', hint = 'A draft has the columns of tradeflow.rules: {"source": "store.quotes", "condition": "…"}.';
  end if;
  r := jsonb_populate_record(stored, draft);
  if r.source is null or r.view is not null or r.schedule is not null then
    raise exception 'rule "%" is not about the changes of a table', coalesce(r.name, 'draft')
      using errcode = 'feature_not_supported', hint = 'A backtest replays the logged changes of one table: it needs a source.';
  end if;
  rel := to_regclass(r.source);
  if rel is null then
    raise exception 'table "%" does not exist', r.source using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  end if;
  r.source := tradeflow._qualified_name(rel);
  select w.logged_since into logged from tradeflow.watched_tables w where w.name = r.source;
  if logged is null then
    raise exception 'the changes of % are not logged', r.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L, log => true); and come back when there is something to replay.', r.source);
  end if;
  r.name := coalesce(r.name, 'draft');
  r.events := coalesce(r.events, '{insert,update}');
  r.fires := case when r.condition is null then 'always' else coalesce(r.fires, 'enter') end;
  r.max_firings := coalesce(r.max_firings, 1000);

  return query
  with answers as materialized (
    select * from tradeflow._replay(tradeflow._definition(r), rel, r.source, since, until)
  ), replayed as (
    select a.*, row_number() over (partition by a.changed_at, a.edge, a.subject, a.occurrence order by a.log_id) as n
    from (select x.*, row_number() over (partition by x.edge, x.subject, x.occurrence order by x.log_id) as nth from answers x where x.error is null) a
    -- The first answer ever: nothing before what is replayed.
    where r.fires <> 'once'
       or (a.nth = 1 and not exists (select from tradeflow.firings f where f.rule = r.name and f.subject = a.subject and f.occurrence = a.occurrence
                                     and f.edge = a.edge and f.created_at < greatest(since, logged)))
  ), fired as (
    select f.firing_id, f.created_at, f.event, f.edge, f.subject, f.occurrence, f.facts,
           row_number() over (partition by f.created_at, f.edge, f.subject, f.occurrence order by f.firing_id) as n
    from tradeflow.firings f
    where f.rule = r.name and f.event in ('insert', 'update', 'delete')
      and f.created_at >= greatest(since, logged) and f.created_at < coalesce(until, 'infinity')
  )
  select case when f.firing_id is null then 'added' when a.log_id is null then 'missing' else 'same' end,
         coalesce(a.changed_at, f.created_at), coalesce(a.event, f.event), coalesce(a.edge, f.edge), coalesce(a.subject, f.subject),
         coalesce(a.occurrence, f.occurrence), a.fire_at, coalesce(a.facts, f.facts), f.firing_id, null::text
  from replayed a
  full join fired f on (f.created_at, f.edge, f.subject, f.occurrence, f.n) = (a.changed_at, a.edge, a.subject, a.occurrence, a.n)
  union all
  select 'error', null, null, null, e.subject, null, null, null, null, e.error from answers e where e.error is not null
  order by 2, 5, 6;
end
$$;

COMMENT ON FUNCTION tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamp with time zone, until timestamp with time zone) IS 'Internal. A backtest of a draft laid over a stored rule.';

CREATE FUNCTION tradeflow._before_simulation(OUT firing bigint, OUT incident bigint) RETURNS record
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select (select case when is_called then last_value else 0 end from tradeflow.firing_id),
         (select case when is_called then last_value else 0 end from tradeflow.incidents_id_seq)
$$;

COMMENT ON FUNCTION tradeflow._before_simulation(OUT firing bigint, OUT incident bigint) IS 'Internal. The last numbers given so far.';

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
    kind text COLLATE pg_catalog."C",
    target text COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    parked text,
    blocking boolean DEFAULT false NOT NULL,
    continued boolean DEFAULT false NOT NULL,
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
    traceparent text,
    CONSTRAINT outbox_event_check CHECK ((event = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text, 'view'::text, 'schedule'::text, 'backfill'::text]))),
    CONSTRAINT outbox_parked_check CHECK ((parked = ANY (ARRAY['lane'::text, 'rule'::text]))),
    CONSTRAINT outbox_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'waiting'::text, 'running'::text, 'done'::text, 'dead'::text, 'held'::text, 'cancelled'::text, 'uncertain'::text, 'shadow'::text])))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0.0', autovacuum_vacuum_insert_threshold='10000', autovacuum_analyze_scale_factor='0.0', autovacuum_analyze_threshold='2000', autovacuum_vacuum_cost_delay='0');

COMMENT ON TABLE tradeflow.outbox IS 'A row is one action of a firing, waiting or running. Rows of one firing share firing_id. Written by rules and the functions claim, started, complete, fail, extend, cancel, retry, tick; never directly.';

COMMENT ON COLUMN tradeflow.outbox.id IS 'Identifies the action; the idempotency key is made of it.';

COMMENT ON COLUMN tradeflow.outbox.firing_id IS 'The firing it belongs to.';

COMMENT ON COLUMN tradeflow.outbox.rule IS 'The rule that fired.';

COMMENT ON COLUMN tradeflow.outbox.rule_version IS 'The version of the rule that fired.';

COMMENT ON COLUMN tradeflow.outbox.source IS 'The table whose row changed.';

COMMENT ON COLUMN tradeflow.outbox.event IS 'insert, update, delete; view, schedule, backfill for what such rules or calls fired.';

COMMENT ON COLUMN tradeflow.outbox.subject IS 'Who it is about: the key of the row as text (several columns: a text array), or what the query says.';

COMMENT ON COLUMN tradeflow.outbox.occurrence IS 'Which of several answers about the subject; empty where there is one.';

COMMENT ON COLUMN tradeflow.outbox.key IS 'The row''s key columns with their values; kept for timers, which ask again about the row.';

COMMENT ON COLUMN tradeflow.outbox.edge IS 'enter: the answer became yes; leave: it is yes no longer.';

COMMENT ON COLUMN tradeflow.outbox.step IS 'The step of the rule''s actions. NULL: the rule has none, and the firing itself is the record.';

COMMENT ON COLUMN tradeflow.outbox.action IS 'The action''s name, if it has one.';

COMMENT ON COLUMN tradeflow.outbox.kind IS 'The action''s kind.';

COMMENT ON COLUMN tradeflow.outbox.target IS 'The action''s target.';

COMMENT ON COLUMN tradeflow.outbox.lane IS 'Actions of one lane run one after another, in the order of their ids: source:subject, unless the action has a lane of its own.';

COMMENT ON COLUMN tradeflow.outbox.state IS 'ready, waiting (for its time), running, done, dead, held, cancelled, uncertain (sent, outcome unknown), shadow. Dead, held and uncertain stay until a person acts; done, cancelled and shadow move to outbox_history.';

COMMENT ON COLUMN tradeflow.outbox.parked IS 'Ready, but known not to be its turn: lane (others of its lane are before it), rule (its rule is paused). claim() does not meet it; who ends what is before it sets it free.';

COMMENT ON COLUMN tradeflow.outbox.blocking IS 'Dead or uncertain, and the later actions of its lane wait for what a person does about it (actions.on_dead).';

COMMENT ON COLUMN tradeflow.outbox.continued IS 'Dead, and its firing went on without it (actions.on_failure): its next step was begun.';

COMMENT ON COLUMN tradeflow.outbox.reason IS 'Why it is held or cancelled.';

COMMENT ON COLUMN tradeflow.outbox.facts IS 'What templates read: the changed row, or the row of the query.';

COMMENT ON COLUMN tradeflow.outbox.steps IS 'Results of the firing''s earlier steps, under their names and numbers.';

COMMENT ON COLUMN tradeflow.outbox.run_at IS 'Not before this time; of an action that had to wait for its lane, since when it is its turn. Ready ones are claimed in this order.';

COMMENT ON COLUMN tradeflow.outbox.fire_at IS 'The due time that the rule computed, before the action''s delay.';

COMMENT ON COLUMN tradeflow.outbox.attempt IS 'How often it was claimed. A completion must name the attempt that holds the lease.';

COMMENT ON COLUMN tradeflow.outbox.max_attempts IS 'After as many it is dead.';

COMMENT ON COLUMN tradeflow.outbox.worker IS 'Who holds the lease.';

COMMENT ON COLUMN tradeflow.outbox.lease_until IS 'Until when, by the database''s clock.';

COMMENT ON COLUMN tradeflow.outbox.started_at IS 'When the worker said that it begins something it cannot take back.';

COMMENT ON COLUMN tradeflow.outbox.error IS 'The last error.';

COMMENT ON COLUMN tradeflow.outbox.result IS 'What executing it returned.';

COMMENT ON COLUMN tradeflow.outbox.created_at IS 'The start of the transaction that fired.';

COMMENT ON COLUMN tradeflow.outbox.traceparent IS 'The trace of the change, as the writing session named it: set tradeflow.traceparent (W3C Trace Context). NULL: it named none.';

CREATE FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  blocks  boolean;
  behind  int := 0;
begin
  -- Where the firing goes on without it, so does the lane; and an action that is no more may not block for ever.
  blocks := coalesce((select a.on_dead = 'block' and a.on_failure <> 'continue' from tradeflow.actions a where a.rule = o.rule and a.edge = o.edge and a.step = o.step), false);
  update tradeflow.outbox b
  set state = to_state, error = _bury.error, worker = null, lease_until = null, blocking = blocks
  where b.id = o.id;
  if blocks then
    select count(*) into behind
    from (select from tradeflow.outbox b where b.lane = o.lane and b.id > o.id and (b.state = 'ready' or b.blocking) limit 10000) b;
  end if;
  perform tradeflow._lanes_freed(array[o.lane]);
  perform tradeflow._incident(
    to_state || '_action', o,
    format('action %s of rule "%s" for %s: %s', coalesce(o.action, o.step::text), o.rule, o.subject, _bury.error)
      || case when behind > 0 then format('; %s later actions of its lane wait behind it', behind) else '' end,
    case to_state
      when 'dead' then format('mend the cause, then select tradeflow.retry(%s); or select tradeflow.cancel(%s);', o.id, o.id)
      else format('find out whether it arrived; then select tradeflow.cancel(%s, ''it arrived''); or select tradeflow.retry(%s);', o.id, o.id)
    end);
  if to_state = 'dead' and exists (
    select from tradeflow.actions a where a.rule = o.rule and a.edge = o.edge and a.step = o.step and a.on_failure = 'continue')
  then
    if tradeflow._next_step(array[o], array[jsonb_build_object('error', _bury.error)]) > 0 then
      update tradeflow.outbox b set continued = true where b.id = o.id;
    end if;
  end if;
  return to_state;
end
$$;

COMMENT ON FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) IS 'Internal. Ends an action as dead or uncertain, with an incident.';

CREATE FUNCTION tradeflow._call(owner regrole, search_path text, call text) RETURNS jsonb
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_call';

COMMENT ON FUNCTION tradeflow._call(owner regrole, search_path text, call text) IS 'Internal. What the call of a function (schema.function(…)) returns, as this owner, in a security-restricted operation; its deferred constraints and triggers run before it returns. Errors: the function''s own.';

CREATE FUNCTION tradeflow._caller() RETURNS name
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select coalesce(nullif(current_setting('role'), 'none'), session_user)::name $$;

COMMENT ON FUNCTION tradeflow._caller() IS 'Internal. The role that the session acts as.';

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

CREATE FUNCTION tradeflow._check_rules(names text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._check_rules(names text[]) IS 'Internal. Asks the rules that mention one of these names whether they still compile; marks and reports those that do not, and those that do again.';

CREATE FUNCTION tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) RETURNS void
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_check_schedule';

COMMENT ON FUNCTION tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) IS 'Internal. Compiles the query of a schedule rule as its owner, and forgets it. The caller must be a member of the owner.';

CREATE FUNCTION tradeflow._check_schema(schema jsonb, path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  part     record;
  problem  text;
begin
  if jsonb_typeof(schema) = 'boolean' then
    return null;
  elsif jsonb_typeof(schema) is distinct from 'object' then
    return format('%s: a schema is an object, not %s', path, coalesce(schema::text, 'NULL'));
  end if;
  for part in select e.key, e.value, jsonb_typeof(e.value) as type from jsonb_each(schema) e loop
    problem := case
      when part.key in ('title', 'description', 'examples', 'default', '$schema', '$comment', 'enum', 'const') then null
      when part.key in ('type') then
        (select format('%s.type: there is no type %s', path, t) from jsonb_array_elements(case part.type when 'array' then part.value else jsonb_build_array(part.value) end) t
         where not '["object", "array", "string", "number", "integer", "boolean", "null"]' @> t limit 1)
      when part.key in ('minimum', 'maximum', 'minItems', 'maxItems', 'minProperties') and part.type = 'number' then null
      when part.key = 'pattern' and part.type = 'string' then null
      when part.key = 'literal' and part.type = 'boolean' then null
      when part.key = 'required' and part.type = 'array' then null
      when part.key in ('items', 'additionalProperties') then tradeflow._check_schema(part.value, format('%s.%s', path, part.key))
      when part.key = 'properties' and part.type = 'object' then
        (select p from jsonb_each(part.value) e, tradeflow._check_schema(e.value, format('%s.properties.%s', path, e.key)) p where p is not null limit 1)
      when part.key = 'anyOf' and part.type = 'array' then
        (select p from jsonb_array_elements(part.value) with ordinality e(value, n), tradeflow._check_schema(e.value, format('%s.anyOf[%s]', path, n - 1)) p
         where p is not null limit 1)
      else format('%s: %s is not understood here', path, part.key)
    end;
    if problem is not null then
      return problem;
    end if;
  end loop;
  return null;
end
$_$;

COMMENT ON FUNCTION tradeflow._check_schema(schema jsonb, path text) IS 'Internal. NULL when _check_value understands every keyword of this schema, else where and which it does not.';

CREATE FUNCTION tradeflow._check_source(rule text, source text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._check_source(rule text, source text) IS 'Internal. The qualified name of a watched table. Errors: 42P01 no such table, 55000 not watched.';

CREATE FUNCTION tradeflow._check_template(source text, name text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT
    AS '$libdir/tradeflow', 'tradeflow_check_template';

COMMENT ON FUNCTION tradeflow._check_template(source text, name text) IS 'Internal. NULL when the text compiles as a template, else what is wrong with it and where.';

CREATE FUNCTION tradeflow._check_value(given jsonb, schema jsonb, path text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  its_type text := jsonb_typeof(given);
  its_text text := given #>> '{}';
  allowed  text := coalesce(' (' || (schema ->> 'description') || ')', '');
  shown    text := left(given::text, 80) || case when length(given::text) > 80 then '…' else '' end;
  names    text[];
  part     record;
  problem  text;
begin
  if schema = 'true' or schema is null then
    return null;
  elsif schema = 'false' then
    return format('%s: nothing is allowed here', path);
  elsif its_type = 'string' and its_text ~ '\{[{%]' then
    -- What a template makes is known when it is rendered, and then the sidecar checks it.
    return case when schema ->> 'literal' = 'true' then format('%s: no template is possible here%s', path, allowed) end;
  end if;

  if schema ? 'type' then
    names := array(select jsonb_array_elements_text(case jsonb_typeof(schema -> 'type') when 'array' then schema -> 'type' else jsonb_build_array(schema -> 'type') end));
    if not (its_type = any (names) or its_type = 'number' and 'integer' = any (names) and its_text::numeric = trunc(its_text::numeric)) then
      return format('%s: %s, not %s%s', path,
        (select string_agg(case n when 'array' then 'a list' when 'object' then 'an object' when 'integer' then 'a whole number' when 'number' then 'a number'
                                  when 'string' then 'text' when 'boolean' then 'true or false' else n end, ' or ' order by o)
         from unnest(names) with ordinality u(n, o)), shown, allowed);
    end if;
  end if;
  if schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') e where e.value = given) then
    return format('%s: %s is none of %s%s', path, shown, (select string_agg(e.value::text, ', ') from jsonb_array_elements(schema -> 'enum') e), allowed);
  elsif schema ? 'const' and schema -> 'const' <> given then
    return format('%s: %s, not %s%s', path, schema -> 'const', shown, allowed);
  end if;

  if its_type = 'string' and schema ? 'pattern' and its_text !~ (schema ->> 'pattern') then
    return format('%s: %s does not look as it must%s', path, shown, coalesce(nullif(allowed, ''), ' (pattern ' || (schema ->> 'pattern') || ')'));
  elsif its_type = 'number' and (its_text::numeric < (schema ->> 'minimum')::numeric or its_text::numeric > (schema ->> 'maximum')::numeric) then
    return format('%s: %s is not %s%s', path, shown,
      concat_ws(' and ', 'at least ' || (schema ->> 'minimum'), 'at most ' || (schema ->> 'maximum')), allowed);
  elsif its_type = 'array' then
    if jsonb_array_length(given) < (schema ->> 'minItems')::int or jsonb_array_length(given) > (schema ->> 'maxItems')::int then
      return format('%s: %s items are not %s%s', path, jsonb_array_length(given),
        concat_ws(' and ', 'at least ' || (schema ->> 'minItems'), 'at most ' || (schema ->> 'maxItems')), allowed);
    end if;
    for part in select format('%s[%s]', path, e.n - 1) as path, e.value from jsonb_array_elements(given) with ordinality e(value, n) loop
      problem := tradeflow._check_value(part.value, schema -> 'items', part.path);
      exit when problem is not null;
    end loop;
  elsif its_type = 'object' then
    select format('%s: "%s" is missing%s', path, r, allowed) into problem
    from jsonb_array_elements_text(schema -> 'required') r where not given ? r limit 1;
    if problem is null and (select count(*) from jsonb_object_keys(given)) < (schema ->> 'minProperties')::int then
      problem := format('%s: at least %s names are needed%s', path, schema ->> 'minProperties', allowed);
    end if;
    for part in
      select e.key, e.value, schema -> 'properties' -> e.key as schema from jsonb_each(given) e
    loop
      exit when problem is not null;
      if part.schema is null and schema -> 'additionalProperties' = 'false' then
        problem := format('%s: there is no "%s"; there is %s', path, part.key,
          coalesce((select string_agg(k, ', ' order by k) from jsonb_object_keys(schema -> 'properties') k), 'nothing to name'));
      else
        problem := tradeflow._check_value(part.value, coalesce(part.schema, schema -> 'additionalProperties'), format('%s.%s', path, part.key));
      end if;
    end loop;
  end if;
  if problem is null and schema ? 'anyOf' then
    if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where tradeflow._check_value(given, a.value, path) is null) then
      if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where a.value - 'required' <> '{}') then
        problem := format('%s: %s is missing', path,
          (select string_agg((select string_agg(format('"%s"', r), ' and ') from jsonb_array_elements_text(a.value -> 'required') r), ' or ')
           from jsonb_array_elements(schema -> 'anyOf') a));
      else
        problem := (select string_agg(distinct tradeflow._check_value(given, a.value, path), '; or ') from jsonb_array_elements(schema -> 'anyOf') a);
      end if;
    end if;
  end if;
  return problem;
end
$$;

COMMENT ON FUNCTION tradeflow._check_value(given jsonb, schema jsonb, path text) IS 'Internal. NULL when a value is what a JSON Schema says, else where it is not, what is allowed, and what stands there.';

CREATE FUNCTION tradeflow._check_view(rule text, view text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  rel   regclass := to_regclass(view);
  kind  "char" := (select c.relkind from pg_class c where c.oid = rel);
begin
  if rel is null then
    raise exception 'rule "%": view "%" does not exist', rule, view
      using errcode = 'undefined_table', hint = 'Write schema and view, as in rules.company_gold.';
  elsif kind <> 'v' then
    raise exception 'rule "%": "%" is no view', rule, view
      using errcode = 'wrong_object_type', hint = 'A view says for whom the answer is yes; a rule about single rows of a table has a source.';
  elsif tradeflow._view_subject_type(view) is null then
    raise exception 'rule "%": view "%" has no column subject', rule, view
      using errcode = 'undefined_column', hint = 'Each of its rows says yes about one subject: select company_id as subject, …';
  end if;
  perform tradeflow._check_view_query(rel);
  return tradeflow._qualified_name(rel);
end
$$;

COMMENT ON FUNCTION tradeflow._check_view(rule text, view text) IS 'Internal. The view''s qualified name. Errors: 42P01 no such relation, 42809 no view, 42703 no column subject, 42P17 a volatile function in it, or a subject that is a row''s number or ambiguous.';

CREATE FUNCTION tradeflow._check_view_query(view regclass) RETURNS void
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_check_view';

COMMENT ON FUNCTION tradeflow._check_view_query(view regclass) IS 'Internal. Errors: 42P17 when the view calls a volatile function: asked twice, it would answer twice.';

CREATE FUNCTION tradeflow._check_watch(name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._check_watch(name text) IS 'Internal. Sees to it that the table that bears a watched name has its triggers; if that cannot be, says so in watched_tables.lost and in an incident.';

CREATE FUNCTION tradeflow._clock_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform tradeflow._invalidate('tradeflow.clock');
  perform tradeflow._invalidate(to_regclass(w.name)) from tradeflow.watched_tables w where to_regclass(w.name) is not null;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._clock_after_write() IS 'Internal. Has every backend read the clock again, and compile anew the rules that have it for a constant.';

CREATE FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) RETURNS void
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_compile';

COMMENT ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) IS 'Internal. Compiles a definition as its owner and forgets it. The caller must be a member of the owner. Errors carry the position in the definition''s text; TF001: a setting it names does not exist (yet).';

CREATE FUNCTION tradeflow._compile_input(rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole) RETURNS void
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_compile_input';

COMMENT ON FUNCTION tradeflow._compile_input(rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole) IS 'Internal. Compiles what maps a row of an input table to the subjects of a view rule, as its owner, and forgets it.';

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

CREATE FUNCTION tradeflow._condition_parts(condition text) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT
    AS '$libdir/tradeflow', 'tradeflow_condition_parts';

COMMENT ON FUNCTION tradeflow._condition_parts(condition text) IS 'Internal. What AND joins at the top of a condition, as written.';

CREATE FUNCTION tradeflow._count_health() RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
begin
  return jsonb_build_object(
    'queue', (select coalesce(jsonb_agg(jsonb_build_object(
                'state', q.state, 'kind', coalesce(q.kind, ''), 'target', coalesce(q.target, ''), 'actions', q.actions,
                'lag', extract(epoch from q.lag))), '[]') from tradeflow.queue_health q),
    'targets', (select coalesce(jsonb_agg(jsonb_build_object(
                  'target', t.name, 'paused', t.paused_at is not null, 'breaker', coalesce(s.breaker, 'closed'),
                  'throttled', coalesce(s.throttled_until > clock_timestamp(), false), 'failures', coalesce(s.failures, 0))), '[]')
                from tradeflow.targets t left join tradeflow.target_states s on s.target = t.name),
    'incidents', (select coalesce(jsonb_object_agg(i.kind, i.n), '{}')
                  from (select x.kind, count(*) as n from tradeflow.incidents x where x.acked_at is null group by x.kind) i),
    'rules', (select coalesce(jsonb_object_agg(s.status, s.n), '{}')
              from (select case when r.mode = 'off' then 'off' when r.invalid is not null then 'invalid' when r.paused_at is not null then 'paused' else r.mode end as status,
                           count(*) as n
                    from tradeflow.rules r group by 1) s),
    -- Of a resource whose first load is not over there is no lag to tell.
    'sync', (select coalesce(jsonb_agg(jsonb_build_object('resource', s.resource, 'lag', extract(epoch from s.lag))), '[]')
             from tradeflow.sync_status s where s.lag is not null),
    'sidecars', (select count(*) from tradeflow.sidecars s where s.seen_at > clock_timestamp() - interval '30 seconds'));
end
$$;

COMMENT ON FUNCTION tradeflow._count_health() IS 'Internal. What health() says, counted anew.';

CREATE FUNCTION tradeflow._count_running(targets text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform from tradeflow.target_states s where s.target = any (targets) order by s.target for update;
  update tradeflow.target_states s
  set running = (select count(*) from tradeflow.outbox o where o.worker is not null and o.target = s.target)
  where s.target = any (targets);
end
$$;

COMMENT ON FUNCTION tradeflow._count_running(targets text[]) IS 'Internal. Sets target_states.running of these targets to what runs.';

CREATE FUNCTION tradeflow._days(setting text, otherwise integer) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
  select coalesce((select s.value::int from tradeflow.settings s where s.name = _days.setting and s.value ~ '^[0-9]{1,5}$'), otherwise)
$_$;

COMMENT ON FUNCTION tradeflow._days(setting text, otherwise integer) IS 'Internal. A setting that is a number of days.';

CREATE FUNCTION tradeflow._ddl_ended() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._ddl_ended() IS 'Internal. After a command that makes, alters, renames or drops tables: watches the watched names again, and asks the rules concerned whether they still compile. Never fails the command.';

CREATE FUNCTION tradeflow._decided(ids bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.outbox_id = any (ids) and i.kind in ('dead_action', 'uncertain_action', 'timer_error');
  -- A burst or a loop is told once for all that it held.
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.kind in ('held_burst', 'held_loop') and cardinality(ids) > 0
    and not exists (select from tradeflow.outbox o where o.state = 'held' and o.rule = i.rule);
$$;

COMMENT ON FUNCTION tradeflow._decided(ids bigint[]) IS 'Internal. Notes the incidents about these actions, and those about held ones of which none is left.';

CREATE FUNCTION tradeflow._definition(r tradeflow.rules) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select jsonb_build_object(
    'name', r.name, 'events', r.events, 'condition', r.condition, 'fires', r.fires, 'still', r.still, 'columns', r.columns,
    'query', r.query, 'fire_at', r.fire_at, 'max_firings', r.max_firings, 'search_path', r.search_path,
    'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
    'delayed', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'enter' and a.delay <> '0'),
    'leaves', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'leave'))::text
$$;

COMMENT ON FUNCTION tradeflow._definition(r tradeflow.rules) IS 'Internal. A rule as the library takes it: JSON.';

CREATE FUNCTION tradeflow._dependencies_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_table_name = 'rules' then
    perform tradeflow._note_dependencies(new.name);
  else
    perform tradeflow._note_dependencies(coalesce(new.rule, old.rule));
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._dependencies_after_write() IS 'Internal. Notes what the written rule reads.';

CREATE FUNCTION tradeflow._do_sql(o tradeflow.outbox, params jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  the_rule  tradeflow.rules;
  name      text := params ->> 'function';
  call      text;
begin
  if coalesce(name, '') !~ '^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)?$' then
    raise exception 'params.function: % is no name of a function', coalesce(quote_literal(name), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'write schema.function.';
  end if;
  select * into strict the_rule from tradeflow.rules r where r.name = o.rule;
  -- A value is written as a literal without a type: it becomes what the function's argument is.
  select string_agg(format('%I => %s', a.key, case jsonb_typeof(a.value) when 'null' then 'null' else quote_literal(a.value #>> '{}') end), ', ')
  into call from jsonb_each(coalesce(params -> 'args', '{}')) a;
  call := format('%s(%s)', name, coalesce(call, ''));
  return tradeflow._call(the_rule.owner::regrole, the_rule.search_path, call);
end
$_$;

COMMENT ON FUNCTION tradeflow._do_sql(o tradeflow.outbox, params jsonb) IS 'Internal. Kind sql: calls the function as the rule''s owner. Errors: the function''s own; 22023.';

CREATE FUNCTION tradeflow._do_storefront_message(o tradeflow.outbox, params jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  its_key  text := coalesce(nullif(params ->> 'key', ''), format('%s:%s:%s', o.rule, o.subject, o.occurrence));
  -- A fact that is empty is nobody: an empty address would be that of every customer whose token names none.
  customer bigint := nullif(btrim(params ->> 'customer_id'), '')::bigint;
  company  bigint := nullif(btrim(params ->> 'company_id'), '')::bigint;
  address  text := nullif(btrim(params ->> 'email'), '');
  made     bigint;
begin
  if params -> 'remove' in ('true', '"true"') then
    delete from tradeflow.storefront_messages m where m.key = its_key returning m.id into made;
    return jsonb_build_object('key', its_key, 'removed', made is not null);
  end if;
  if num_nonnulls(customer, company, address) = 0 then
    raise exception 'params: customer_id, company_id and email are empty; for whom is the message?' using errcode = 'invalid_parameter_value';
  elsif coalesce(btrim(params ->> 'text'), '') = '' then
    raise exception 'params.text: it is empty; what is to be shown?' using errcode = 'invalid_parameter_value';
  end if;
  insert into tradeflow.storefront_messages as m (key, customer_id, company_id, email, page, level, text, data, expires_at, outbox_id)
  values (
    its_key, customer, company, address, params ->> 'page', coalesce(params ->> 'level', 'info'), params ->> 'text', params -> 'data',
    coalesce((params ->> 'expires_at')::timestamptz, tradeflow.now() + (params ->> 'expires_in')::interval), o.id)
  on conflict (key) do update
    set customer_id = excluded.customer_id, company_id = excluded.company_id, email = excluded.email, page = excluded.page,
        level = excluded.level, text = excluded.text, data = excluded.data, expires_at = excluded.expires_at,
        outbox_id = excluded.outbox_id, created_at = excluded.created_at
  returning m.id into made;
  return jsonb_build_object('key', its_key, 'message_id', made);
end
$$;

COMMENT ON FUNCTION tradeflow._do_storefront_message(o tradeflow.outbox, params jsonb) IS 'Internal. Kind storefront_message: stores the message, or takes it away. Errors: 22023 a message for nobody, or without text.';

CREATE FUNCTION tradeflow._do_task(o tradeflow.outbox, params jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  insert into tradeflow.tasks (pool, title, body, rule, source, subject, facts, options, due_at, outbox_id)
  values (
    params ->> 'pool', params ->> 'title', params ->> 'body', o.rule, o.source, o.subject, o.facts,
    case when jsonb_typeof(params -> 'options') = 'array' then array(select jsonb_array_elements_text(params -> 'options')) end,
    coalesce((params ->> 'due_at')::timestamptz, tradeflow.now() + (params ->> 'due_in')::interval), o.id)
  returning jsonb_build_object('task_id', tasks.id)
$$;

COMMENT ON FUNCTION tradeflow._do_task(o tradeflow.outbox, params jsonb) IS 'Internal. Kind task: makes the task.';

CREATE FUNCTION tradeflow._dropped() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._dropped() IS 'Internal. After something was dropped: asks the rules that mention it whether they still compile. Never fails the command.';

CREATE FUNCTION tradeflow._explain_row(r tradeflow.rules, key text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  owner        regrole := to_regrole(quote_ident(r.owner));
  the_key      jsonb := tradeflow._key_of(r.source, key);
  key_columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = r.source);
  where_key    text := (select string_agg(format('new.%I = %L', k, the_key ->> k), ' and ') from unnest(key_columns) k);
  parts        text[] := tradeflow._condition_parts(r.condition);
  found        jsonb;
  the_subject  text;
  last         tradeflow.change_log;
  now_parts    jsonb;
  last_parts   jsonb;
  answers      jsonb;
  subjects     text[];
  -- Who owns the rule may be allowed some of the columns only.
  whole        boolean := has_table_privilege(owner, to_regclass(r.source), 'select');
begin
  found := tradeflow._read_as(format('select to_jsonb(new) from %s as new where %s', r.source, where_key), r.search_path, owner)::jsonb;
  the_subject := case when cardinality(key_columns) > 1 then (select array_agg(coalesce(found, the_key) ->> k order by i)::text from unnest(key_columns) with ordinality u(k, i))
                  else coalesce(found, the_key) ->> key_columns[1] end;
  if found is not null and parts is not null then
    now_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, null, found, tradeflow.now());
    -- What reads old is about a change, not about the row: nothing can be said about it now.
    now_parts := (select jsonb_agg(case when p.value @> '{"reads_old": true}' then p.value || '{"value": null}' else p.value end order by p.n)
                  from jsonb_array_elements(now_parts) with ordinality p(value, n));
  end if;
  select * into last from tradeflow.change_log l where l.source = r.source and l.subject = the_subject
  order by l.changed_at desc, l.id desc limit 1;
  if last.id is not null and parts is not null then
    last_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, last.old, last.new, coalesce(last.clock, last.changed_at));
  end if;
  subjects := array[the_subject];
  if found is not null and r.query is not null then
    answers := tradeflow._read_as(format(
      E'select coalesce(jsonb_agg(to_jsonb(answer)), ''[]'') from %1$s as new cross join lateral (select (null::%1$s).*) as old cross join lateral (\n%2$s\n) as answer where %3$s',
      r.source, rtrim(r.query, E'; \n\t'), where_key), r.search_path, owner);
    subjects := subjects || array(select distinct a ->> 'subject' from jsonb_array_elements(answers) a where a ->> 'subject' is not null);
  end if;
  return jsonb_build_object(
    'subject', the_subject,
    'row', found,
    'parts', now_parts,
    'first_no', tradeflow._first_no((select jsonb_agg(p) from jsonb_array_elements(now_parts) p where not p @> '{"reads_old": true}')),
    'last_change', case when last.id is not null then jsonb_build_object(
        'changed_at', last.changed_at, 'event', last.event, 'silent', last.silent,
        'old', case when whole then last.old end, 'new', case when whole then last.new end,
        'parts', last_parts, 'first_no', tradeflow._first_no(last_parts)) end,
    'query_rows', answers,
    'firings', tradeflow._firings_of(r.name, subjects));
end
$_$;

COMMENT ON FUNCTION tradeflow._explain_row(r tradeflow.rules, key text) IS 'Internal. What explain() says about a row rule.';

CREATE FUNCTION tradeflow._explain_subject(r tradeflow.rules, key text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  rows  jsonb;
begin
  rows := tradeflow._read_as(format('select coalesce(jsonb_agg(to_jsonb(v)), ''[]'') from %s as v where v.subject = %L', r.view, key),
                             r.search_path, to_regrole(quote_ident(r.owner)));
  return jsonb_build_object(
    'subject', key,
    'in_view', rows <> '[]',
    'view_rows', rows,
    'members', (select coalesce(jsonb_agg(to_jsonb(m) - '{rule}'::text[] order by m.occurrence), '[]')
                from tradeflow.members m where m.rule = r.name and m.subject = key),
    'inputs', (select coalesce(jsonb_object_agg(i.source, i.subject), '{}') from tradeflow.rule_inputs i where i.rule = r.name),
    'firings', tradeflow._firings_of(r.name, array[key]));
end
$$;

COMMENT ON FUNCTION tradeflow._explain_subject(r tradeflow.rules, key text) IS 'Internal. What explain() says about a view rule.';

CREATE FUNCTION tradeflow._finish(INOUT ids bigint[], state text, reason text DEFAULT NULL::text, results jsonb[] DEFAULT NULL::jsonb[], attempts integer[] DEFAULT NULL::integer[], OUT targets text[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  ended  record;
begin
  with ended as (
    -- In the order of ids, as every function here locks: two workers never wait for each other.
    select distinct on (u.id) u.* from unnest(_finish.ids, attempts, results) u(id, attempt, result) order by u.id
  ), gone as (
    delete from tradeflow.outbox o using ended e
    where o.id = e.id and (attempts is null or (o.attempt = e.attempt and o.state = 'running'))
    returning o.*, e.result as outcome
  ), moved as (
    insert into tradeflow.outbox_history (
      id, firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, blocking, continued, reason, facts, steps, run_at, fire_at, attempt, max_attempts, worker, started_at, error,
      result, request, created_at, traceparent)
    select
      g.id, g.firing_id, g.rule, g.rule_version, g.source, g.event, g.subject, g.occurrence, g.key, g.edge, g.step, g.action, g.kind, g.target, g.lane,
      coalesce(_finish.state, g.state), false, g.continued, coalesce(_finish.reason, g.reason), g.facts, g.steps, g.run_at, g.fire_at, g.attempt, g.max_attempts, g.worker, g.started_at, g.error,
      coalesce(g.outcome - 'request', g.result), g.outcome -> 'request', g.created_at, g.traceparent
    from gone g
    -- What is read from here on is narrow: the rows themselves are read once more only where a step follows.
    returning id, target, lane, rule, edge, step
  ), followed as (
    select d.rule, d.edge, d.step
    from (select distinct m.rule, m.edge, m.step from moved m where _finish.state = 'done') d
    where exists (select from tradeflow.actions a where a.rule = d.rule and a.edge = d.edge and a.step > d.step)
  ), next as (
    -- By the names of the columns: in a database that was updated their order is another.
    select array_agg(jsonb_populate_record(null::tradeflow.outbox, to_jsonb(g)) order by g.id) as rows,
           array_agg(g.outcome order by g.id) as outcomes
    from followed f join gone g on g.rule = f.rule and g.edge = f.edge and g.step = f.step
  )
  select array_agg(m.id) as ids, array_agg(m.target) as targets, array_agg(m.lane) as lanes,
         (select n.rows from next n) as next_rows, (select n.outcomes from next n) as next_outcomes
  into ended
  from moved m;

  _finish.ids := ended.ids;
  _finish.targets := ended.targets;
  if ended.ids is not null then
    if ended.next_rows is not null then
      perform tradeflow._next_step(ended.next_rows, ended.next_outcomes);
    end if;
    if tradeflow._lanes_freed(ended.lanes) > 0 then
      perform pg_notify('tradeflow', '');
    end if;
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._finish(INOUT ids bigint[], state text, reason text, results jsonb[], attempts integer[], OUT targets text[]) IS 'Internal. Moves actions to the history in this state (NULL: as they are), with their results, in the order of ids. Returns the ids and targets of those it ended; NULL: of none.';

CREATE FUNCTION tradeflow._firings_of(the_rule text, subjects text[]) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with acts as (
    select o.firing_id, o.rule_version, o.event, o.edge, o.subject, o.occurrence, o.created_at, o.id, o.step, o.action, o.kind, o.target, o.state,
           o.reason, o.error, o.attempt, o.run_at, null::timestamptz as finished_at
    from tradeflow.outbox o where o.rule = the_rule and o.subject = any (subjects)
    union all
    select h.firing_id, h.rule_version, h.event, h.edge, h.subject, h.occurrence, h.created_at, h.id, h.step, h.action, h.kind, h.target, h.state,
           h.reason, h.error, h.attempt, h.run_at, h.finished_at
    from tradeflow.outbox_history h where h.rule = the_rule and h.subject = any (subjects)
  ), fired as (
    select a.firing_id,
           jsonb_build_object(
             'firing_id', a.firing_id, 'fired_at', min(a.created_at), 'event', min(a.event), 'edge', min(a.edge),
             'subject', min(a.subject), 'occurrence', min(a.occurrence), 'rule_version', min(a.rule_version),
             'actions', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'id', a.id, 'step', a.step, 'action', a.action, 'kind', a.kind, 'target', a.target, 'state', a.state, 'reason', a.reason,
               'error', a.error, 'attempt', a.attempt, 'run_at', a.run_at, 'finished_at', a.finished_at)) order by a.step, a.id)) as firing
    from acts a group by a.firing_id order by a.firing_id desc limit 20
  )
  select coalesce(jsonb_agg(f.firing order by f.firing_id desc), '[]') from fired f
$$;

COMMENT ON FUNCTION tradeflow._firings_of(the_rule text, subjects text[]) IS 'Internal. The last 20 firings about these subjects, as JSON.';

CREATE FUNCTION tradeflow._first_no(parts jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select p.value ->> 'part' from jsonb_array_elements(parts) with ordinality p(value, n)
  where p.value -> 'value' is distinct from 'true'::jsonb
  order by p.n limit 1
$$;

COMMENT ON FUNCTION tradeflow._first_no(parts jsonb) IS 'Internal. The first part of a condition that is not true.';

CREATE FUNCTION tradeflow._flush() RETURNS trigger
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_flush';

COMMENT ON FUNCTION tradeflow._flush() IS 'Internal. Trigger of watched tables: answers what the statement left pending and puts the firings into the outbox, in one insert.';

CREATE FUNCTION tradeflow._heal_parked() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  now     timestamptz := clock_timestamp();
  healed  int := 0;
  more    int;
begin
  -- A channel that rows name, and no action any more: actions changed since, or a dump of such.
  with recursive found as (
    (select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
     where o.state = 'ready' and o.parked is null
     order by o.kind, coalesce(o.target, '') limit 1)
    union all
    select next.kind, next.target
    from found f
    cross join lateral (
      select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
      where o.state = 'ready' and o.parked is null and (o.kind, coalesce(o.target, '')) > (f.kind, f.target)
      order by o.kind, coalesce(o.target, '') limit 1) next
  )
  insert into tradeflow.channels (kind, target)
  select f.kind, f.target from found f where f.kind is not null on conflict do nothing;

  if not exists (select from tradeflow.outbox o where o.parked is not null) then
    return 0;
  end if;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'rule' and not exists (select from tradeflow.rules r where r.name = o.rule and r.paused_at is not null);
  get diagnostics healed = row_count;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'lane'
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.worker is not null)
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.id < o.id and (b.state = 'ready' or b.blocking));
  get diagnostics more = row_count;
  return healed + more;
end
$$;

COMMENT ON FUNCTION tradeflow._heal_parked() IS 'Internal. Part of tick(): finds channels that are not known yet, and sets free what is parked without reason. Returns how many.';

CREATE FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text DEFAULT NULL::text, sqlstate text DEFAULT NULL::text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  insert into tradeflow.incidents (kind, rule, source, subject, outbox_id, message, hint, sqlstate)
  values (_incident.kind, outbox.rule, outbox.source, outbox.subject, outbox.id, message, hint, _incident.sqlstate)
$$;

COMMENT ON FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text, sqlstate text) IS 'Internal. Appends an incident about an action.';

CREATE FUNCTION tradeflow._install_triggers("table" regclass) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._install_triggers("table" regclass) IS 'Internal. Makes a watched table''s triggers, as far as they are missing. Returns whether there was anything to do.';

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

CREATE FUNCTION tradeflow._is_asked(r tradeflow.rules) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select r.mode <> 'off' and r.invalid is null and r.paused_at is null and to_regrole(quote_ident(r.owner)) is not null $$;

COMMENT ON FUNCTION tradeflow._is_asked(r tradeflow.rules) IS 'Internal. False for a rule that is off, paused, invalid, or whose owner is gone.';

CREATE FUNCTION tradeflow._is_due(task text, every interval) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into tradeflow.upkeep as u (task, done_at) values (_is_due.task, clock_timestamp())
  on conflict on constraint upkeep_pkey do update set done_at = excluded.done_at
  where u.done_at is null or u.done_at + greatest(every, 20 * u.took) <= clock_timestamp();
  return found;
end
$$;

COMMENT ON FUNCTION tradeflow._is_due(task text, every interval) IS 'Internal. Whether a part of the time work is to be done now; the longer it takes, the more seldom it is.';

CREATE FUNCTION tradeflow._key_of(source text, key text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = source);
  found    jsonb;
begin
  if key ~ '^\s*\{\s*"' then
    begin
      found := key::jsonb;
      if jsonb_typeof(found) = 'object' and found ?& columns then
        return found;
      end if;
    exception when invalid_text_representation then
      null;  -- a text array
    end;
  end if;
  if cardinality(columns) = 1 then
    return jsonb_build_object(columns[1], key);
  elsif key ~ '^\{.*\}$' and cardinality(key::text[]) = cardinality(columns) then
    return jsonb_object(columns, key::text[]);
  end if;
  raise exception 'the key of % is (%), which "%" is not', source, array_to_string(columns, ', '), key
    using errcode = 'invalid_parameter_value',
          hint = format('as JSON: %s', (select jsonb_object_agg(c, '…') from unnest(columns) c));
end
$_$;

COMMENT ON FUNCTION tradeflow._key_of(source text, key text) IS 'Internal. A key as JSON. Errors: 22023.';

CREATE FUNCTION tradeflow._kind_restored() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.action_kinds k set paused_at = new.paused_at, paused_reason = new.paused_reason where k.name = new.name and k.builtin;
  return case when not found then new end;
end
$$;

COMMENT ON FUNCTION tradeflow._kind_restored() IS 'Internal. Pauses a kind that is there already as a dump says.';

CREATE FUNCTION tradeflow._kinds_executed() RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(array_agg(distinct k), '{}')
  from tradeflow.sidecars s cross join unnest(s.kinds) k
  where s.seen_at > clock_timestamp() - interval '30 seconds'
$$;

COMMENT ON FUNCTION tradeflow._kinds_executed() IS 'Internal. The kinds that some sidecar executes now.';

CREATE FUNCTION tradeflow._lane(template text, rule text, rule_version integer, source text, event text, subject text, occurrence text, key jsonb, action text, facts jsonb) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  lane text;
begin
  lane := tradeflow._render(template, jsonb_build_object(
    'facts', facts, 'source', source, 'event', event, 'subject', subject, 'occurrence', occurrence, 'key', key, 'action', action,
    'rule', jsonb_build_object('name', rule, 'version', rule_version)));
  if lane = '' or length(lane) > 500 then
    raise invalid_parameter_value using message = format('the template "%s" makes a lane of %s characters; it must have 1 to 500', template, length(lane));
  end if;
  return lane;
exception when invalid_parameter_value then
  insert into tradeflow.incidents (kind, rule, source, subject, message, hint)
  values ('lane_error', rule, source, subject, format('rule "%s" for %s: %s', rule, subject, sqlerrm),
          'mend the lane of its action; until then it is executed in the lane of its subject.');
  return source || ':' || subject;
end
$$;

COMMENT ON FUNCTION tradeflow._lane(template text, rule text, rule_version integer, source text, event text, subject text, occurrence text, key jsonb, action text, facts jsonb) IS 'Internal. The lane of an action that has a template for it; what cannot be rendered is an incident, and the lane is source:subject.';

CREATE FUNCTION tradeflow._lanes_freed(lanes text[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  freed int;
begin
  update tradeflow.outbox o
  set parked = null, run_at = clock_timestamp()
  from (
    -- Most lanes have nothing parked: then the look-up ends at the root of an empty index.
    select distinct l.lane from unnest(lanes) l(lane)
    where (select p.id from tradeflow.outbox p where p.parked = 'lane' and p.lane = l.lane limit 1) is not null) l
  cross join lateral (
    select b.ctid as at, b.parked from tradeflow.outbox b
    where b.lane = l.lane and (b.state = 'ready' or b.blocking)
    -- As the index has it: by id alone the planner might read the table in the order of ids.
    order by b.lane, b.id limit 1) first
  where o.ctid = first.at and first.parked = 'lane'
    -- What runs in the lane sets the next one free when it ends.
    and (select b.id from tradeflow.outbox b where b.lane = l.lane and b.worker is not null limit 1) is null;
  get diagnostics freed = row_count;
  return freed;
end
$$;

COMMENT ON FUNCTION tradeflow._lanes_freed(lanes text[]) IS 'Internal. Lets the first action of each of these lanes have its turn. Returns how many were parked until now.';

CREATE FUNCTION tradeflow._load_as_dumped() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tradeflow._restoring() then
    -- For this one COPY: a foreign key's check is a trigger too.
    perform set_config('session_replication_role', case tg_when when 'BEFORE' then 'replica' else 'origin' end, true);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._load_as_dumped() IS 'Internal. While a dump is restored, rows are not checked against other tables, which may come later.';

CREATE FUNCTION tradeflow._lock_states(targets text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  locked int;
begin
  perform from tradeflow.target_states s where s.target = any (targets) order by s.target for update;
  get diagnostics locked = row_count;
  if locked < (select count(*) from tradeflow.targets t where t.name = any (targets)) then
    insert into tradeflow.target_states (target)
    select t.name from tradeflow.targets t where t.name = any (targets) order by t.name
    on conflict do nothing;
    perform tradeflow._count_running(targets);
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._lock_states(targets text[]) IS 'Internal. Locks the states of these targets until the end of the transaction; a missing one is made, with what runs counted.';

CREATE FUNCTION tradeflow._lock_waiting(ids bigint[]) RETURNS SETOF bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
  select o.id from tradeflow.outbox o where o.id = any (ids) and o.state || '' = 'waiting' order by o.id for update
$$;

COMMENT ON FUNCTION tradeflow._lock_waiting(ids bigint[]) IS 'Internal. Locks those of these actions that wait for their time, in the order of their ids, and returns them.';

CREATE FUNCTION tradeflow._make_ready(ids bigint[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  made int;
begin
  update tradeflow.outbox o
  set state = case when o.step is null then 'done'  -- a rule without actions: the firing itself is the record
                   when o.run_at > tradeflow.now() and o.attempt = 0 then 'waiting' else 'ready' end,
      run_at = case when o.run_at > tradeflow.now() and o.attempt = 0 then o.run_at else clock_timestamp() end,
      parked = null, blocking = false, reason = null, error = null, started_at = null, max_attempts = greatest(o.max_attempts, o.attempt + 1)
  where o.id = any (_make_ready.ids);
  get diagnostics made = row_count;
  if made > 0 then
    perform tradeflow._decided(_make_ready.ids);
    perform pg_notify('tradeflow', '');
  end if;
  return made;
end
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
    where i.acked_at is null and i.kind in ('rule_error', 'rule_invalid', 'schedule_error', 'held_loop')
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

CREATE FUNCTION tradeflow._name_valid() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.name !~ tg_argv[1] then
    raise exception '"%" is no name of a %', new.name, tg_argv[0] using errcode = 'check_violation', hint = tg_argv[2];
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._name_valid() IS 'Internal. Its arguments: of what, the pattern, the pattern in words. Errors: 23514 for another name.';

CREATE FUNCTION tradeflow._next_run(schedule text, after timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS '$libdir/tradeflow', 'tradeflow_next_run';

COMMENT ON FUNCTION tradeflow._next_run(schedule text, after timestamp with time zone) IS 'Internal. The first time after this one that a schedule names. Errors: 22023 for what is no schedule, or never comes.';

CREATE FUNCTION tradeflow._next_step(finished tradeflow.outbox[], outcomes jsonb[]) RETURNS integer
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with finished as (
    select f.*, coalesce(outcomes[f.ordinality], '{}') - 'request' as outcome
    from unnest(_next_step.finished) with ordinality f
    -- A dead action that the firing went on without, and that a person had executed again: its next step was begun then.
    where not f.continued
  ), added as (
    insert into tradeflow.outbox (
      firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, facts, steps, run_at, fire_at, max_attempts, traceparent)
    select
      f.firing_id, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target,
      case when a.lane is null then f.source || ':' || f.subject
           else tradeflow._lane(a.lane, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, a.name, f.facts) end,
      case when a.delay > '0' then 'waiting' else 'ready' end, f.facts,
      f.steps || jsonb_build_object(f.step::text, f.outcome)
              || case when f.action is null then '{}' else jsonb_build_object(f.action, f.outcome) end,
      case when a.delay > '0' then tradeflow.now() + a.delay else clock_timestamp() end, f.fire_at, a.max_attempts, f.traceparent
    from finished f
    cross join lateral (
      select * from tradeflow.actions x
      where x.rule = f.rule and x.edge = f.edge and x.step > f.step
      order by x.step limit 1) a
    returning 1
  ), told as (
    select pg_notify('tradeflow', '') where exists (select from added)
  )
  select count(*)::int from added left join told on true
$$;

COMMENT ON FUNCTION tradeflow._next_step(finished tradeflow.outbox[], outcomes jsonb[]) IS 'Internal. Begins the next step of the firings of these actions.';

CREATE FUNCTION tradeflow._not_answered(target text, error text, transient boolean, throttled interval DEFAULT NULL::interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  now     timestamptz := clock_timestamp();
  t       tradeflow.targets;
  was     tradeflow.target_states;
  opens   boolean;
begin
  select * into t from tradeflow.targets x where x.name = _not_answered.target;
  if not found then
    return;
  end if;
  perform tradeflow._lock_states(array[t.name]);
  select * into was from tradeflow.target_states x where x.target = t.name;
  -- A throttled target works: its breaker is none of it.
  opens := transient and throttled is null and t.breaker_failures > 0
           and (was.breaker = 'half_open' or was.breaker = 'closed' and was.failures + 1 >= t.breaker_failures);
  update tradeflow.target_states s
  set running = case when t.concurrency is not null then greatest(s.running - 1, 0) else 0 end,
      failures = s.failures + case when transient and throttled is null then 1 else 0 end,
      breaker = case when opens then 'open' when transient and throttled is null and s.breaker <> 'half_open' then s.breaker
                     when throttled is not null and s.breaker = 'half_open' then 'closed' else s.breaker end,
      opened_at = case when opens then coalesce(s.opened_at, now) when throttled is not null and s.breaker = 'half_open' then null else s.opened_at end,
      -- Half-open, and the execution said nothing about the destination: another may try.
      retry_at = case when opens then now + t.breaker_cooldown when s.breaker = 'half_open' then now else s.retry_at end,
      throttled_until = case when throttled is not null then greatest(s.throttled_until, now + throttled) else s.throttled_until end,
      last_error = case when transient or throttled is not null then left(_not_answered.error, 1000) else s.last_error end,
      last_failed_at = case when transient or throttled is not null then now else s.last_failed_at end
  where s.target = t.name;
  if opens and was.breaker = 'closed' then
    insert into tradeflow.incidents (kind, subject, message, detail, hint)
    values ('breaker_open', t.name, format('target "%s" failed %s times in a row; nothing is sent there for %s, then one action tries again', t.name, was.failures + 1, t.breaker_cooldown),
            _not_answered.error, format('it goes on by itself when the target answers, and this is noted then. It is mended already: tradeflow targets resume %s', t.name));
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._not_answered(target text, error text, transient boolean, throttled interval) IS 'Internal. Notes that an execution at a target failed, opens its breaker after too many, and stops calling it for as long as it asked for.';

CREATE FUNCTION tradeflow._note_channel() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into tradeflow.channels (kind, target) values (new.kind, coalesce(new.target, '')) on conflict do nothing;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._note_channel() IS 'Internal. Has claim() look for the actions of this kind and target.';

CREATE FUNCTION tradeflow._note_dependencies(the_rule text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  r      tradeflow.rules;
  part   record;
  reads  jsonb;
begin
  delete from tradeflow.rule_dependencies d where d.rule = the_rule;
  select * into r from tradeflow.rules x where x.name = the_rule;
  if not found or to_regrole(quote_ident(r.owner)) is null then
    return;
  end if;
  insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
  select r.name, 'source', r.source, null where r.source is not null
  union all
  select r.name, 'key', w.name, k from tradeflow.watched_tables w, unnest(w.key) k where w.name = r.source
  union all
  select r.name, 'columns', r.source, c from unnest(r.columns) c;

  -- Each part as a statement of its own; a question about changes is one over two rows of the table.
  for part in
    select p.name, p.query
    from (values
      ('condition', format(E'select (\n%s\n) from %s as new, %s as old', r.condition, r.source, r.source)),
      ('fire_at', format(E'select (\n%s\n) from %s as new, %s as old', r.fire_at, r.source, r.source)),
      ('still', format(E'select (\n%s\n) from %s as new', r.still, r.source)),
      ('query', case when r.source is null then r.query
                else format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', r.source, r.source,
                            rtrim(rtrim(r.query, E' \n\t'), ';')) end),
      ('view', format('select * from %s', r.view))) p(name, query)
    where case p.name when 'condition' then r.condition when 'fire_at' then r.fire_at when 'still' then r.still
                      when 'query' then r.query else r.view end is not null
    union all
    select 'input', case when i.subject ~* '^\s*(select|with)\M'
                         then format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', i.source, i.source, rtrim(i.subject, E'; \n\t'))
                         else format(E'select (\n%s\n) from %s as new', i.subject, i.source) end
    from tradeflow.rule_inputs i where i.rule = r.name
  loop
    begin
      reads := tradeflow._reads(part.query, r.search_path, to_regrole(quote_ident(r.owner)))::jsonb;
    exception when others then
      continue;  -- the rule waits for something that is missing, and is noted again when that has come
    end;
    insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
    select distinct r.name, part.name, tradeflow._qualified_name(c.oid), a.attname::text
    from jsonb_array_elements(reads -> 'columns') x
    join pg_class c on c.oid = (x ->> 0)::oid
    join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = (x ->> 1)::int and a.attnum > 0
    -- A table of which no column is read (count(*), exists, an old that is not mentioned) is named if nothing else names it.
    where (x ->> 1)::int >= 0
       or not exists (select from jsonb_array_elements(reads -> 'columns') y where y ->> 0 = x ->> 0 and (y ->> 1)::int >= 0);
    insert into tradeflow.rule_dependencies (rule, part, function)
    select distinct r.name, part.name, f::text::oid::regprocedure::text
    from jsonb_array_elements(reads -> 'functions') f;
  end loop;
end
$$;

COMMENT ON FUNCTION tradeflow._note_dependencies(the_rule text) IS 'Internal. Notes anew what a rule reads.';

CREATE TABLE tradeflow.channels (
    kind text NOT NULL COLLATE pg_catalog."C",
    target text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    from_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    from_id bigint DEFAULT 0 NOT NULL,
    swept_at timestamp with time zone,
    sweep_took interval
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='200');

COMMENT ON TABLE tradeflow.channels IS 'A row is a kind and target that actions name: claim() looks for ready actions channel by channel. Not dumped.';

COMMENT ON COLUMN tradeflow.channels.kind IS 'Kind of the actions.';

COMMENT ON COLUMN tradeflow.channels.target IS 'Their target; empty: none.';

COMMENT ON COLUMN tradeflow.channels.from_at IS 'claim() skips what was ready before: while an old transaction keeps vacuum from cleaning, those are dead rows without end. What commits late and lies before it is moved behind it by tick().';

COMMENT ON COLUMN tradeflow.channels.from_id IS 'Of several with that time: what has a lower id.';

COMMENT ON COLUMN tradeflow.channels.swept_at IS 'When tick() last looked for late ones.';

COMMENT ON COLUMN tradeflow.channels.sweep_took IS 'How long that took: it looks the more seldom the longer it takes.';

CREATE FUNCTION tradeflow._open_channels(kinds text[], room jsonb, now timestamp with time zone) RETURNS TABLE(channel tradeflow.channels, has_room integer, limited text, since timestamp with time zone, first_id bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  index   oid := 'tradeflow.outbox_ready'::regclass;
  pages   bigint := pg_stat_get_xact_blocks_fetched(index);
  read    bigint := pg_stat_get_xact_tuples_returned(index);
begin
  return query
  select c, coalesce((_open_channels.room ->> c.target)::int, (_open_channels.room ->> '*')::int, 10000),
         case when t.rate_limit is not null or t.concurrency is not null or s.breaker <> 'closed' then t.name end, first.run_at, first.id
  from tradeflow.channels c
  left join tradeflow.action_kinds k on k.name = c.kind
  left join tradeflow.targets t on t.name = c.target
  left join tradeflow.target_states s on s.target = c.target
  cross join lateral (
    select x.run_at, x.id from tradeflow.outbox x
    where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null
      and (x.run_at, x.id) >= (c.from_at, c.from_id) and x.run_at <= now
    order by x.run_at, x.id limit 1) first
  where (_open_channels.kinds is null or c.kind = any (_open_channels.kinds))
    and k.paused_at is null and t.paused_at is null
    and (s.throttled_until is null or s.throttled_until <= now)
    and (s.breaker is null or s.breaker = 'closed' or s.retry_at <= now or t.breaker_failures = 0)
    and coalesce((_open_channels.room ->> c.target)::int, (_open_channels.room ->> '*')::int, 1) > 0;

  -- Waded through thousands of dead entries, which vacuum did not take away yet: begin behind them from now on. Entries that are
  -- known to be dead are passed, at a price, and not counted: the pages tell. What began a moment ago may still commit.
  if pg_stat_get_xact_tuples_returned(index) - read > 3000
     or pg_stat_get_xact_blocks_fetched(index) - pages > 16 + 4 * (select count(*) from tradeflow.channels) then
    update tradeflow.channels c
    set from_at = new.at, from_id = new.id
    from (select * from tradeflow.channels x for update skip locked) o
    cross join lateral (
      (select x.run_at as at, x.id from tradeflow.outbox x
       where x.kind = o.kind and coalesce(x.target, '') = o.target and x.state = 'ready' and x.parked is null
         and (x.run_at, x.id) >= (o.from_at, o.from_id) and x.run_at <= _open_channels.now - interval '250 milliseconds'
       order by x.run_at, x.id limit 1)
      union all
      select _open_channels.now - interval '250 milliseconds', 0
      order by 1, 2 limit 1) new
    where (o.kind, o.target) = (c.kind, c.target) and (new.at, new.id) > (c.from_at, c.from_id);
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._open_channels(kinds text[], room jsonb, now timestamp with time zone) IS 'Internal. Where a claim may look, and how many it may take there at most.';

CREATE FUNCTION tradeflow._park(channel tradeflow.channels, now timestamp with time zone, window_size integer, paused text[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  parked int;
begin
  with blocked as materialized (
    select w.ctid as at, w.rule = any (paused) as of_rule, before.at as by, before.runs
    from (
      select x.ctid, x.id, x.lane, x.rule
      from tradeflow.outbox x
      where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
        and (x.run_at, x.id) >= (channel.from_at, channel.from_id) and x.run_at <= _park.now
      order by x.run_at, x.id
      limit window_size) w
    left join lateral (
      (select b.ctid as at, false as runs from tradeflow.outbox b where b.lane = w.lane and b.id < w.id and (b.state = 'ready' or b.blocking)
       order by b.lane, b.id limit 1)
      union all
      (select b.ctid, true from tradeflow.outbox b where b.lane = w.lane and b.worker is not null)
      limit 1) before on true
    where w.rule = any (paused) or before.at is not null
  ), locked as materialized (
    select d.by
    from (select distinct x.by, x.runs from blocked x where not x.of_rule) d
    join tradeflow.outbox b on b.ctid = d.by
    where (select count(*) from blocked) >= 64 and (b.state in ('ready', 'running') or b.blocking)
      and (b.worker is not null or not d.runs)
    for update of b skip locked
  ), mine as (
    select o.ctid as at, x.of_rule
    from blocked x
    join tradeflow.outbox o on o.ctid = x.at
    where o.state = 'ready' and o.parked is null and (x.of_rule or x.by in (select l.by from locked l))
      -- A few are met again more cheaply than they are moved.
      and (select count(*) from blocked) >= 64
    for update of o skip locked
  ), done as (
    update tradeflow.outbox o set parked = case when m.of_rule then 'rule' else 'lane' end
    from mine m where o.ctid = m.at
    returning 1
  )
  select count(*)::int into parked from done;
  return parked;
end
$$;

COMMENT ON FUNCTION tradeflow._park(channel tradeflow.channels, now timestamp with time zone, window_size integer, paused text[]) IS 'Internal. Takes what is not its turn out of the way of claim(). Returns how many.';

CREATE FUNCTION tradeflow._partitions() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '50ms'
    AS $_$
declare
  parent  record;
  day     date;
  part    text;
  free    boolean;
  fresh   int;
  made    int := 0;
  today   date := (clock_timestamp() at time zone 'UTC')::date;
begin
  if exists (select from tradeflow.upkeep u where u.task = 'partitions' and u.done_at > clock_timestamp() - interval '1 minute') then
    return 0;
  end if;
  for parent in
    select p.name, p.at_column, tradeflow._days(p.setting, p.days) as keep
    from (values ('outbox_history', 'finished_at', 'history_days', 90),
                 ('change_log', 'changed_at', 'change_log_days', 14)) p(name, at_column, setting, days)
  loop
    begin
      fresh := 0;
      -- Never today's: what is being written into the default partition at that moment would be refused (23514), and the result
      -- of an action be lost.
      day := today + 1;
      part := parent.name || '_' || to_char(day, 'YYYYMMDD');
      if to_regclass('tradeflow.' || part) is null then
        execute format('select not exists (select from tradeflow.%I d where d.%I >= %L)', parent.name || '_default', parent.at_column, day || ' 00:00+00') into free;
        if free then
          execute format('create table tradeflow.%I (like tradeflow.%I including all excluding identity)', part, parent.name || '_default');
          execute format('alter table tradeflow.%I attach partition tradeflow.%I for values from (%L) to (%L)',
                         parent.name, part, day || ' 00:00+00', (day + 1) || ' 00:00+00');
          execute format('delete from tradeflow.%I d where d.%I < %L', parent.name || '_default', parent.at_column, (today - parent.keep) || ' 00:00+00');
          fresh := 1;
        end if;
      end if;
      for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = ('tradeflow.' || parent.name)::regclass
          and c.relname ~ ('^' || parent.name || '_[0-9]{8}$')
          and to_date(right(c.relname, 8), 'YYYYMMDD') < today - parent.keep
      loop
        execute format('drop table tradeflow.%I', part);
      end loop;
      made := made + fresh;
    exception when lock_not_available then
      perform tradeflow._is_due('partitions', '0');
    end;
  end loop;
  return made;
end
$_$;

COMMENT ON FUNCTION tradeflow._partitions() IS 'Internal. Makes the next day of outbox_history and change_log, drops those past settings history_days and change_log_days.';

CREATE FUNCTION tradeflow._pause_failing() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  allowed  int := coalesce((select s.value::int from tradeflow.settings s where s.name = 'pause_after_errors' and s.value ~ '^[1-9][0-9]{0,8}$'), 100);
  failing  record;
  paused   int := 0;
begin
  for failing in
    with found as (
      select i.rule, sum(i.count) as total,
             coalesce(sum(i.count) filter (where i.last_seen_at < clock_timestamp() - interval '1 hour'), 0) as before
      from tradeflow.incidents i
      where i.kind = 'rule_error' and i.acked_at is null
      group by i.rule
    ), counted as (
      insert into tradeflow.rule_failures as f (rule, since, base, total)
      select x.rule, clock_timestamp(), x.before, x.total
      from found x
      join tradeflow.rules r on r.name = x.rule and r.paused_at is null
      left join tradeflow.rule_failures known on known.rule = x.rule
      where known.total is distinct from x.total
      on conflict (rule) do update
      set base = case when excluded.total < f.total then excluded.total
                      when f.since < clock_timestamp() - interval '1 hour' then f.total else f.base end,
          since = case when excluded.total < f.total or f.since < clock_timestamp() - interval '1 hour' then excluded.since else f.since end,
          total = excluded.total
      returning f.rule, f.total - f.base as errors
    )
    select * from counted c where c.errors >= allowed order by c.rule
  loop
    update tradeflow.rules r
    set paused_at = clock_timestamp(), paused_reason = format('it failed for %s rows within an hour', failing.errors)
    where r.name = failing.rule;
    insert into tradeflow.incidents (kind, rule, source, message, hint, count)
    select 'rule_paused', r.name, coalesce(r.source, r.view), format('rule "%s" is paused: %s', r.name, r.paused_reason),
           format('its incidents say why it fails. Mend it, then select tradeflow.resume(%1$L); what changed meanwhile: select tradeflow.backfill(%1$L, ''…'');', r.name),
           failing.errors
    from tradeflow.rules r where r.name = failing.rule;
    paused := paused + 1;
  end loop;
  return paused;
end
$_$;

COMMENT ON FUNCTION tradeflow._pause_failing() IS 'Internal. Part of tick(): pauses rules that keep failing. Returns how many.';

CREATE FUNCTION tradeflow._qualified_name(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select format('%I.%I', n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = rel
$$;

COMMENT ON FUNCTION tradeflow._qualified_name(rel regclass) IS 'Internal. Schema and name of a table, quoted where needed.';

CREATE FUNCTION tradeflow._read_as(query text, search_path text, owner regrole) RETURNS text
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_read_as';

COMMENT ON FUNCTION tradeflow._read_as(query text, search_path text, owner regrole) IS 'Internal. The first column of the first row of a SELECT, run as this role, read-only.';

CREATE FUNCTION tradeflow._reads(query text, search_path text, owner regrole) RETURNS text
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_reads';

COMMENT ON FUNCTION tradeflow._reads(query text, search_path text, owner regrole) IS 'Internal. What a SELECT reads: a JSON text with columns [[table''s oid, attribute number; 0 the row, -1 nothing of it]] and functions [oid]. Parsed as this role, not run.';

CREATE FUNCTION tradeflow._recheck_views() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  asked  record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    return 0;
  end if;
  with due as (
    select m.rule, m.subject from tradeflow.members m
    where m.recheck_at <= tradeflow.now()
    order by m.recheck_at limit 10000
  ), queued as (
    delete from tradeflow.view_checks c
    where c.id in (select x.id from tradeflow.view_checks x
                   where x.xact is distinct from pg_current_xact_id_if_assigned()
                   order by x.id limit 1000 for update skip locked)
    returning c.rules, c.subjects, c.silent
  ), pairs as (
    select d.rule, d.subject, false as silent from due d
    union all
    select r.rule, s.subject, q.silent from queued q, unnest(q.rules) r(rule), unnest(q.subjects) s(subject)
  )
  select array_agg(p.rule) as rules, array_agg(p.subject) as subjects, array_agg(p.silent) as silent into asked from pairs p;
  -- In one call: all locks are taken before the first question.
  return tradeflow._settle(asked.rules, asked.subjects, asked.silent);
end
$$;

COMMENT ON FUNCTION tradeflow._recheck_views() IS 'Internal. Part of tick(): rechecks that are due, and queued ones.';

CREATE FUNCTION tradeflow._refuse_value(what text, how text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception '%', what using errcode = 'check_violation', hint = how;
end
$$;

COMMENT ON FUNCTION tradeflow._refuse_value(what text, how text) IS 'Internal. Errors: always 23514, with these words and this hint.';

CREATE FUNCTION tradeflow._remember(ids bigint[], attempts integer[], results jsonb[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- What is accepted here is accepted to the end: nobody else has these any more. In the order of ids, as all lock.
  perform from tradeflow.outbox o join unnest(ids, attempts) c(id, attempt) on o.id = c.id and o.attempt = c.attempt
  where o.state = 'running' order by o.id for update of o;
  insert into tradeflow.links as l (source, subject, target, object, other_id, outbox_id)
  select distinct on (1, 2, 3, 4)
    coalesce(e.link ->> 'source', o.source), coalesce(e.link ->> 'subject', o.subject), coalesce(e.link ->> 'target', o.target, ''),
    e.link ->> 'object', e.link ->> 'id', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'links') when 'array' then c.result -> 'links' else '[]' end) e(link)
  where e.link ->> 'object' <> '' and e.link ->> 'id' <> ''
  order by 1, 2, 3, 4, o.id desc
  on conflict (source, subject, target, object) do update
    set other_id = excluded.other_id, outbox_id = excluded.outbox_id,
        updated_at = case when l.other_id = excluded.other_id then l.updated_at else excluded.updated_at end;
  insert into tradeflow.pushes (target, object, object_id, hash, written, outbox_id)
  select distinct on (1, 2, 3)
    coalesce(o.target, ''), e.push ->> 'object', e.push ->> 'id', e.push ->> 'hash', e.push -> 'values', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'pushed') when 'array' then c.result -> 'pushed' else '[]' end) e(push)
  where e.push ->> 'object' <> '' and e.push ->> 'id' <> '' and e.push ? 'values' and e.push ->> 'hash' <> ''
  order by 1, 2, 3, o.id desc
  on conflict (target, object, object_id) do update
    set hash = excluded.hash, written = excluded.written, outbox_id = excluded.outbox_id, pushed_at = excluded.pushed_at;
end
$$;

COMMENT ON FUNCTION tradeflow._remember(ids bigint[], attempts integer[], results jsonb[]) IS 'Internal. Stores what results say: links [{object, id, source?, subject?, target?}] and pushed [{object, id, hash, values}].';

CREATE FUNCTION tradeflow._render(source text, context jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT
    AS '$libdir/tradeflow', 'tradeflow_render';

COMMENT ON FUNCTION tradeflow._render(source text, context jsonb) IS 'Internal. A template rendered over the keys of an object. Errors: 22023 when it names what is not there, or does not compile.';

CREATE FUNCTION tradeflow._replay(definition text, source regclass, source_name text, since timestamp with time zone, until timestamp with time zone, OUT log_id bigint, OUT changed_at timestamp with time zone, OUT event text, OUT edge text, OUT subject text, OUT occurrence text, OUT fire_at timestamp with time zone, OUT facts jsonb, OUT error text) RETURNS SETOF record
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_replay';

COMMENT ON FUNCTION tradeflow._replay(definition text, source regclass, source_name text, since timestamp with time zone, until timestamp with time zone, OUT log_id bigint, OUT changed_at timestamp with time zone, OUT event text, OUT edge text, OUT subject text, OUT occurrence text, OUT fire_at timestamp with time zone, OUT facts jsonb, OUT error text) IS 'Internal. Asks a definition about the logged changes of a table, as its owner, of whom the caller must be a member. Errors of the rule come as a row of their own.';

CREATE FUNCTION tradeflow._report_unknown_kinds() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  executed  text[] := tradeflow._kinds_executed();
  reported  int;
begin
  -- Nobody said which kinds it executes: clients of another make, of which nothing is known.
  if executed = '{}' then
    return 0;
  end if;
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.kind = 'unknown_kind' and i.acked_at is null and i.detail = any (executed);

  with stuck as (
    select c.kind, sum(overdue.actions) as actions, min(overdue.first) as first
    from tradeflow.channels c
    cross join lateral (
      select count(*) as actions, min(x.id) as first
      from (
        select o.id from tradeflow.outbox o
        where o.kind = c.kind and coalesce(o.target, '') = c.target and o.state = 'ready' and o.parked is null
          and (o.run_at, o.id) >= (c.from_at, c.from_id) and o.run_at < clock_timestamp() - interval '1 minute'
        order by o.run_at, o.id limit 1000) x) overdue
    where c.kind <> all (executed)
    group by c.kind
    having sum(overdue.actions) > 0
  ), added as (
    insert into tradeflow.incidents (kind, rule, source, subject, outbox_id, message, detail, hint)
    select 'unknown_kind', o.rule, o.source, o.subject, o.id,
           format('no sidecar that runs executes kind "%s": %s actions have been ready for more than a minute', s.kind, case when s.actions < 1000 then s.actions::text else 'many' end),
           s.kind,
           format('start one that does (tradeflow run --kind %s; the configuration''s kinds lists those of a sidecar), or cancel them: tradeflow outbox cancel --kind %1$s', s.kind)
    from stuck s
    join tradeflow.outbox o on o.id = s.first
    where not exists (select from tradeflow.incidents i where i.kind = 'unknown_kind' and i.acked_at is null and i.detail = s.kind)
    returning 1
  )
  select count(*)::int into reported from added;
  return reported;
end
$_$;

COMMENT ON FUNCTION tradeflow._report_unknown_kinds() IS 'Internal. Part of tick(): an incident for each kind whose ready actions nobody executes; it closes by itself when somebody does. Returns how many are new.';

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

CREATE FUNCTION tradeflow._require_reader(r tradeflow.rules) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  caller name := tradeflow._caller();
begin
  if not pg_has_role(caller, 'tradeflow_operator', 'member')
     and not exists (select from pg_roles where rolname = r.owner and pg_has_role(caller, rolname, 'member'))
     and not coalesce(has_table_privilege(caller, to_regclass(coalesce(r.source, r.view)), 'select'), false) then
    raise exception 'permission denied to explain rule "%"', r.name
      using errcode = 'insufficient_privilege',
            hint = format('An explanation shows values of %s: it takes SELECT there, membership in role %I, or tradeflow_operator.',
                          coalesce(r.source, r.view, 'the rows its query reads'), r.owner);
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._require_reader(r tradeflow.rules) IS 'Internal. Errors: 42501 unless the caller may see what the rule sees.';

CREATE FUNCTION tradeflow._require_target(target text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if not exists (select from tradeflow.targets t where t.name = _require_target.target) then
    raise exception 'there is no target "%"', _require_target.target
      using errcode = 'undefined_object', hint = 'targets: ' || coalesce((select string_agg(t.name, ', ' order by t.name) from tradeflow.targets t), 'none');
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._require_target(target text) IS 'Internal. An error if there is no such target, with those there are.';

CREATE FUNCTION tradeflow._rescue() RETURNS TABLE(rescued integer, uncertain integer)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
declare
  o          tradeflow.outbox;
  repeatable boolean;
  now        timestamptz := clock_timestamp();
  index      oid := 'tradeflow.outbox_lease'::regclass;
  before     bigint := pg_stat_get_xact_tuples_returned(index);
  looked     timestamptz;
  thorough   boolean := false;
  seen       int := 0;
begin
  rescued := 0;
  uncertain := 0;
  -- While an old transaction keeps vacuum from cleaning, leases that ended well lie here without end: they are passed once.
  select u.from_at into looked from tradeflow.upkeep u where u.task = 'leases';
  if looked > '-infinity' and tradeflow._is_due('leases', '1 minute') then
    looked := '-infinity';
    thorough := true;
  end if;
  for o in
    select * from tradeflow.outbox x
    where x.lease_until < now and x.lease_until >= coalesce(looked, '-infinity')
    order by x.lease_until limit 1000
    for update skip locked
  loop
    seen := seen + 1;
    repeatable := o.started_at is null or coalesce((select k.repeatable from tradeflow.action_kinds k where k.name = o.kind), false);
    perform tradeflow._not_answered(o.target, null, false);
    if not repeatable then
      perform tradeflow._bury(o, 'uncertain', format('worker %s was lost after it began to send; whether it arrived is unknown', o.worker));
      uncertain := uncertain + 1;
    elsif o.attempt >= o.max_attempts then
      perform tradeflow._bury(o, 'dead', format('gave up after %s attempts: worker %s was lost', o.attempt, o.worker));
    else
      update tradeflow.outbox x
      set state = 'ready', error = format('worker %s was lost', o.worker), worker = null, lease_until = null, started_at = null,
          run_at = clock_timestamp()
      where x.id = o.id;
      perform tradeflow._lanes_freed(array[o.lane]);
      rescued := rescued + 1;
    end if;
  end loop;
  if thorough then
    update tradeflow.upkeep u
    set took = clock_timestamp() - now,
        from_at = case when pg_stat_get_xact_tuples_returned(index) - before < 1000 + seen then '-infinity' else u.from_at end
    where u.task = 'leases';
  end if;
  if not thorough and seen < 1000 and pg_stat_get_xact_tuples_returned(index) - before > 1000 + seen then
    insert into tradeflow.upkeep as u (task, from_at) values ('leases', now - interval '2 seconds')
    on conflict on constraint upkeep_pkey do update set from_at = excluded.from_at;
  end if;
  return next;
end
$$;

COMMENT ON FUNCTION tradeflow._rescue() IS 'Internal. Takes back actions whose lease ended.';

CREATE FUNCTION tradeflow._resolve_incidents(kind text, rule text, source text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from tradeflow.incidents i
  where i.kind = _resolve_incidents.kind and i.acked_at is null and i.created_at = now()
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
  update tradeflow.incidents i set acked_at = now(), acked_by = 'tradeflow'
  where i.kind = _resolve_incidents.kind and i.acked_at is null
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
$$;

COMMENT ON FUNCTION tradeflow._resolve_incidents(kind text, rule text, source text) IS 'Internal. Closes the open incidents of this kind, rule and source, whose cause is gone.';

CREATE FUNCTION tradeflow._restoring() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select not current_setting('check_function_bodies')::boolean and not current_setting('row_security')::boolean $$;

COMMENT ON FUNCTION tradeflow._restoring() IS 'Internal. Whether the session restores a dump.';

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

CREATE FUNCTION tradeflow._rule_inputs_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op <> 'INSERT' then
    perform tradeflow._invalidate(to_regclass(old.source));
  end if;
  if tg_op <> 'DELETE' then
    perform tradeflow._invalidate(to_regclass(new.source));
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._rule_inputs_after_write() IS 'Internal. Has every backend compile the table''s rules anew.';

CREATE FUNCTION tradeflow._rule_inputs_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  the_rule  tradeflow.rules;
  rel       regclass;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if found then
    perform tradeflow._require_member(the_rule.owner, the_rule.name);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if the_rule.name is not null and the_rule.view is null then
    raise exception 'rule "%" has no view, so it has no inputs', new.rule
      using errcode = 'invalid_parameter_value', hint = 'A rule with a source is asked about the changed row itself.';
  end if;
  rel := to_regclass(new.source);
  if rel is null then
    raise exception 'input of rule "%": table "%" does not exist', new.rule, new.source using errcode = 'undefined_table';
  end if;
  new.source := tradeflow._qualified_name(rel);
  if not exists (select from tradeflow.watched_tables w where w.name = new.source) then
    raise exception 'input of rule "%": table % is not watched', new.rule, new.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L);', new.source);
  end if;
  if to_regclass(the_rule.view) is not null and not tradeflow._restoring() then
    perform tradeflow._compile_input(new.rule, rel, new.subject, tradeflow._view_subject_type(the_rule.view),
                                     the_rule.search_path, to_regrole(quote_ident(the_rule.owner)));
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._rule_inputs_before_write() IS 'Internal. Checks an input of a view rule and compiles what maps a row to subjects.';

CREATE FUNCTION tradeflow._rule_inputs_source() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  new.source := tradeflow._as_written(new.source);
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._rule_inputs_source() IS 'Internal. Qualifies the name of an input''s table, by the writer''s search_path.';

CREATE FUNCTION tradeflow._rule_missing(r tradeflow.rules) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rules_after_write() IS 'Internal. Keeps the earlier definition, cancels what waits for a rule that is off or gone, and has every backend compile anew.';

CREATE FUNCTION tradeflow._rules_before_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._rules_before_write() IS 'Internal. Checks a rule as it is written and compiles it.';

CREATE FUNCTION tradeflow._rules_plan() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.schedule is null then
    delete from tradeflow.schedules s where s.rule = new.name;
  elsif tg_op = 'INSERT' or old.schedule is distinct from new.schedule or (tradeflow._is_asked(new) and not tradeflow._is_asked(old)) then
    update tradeflow.schedules s
    set next_run_at = tradeflow._next_run(new.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = new.name;
    if not found then
      insert into tradeflow.schedules (rule, next_run_at)
      values (new.name, tradeflow._next_run(new.schedule, tradeflow.now()));
    end if;
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._rules_plan() IS 'Internal. Plans the next run of a rule with a schedule.';

CREATE FUNCTION tradeflow._rules_resumed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.rule = new.name and i.kind in ('rule_error', 'rule_paused') and i.acked_at is null;
  delete from tradeflow.rule_failures f where f.rule = new.name;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._rules_resumed() IS 'Internal. The count of a rule''s errors begins anew when it is resumed.';

CREATE FUNCTION tradeflow._rules_search_path() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

COMMENT ON FUNCTION tradeflow._rules_search_path() IS 'Internal. Pins the writer''s search_path to a rule that gives none, and qualifies the names of its table or view.';

CREATE FUNCTION tradeflow._rules_valid() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION tradeflow._rules_valid() IS 'Internal. Errors: 23514 for a value that a rule cannot have.';

CREATE FUNCTION tradeflow._run_schedule(rule text) RETURNS integer
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_run_schedule';

COMMENT ON FUNCTION tradeflow._run_schedule(rule text) IS 'Internal. Runs the query of a schedule rule as its owner; each row is a firing. Returns how many.';

CREATE FUNCTION tradeflow._run_schedules() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  due    record;
  fired  int;
  said   text;
  ran    int := 0;
begin
  -- The clock was set back.
  update tradeflow.schedules s
  set next_run_at = tradeflow._next_run(r.schedule, tradeflow.now()), planned_at = tradeflow.now()
  from tradeflow.rules r
  where r.name = s.rule and s.planned_at > tradeflow.now();

  for due in
    select s.rule, r.schedule
    from tradeflow.schedules s join tradeflow.rules r on r.name = s.rule
    where s.next_run_at <= tradeflow.now() and tradeflow._is_asked(r)
    order by s.next_run_at, s.rule limit 100
    for update of s skip locked
  loop
    said := null;
    begin
      fired := tradeflow._run_schedule(due.rule);
    exception
    when lock_not_available or deadlock_detected then
      continue;  -- somebody alters what it reads; it stays due
    when others then
      fired := null;
      said := sqlerrm;
      insert into tradeflow.incidents (kind, rule, message, hint, sqlstate)
      values ('schedule_error', due.rule, format('rule "%s", when its schedule was due: %s', due.rule, said),
              'mend its query; it is run again when its schedule says so.', sqlstate);
    end;
    update tradeflow.schedules s
    set last_run_at = tradeflow.now(), last_firings = fired, last_error = said,
        next_run_at = tradeflow._next_run(due.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = due.rule;
    ran := ran + 1;
  end loop;
  return ran;
end
$$;

COMMENT ON FUNCTION tradeflow._run_schedules() IS 'Internal. Part of tick(): runs the schedules that are due. Returns how many.';

CREATE FUNCTION tradeflow._schedules_replace() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from tradeflow.schedules s where s.rule = new.rule;
  return new;
end
$$;

COMMENT ON FUNCTION tradeflow._schedules_replace() IS 'Internal. Lets a dumped schedule take the place of the new one.';

CREATE FUNCTION tradeflow._seed_view(rule text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tradeflow._restoring() then
    return;  -- the dump has the members
  end if;
  delete from tradeflow.members m where m.rule = _seed_view.rule;
  perform tradeflow._settle(array[_seed_view.rule], array[null::text], array[true]);
end
$$;

COMMENT ON FUNCTION tradeflow._seed_view(rule text) IS 'Internal. Fills members from a view, silently.';

CREATE FUNCTION tradeflow._settings_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform tradeflow._invalidate('tradeflow.settings');
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

COMMENT ON FUNCTION tradeflow._settings_after_write() IS 'Internal. Has every backend read the settings again, and compile anew the rules that have one for a constant.';

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

CREATE FUNCTION tradeflow._settle(rules text[], subjects text[], silent boolean[]) RETURNS integer
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_settle';

COMMENT ON FUNCTION tradeflow._settle(rules text[], subjects text[], silent boolean[]) IS 'Internal. Asks view rules about subjects (arrays of one length; a subject that is NULL: everybody), updates members, and fires for who entered and left unless silent. Locks the subjects until the end of the transaction, in a bounded number of advisory locks. Returns how many entered or left.';

CREATE FUNCTION tradeflow._settle_transaction() RETURNS trigger
    LANGUAGE c
    AS '$libdir/tradeflow', 'tradeflow_settle_transaction';

COMMENT ON FUNCTION tradeflow._settle_transaction() IS 'Internal. Deferred trigger of view_checks: asks about what the transaction left there, but above READ COMMITTED leaves it to tick().';

CREATE FUNCTION tradeflow._simulated(firing bigint, incident bigint) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with own as materialized (select (pg_current_xact_id()::text::numeric::bigint >> 32) << 32 as epoch)
  select jsonb_build_object(
    'firings', (
      select coalesce(jsonb_agg(jsonb_build_object(
          'rule', f.rule, 'source', f.source, 'event', f.event, 'edge', f.edge, 'subject', f.subject, 'occurrence', f.occurrence,
          'state', f.state, 'run_at', f.run_at, 'facts', f.facts,
          'actions', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                          'step', a.step, 'name', a.name, 'kind', a.kind, 'target', a.target, 'params', a.params,
                          'delay', nullif(a.delay, '0'))) order by a.step), '[]')
                      from tradeflow.actions a where a.rule = f.rule and a.edge = f.edge)) order by f.firing_id), '[]')
      from own, tradeflow.outbox f
      where f.firing_id > firing and pg_xact_status((own.epoch + f.xmin::text::bigint)::text::xid8) = 'in progress'),
    'incidents', (
      select coalesce(jsonb_agg(i.message order by i.id), '[]')
      from own, tradeflow.incidents i
      where i.id > incident and pg_xact_status((own.epoch + i.xmin::text::bigint)::text::xid8) = 'in progress'))
$$;

COMMENT ON FUNCTION tradeflow._simulated(firing bigint, incident bigint) IS 'Internal. What the current transaction has fired since these numbers, as JSON.';

CREATE FUNCTION tradeflow._spend(target text, claimed integer, now timestamp with time zone, lease interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.target_states s
  set tokens = tradeflow._tokens(t, s, _spend.now) - _spend.claimed,
      refilled_at = case when t.rate_limit is not null then _spend.now end,
      running = case when t.concurrency is not null then s.running + _spend.claimed else 0 end,
      breaker = case when s.breaker = 'closed' or t.breaker_failures = 0 then 'closed' else 'half_open' end,
      retry_at = case when s.breaker <> 'closed' and t.breaker_failures > 0 then clock_timestamp() + _spend.lease end
  from tradeflow.targets t
  where s.target = _spend.target and t.name = s.target;
end
$$;

COMMENT ON FUNCTION tradeflow._spend(target text, claimed integer, now timestamp with time zone, lease interval) IS 'Internal. Takes tokens for claimed executions and counts them as running; an open breaker becomes half-open.';

CREATE FUNCTION tradeflow._statements(source text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT
    AS '$libdir/tradeflow', 'tradeflow_statements';

COMMENT ON FUNCTION tradeflow._statements(source text) IS 'Internal. What the statements of a text are, as JSON: {"statements": [{"tag", "at", "end", …}]} with offsets in bytes, or {"error": {"message", "hint", "sqlstate", "position"}} where it does not parse. Nothing is run.';

CREATE FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) RETURNS jsonb
    LANGUAGE c STRICT
    AS '$libdir/tradeflow', 'tradeflow_still';

COMMENT ON FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) IS 'Internal. Asks a due timer''s question again on the row as it is now, as the rule''s owner: the facts, or NULL for no.';

CREATE FUNCTION tradeflow._sweep_channels() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  channel  tradeflow.channels;
  began    timestamptz;
  before   bigint;  -- pages of the index: entries known to be dead are passed without being counted
  late     int;
  moved    int := 0;
begin
  for channel in
    select * from tradeflow.channels c
    where c.from_at > '-infinity'
      and (c.swept_at is null or c.swept_at + greatest(20 * c.sweep_took, interval '0.5 seconds') < clock_timestamp())
    order by c.kind, c.target
  loop
    began := clock_timestamp();
    before := pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass);
    update tradeflow.outbox o
    set run_at = clock_timestamp()
    from (
      select x.ctid as at from tradeflow.outbox x
      where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
        and (x.run_at, x.id) < (channel.from_at, channel.from_id)
      for update skip locked) late_one
    where o.ctid = late_one.at;
    get diagnostics late = row_count;
    moved := moved + late;
    update tradeflow.channels c
    set swept_at = clock_timestamp(), sweep_took = clock_timestamp() - began,
        from_at = case when pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass) - before < 16 then '-infinity' else c.from_at end
    where c.kind = channel.kind and c.target = channel.target;
  end loop;
  return moved;
end
$$;

COMMENT ON FUNCTION tradeflow._sweep_channels() IS 'Internal. Part of tick(): finds ready actions that committed after claim() had gone past them. Returns how many.';

CREATE FUNCTION tradeflow._targets_after_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  problem text;
begin
  if tg_op <> 'DELETE' then
    select format('action %s of rule "%s" is of kind "%s", and needs one of system %s', a.step, a.rule, a.kind, k.system) into problem
    from tradeflow.actions a join tradeflow.action_kinds k on k.name = a.kind
    where a.target = new.name and k.system <> new.system and not tradeflow._restoring()
    order by a.rule, a.step limit 1;
    if found then
      raise exception 'target "%" is of system %, but %', new.name, new.system, problem
        using errcode = 'invalid_parameter_value', hint = 'Give the target another name, or change the action first.';
    end if;
    insert into tradeflow.target_states (target) values (new.name) on conflict do nothing;
    perform tradeflow._revalidate(array[new.name], format('target "%s"', new.name));
  end if;
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.name <> new.name) then
    perform tradeflow._revalidate(array[old.name], format('the loss of target "%s"', old.name));
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._targets_after_write() IS 'Internal. A rule whose action waited for this target starts; one that needs it refuses its loss, or another system under its name. Errors: 22023.';

CREATE FUNCTION tradeflow._targets_limited() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.concurrency is not null and old.concurrency is null then
    perform tradeflow._count_running(array[new.name]);
  end if;
  -- What waited for the old limit may go on.
  perform pg_notify('tradeflow', '');
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._targets_limited() IS 'Internal. Applies changed limits of a target at once.';

CREATE FUNCTION tradeflow._targets_of(system text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce('there is ' || string_agg(format('"%s"', t.name), ', ' order by t.name),
                  format('insert one into tradeflow.targets with system ''%s''.', _targets_of.system))
  from tradeflow.targets t where t.system = _targets_of.system
$$;

COMMENT ON FUNCTION tradeflow._targets_of(system text) IS 'Internal. The hint of an action without the target it needs: which there are, or what to insert.';

CREATE FUNCTION tradeflow._targets_valid() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION tradeflow._targets_valid() IS 'Internal. Errors: 23514 for a value that a target cannot have; what was taken for a secret is not repeated.';

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

CREATE FUNCTION tradeflow._tidy_incidents() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tradeflow._is_due('settled', '5 seconds') then
    update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
    where i.kind = 'breaker_open' and i.acked_at is null
      and exists (select from tradeflow.target_states s where s.target = i.subject and s.breaker = 'closed');
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'settled';
  end if;
  if tradeflow._is_due('noted', '1 hour') then
    delete from tradeflow.incidents i
    where i.acked_at < clock_timestamp() - make_interval(days => tradeflow._days('history_days', 90));
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'noted';
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow._tidy_incidents() IS 'Internal. Part of tick(): notes incidents of breakers that closed, and forgets those noted before the history begins.';

CREATE FUNCTION tradeflow._tokens(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) RETURNS double precision
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return case when t.rate_limit is not null then least(
    coalesce(t.burst, t.rate_limit),
    coalesce(s.tokens + t.rate_limit * greatest(extract(epoch from now - s.refilled_at), 0) / extract(epoch from t.rate_period),
             coalesce(t.burst, t.rate_limit)))
  end;
end
$$;

COMMENT ON FUNCTION tradeflow._tokens(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) IS 'Internal. The tokens of a target''s bucket at this time; NULL: it has no rate limit.';

CREATE FUNCTION tradeflow._truncated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._truncated() IS 'Internal. Trigger of watched tables: what waits for rows that TRUNCATE removed is cancelled, and views are asked about all their members.';

CREATE FUNCTION tradeflow._try_again(target text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.target_states s
  set throttled_until = null, retry_at = case when s.breaker = 'open' then clock_timestamp() else s.retry_at end
  where s.target = _try_again.target
    and (s.throttled_until > clock_timestamp() or (s.breaker = 'open' and s.retry_at > clock_timestamp()));
  return found;
end
$$;

COMMENT ON FUNCTION tradeflow._try_again(target text) IS 'Internal. Ends a target''s throttling and lets its open breaker try now. False: there was neither.';

CREATE FUNCTION tradeflow._unpark_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  -- One time for all: they go on in the order of their ids.
  now timestamptz := clock_timestamp();
begin
  update tradeflow.outbox o set parked = null, run_at = now where o.parked = 'rule' and o.rule = new.name;
  if found then
    perform pg_notify('tradeflow', '');
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION tradeflow._unpark_rule() IS 'Internal. The actions of a rule that is resumed go on.';

CREATE FUNCTION tradeflow._view_subject_type(view text) RETURNS regtype
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select a.atttypid::regtype from pg_attribute a where a.attrelid = to_regclass(view) and a.attname = 'subject' and a.attnum > 0 and not a.attisdropped $$;

COMMENT ON FUNCTION tradeflow._view_subject_type(view text) IS 'Internal. The type of a view''s column subject; NULL when it has none.';

CREATE FUNCTION tradeflow._wake_timers() RETURNS TABLE(due integer, cancelled integer)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '3s'
    AS $$
declare
  o       tradeflow.outbox;
  fresh   jsonb;
  locked  text[] := '{}';
begin
  due := 0;
  cancelled := 0;
  for o in
    select * from tradeflow.outbox x
    where x.state = 'waiting' and x.run_at <= tradeflow.now()
      -- A paused rule is not asked, about its timers neither.
      and not exists (select from tradeflow.rules r where r.name = x.rule and r.paused_at is not null)
    order by x.run_at, x.id limit 1000
    for update skip locked
  loop
    continue when o.rule = any (locked);
    begin
      -- Later steps follow from a step that was done: they are not asked again.
      fresh := case when o.key is null or o.steps <> '{}' then o.facts else tradeflow._still(o.rule, o.key, o.subject, o.occurrence) end;
    exception when others then
      -- A table that somebody alters, or a deadlock, passes: the timers of that rule have their turn at a later tick.
      if sqlstate in ('55P03', '40P01') and o.run_at > tradeflow.now() - interval '1 hour' then
        locked := locked || o.rule;
        continue;
      end if;
      update tradeflow.outbox x set state = 'held', reason = 'its question could not be asked again', error = sqlerrm where x.id = o.id;
      perform tradeflow._incident('timer_error', o, format('rule "%s" for %s, when its timer was due: %s', o.rule, o.subject, sqlerrm),
                                  format('mend the rule, then select tradeflow.retry(%s);', o.id), sqlstate);
      continue;
    end;
    if fresh is null then
      perform tradeflow._withdraw(array[o.id], 'no longer holds when due');
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

CREATE FUNCTION tradeflow._watch_truncation(root regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow._watch_truncation(root regclass) IS 'Internal. Makes the missing triggers that see a TRUNCATE of one partition alone.';

CREATE FUNCTION tradeflow._withdraw(ids bigint[], reason text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
begin
  delete from tradeflow.members m
  using tradeflow.outbox o, tradeflow.rules r
  where o.id = any (ids) and o.state = 'waiting' and o.steps = '{}' and o.edge = 'enter'
    and r.name = o.rule and r.fires = 'once' and r.view is null
    and (m.rule, m.subject, m.occurrence) = (o.rule, o.subject, o.occurrence);
  return tradeflow._archive(ids, 'cancelled', reason);
end
$$;

COMMENT ON FUNCTION tradeflow._withdraw(ids bigint[], reason text) IS 'Internal. Cancels waiting actions whose answer no longer stands. Returns how many.';

CREATE FUNCTION tradeflow.absent(worker text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ delete from tradeflow.sidecars s where s.worker = absent.worker $$;

COMMENT ON FUNCTION tradeflow.absent(worker text) IS 'A sidecar says that it leaves.';

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

CREATE FUNCTION tradeflow.backfill(rule text, "where" text DEFAULT NULL::text, "limit" integer DEFAULT NULL::integer, mode text DEFAULT NULL::text) RETURNS integer
    LANGUAGE sql
    AS $$ select tradeflow._backfill(rule, "where", "limit", mode) $$;

COMMENT ON FUNCTION tradeflow.backfill(rule text, "where" text, "limit" integer, mode text) IS 'Fires a rule for what is there already, as if each row had just become so. where: a condition over the source''s (or the view''s) columns; limit: at most so many, in the order of the key; mode: NULL as the rule''s own, shadow (only recorded), held (executed when released), live. The question is asked with the caller''s rights. More than max_firings are held. Returns how many fired. Errors: 42704 no such rule; 42501 no member of its owner; 55000 it is off, paused or invalid, or has a schedule; 54000 more than 100,000 at once.';

CREATE FUNCTION tradeflow.backtest(draft jsonb, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(difference text, changed_at timestamp with time zone, event text, edge text, subject text, occurrence text, fire_at timestamp with time zone, facts jsonb, firing_id bigint, error text)
    LANGUAGE sql
    AS $$
  select b.*
  from (select 1) one
  left join tradeflow.rules s on s.name operator(pg_catalog.=) (draft operator(pg_catalog.->>) 'name')
  cross join lateral tradeflow._backtest(
    draft operator(pg_catalog.||) pg_catalog.jsonb_build_object(
      'owner', current_user,
      'source', coalesce(tradeflow._qualified_name(pg_catalog.to_regclass(draft operator(pg_catalog.->>) 'source')), draft operator(pg_catalog.->>) 'source', s.source),
      'search_path', coalesce(draft operator(pg_catalog.->>) 'search_path', s.search_path,
        (select pg_catalog.string_agg(pg_catalog.quote_ident(p), ', ' order by i)
         from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(p, i)), '')),
    s, since, until) b
$$;

COMMENT ON FUNCTION tradeflow.backtest(draft jsonb, since timestamp with time zone, until timestamp with time zone) IS 'The same for a draft: {"source": "store.quotes", "condition": "…"}, with any column of tradeflow.rules. With the name of a stored rule it is laid over that one, and compared with what that one fired. Runs as the caller.';

CREATE FUNCTION tradeflow.backtest(rule text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(difference text, changed_at timestamp with time zone, event text, edge text, subject text, occurrence text, fire_at timestamp with time zone, facts jsonb, firing_id bigint, error text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  stored tradeflow.rules;
begin
  select * into stored from tradeflow.rules r where r.name = backtest.rule;
  if not found then
    raise exception 'rule "%" does not exist', backtest.rule
      using errcode = 'undefined_object', hint = 'For a rule that is not stored: tradeflow.backtest(''{"source": "…", "condition": "…"}''::jsonb).';
  end if;
  perform tradeflow._require_member(stored.owner, stored.name);
  return query select * from tradeflow._backtest('{}', stored, since, until);
end
$$;

COMMENT ON FUNCTION tradeflow.backtest(rule text, since timestamp with time zone, until timestamp with time zone) IS 'Replays the logged changes of a rule''s table (watched with log => true) through the rule as it is now, and compares with what it fired then. difference: same; added (fires in the replay only); missing (fired then, not in the replay); error. A query reads the other tables as they are now. Silent changes are left out. The caller must be a member of the rule''s owner. Errors: 42704 no such rule, 0A000 no row rule, 55000 not logged.';

CREATE FUNCTION tradeflow.cancel(ids bigint[], reason text DEFAULT NULL::text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  mine bigint[] := array(
    select o.id from tradeflow.outbox o
    where o.id = any (cancel.ids) and o.state in ('ready', 'waiting', 'held', 'dead', 'uncertain', 'shadow')
    order by o.id for update);
begin
  perform tradeflow._archive(mine, 'cancelled', coalesce(cancel.reason, 'cancelled by ' || session_user));
  perform tradeflow._decided(mine);
  return cardinality(mine);
end
$$;

COMMENT ON FUNCTION tradeflow.cancel(ids bigint[], reason text) IS 'Cancels actions that are not running; they move to the history with the reason, and their incidents are noted. Returns how many.';

CREATE FUNCTION tradeflow.cancel(id bigint, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.cancel(array[id], reason) = 1 $$;

COMMENT ON FUNCTION tradeflow.cancel(id bigint, reason text) IS 'Cancels one action. False: it is running, or ended already.';

CREATE FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[] DEFAULT NULL::text[], room jsonb DEFAULT NULL::jsonb) RETURNS TABLE(id bigint, attempt integer, max_attempts integer, firing_id bigint, rule text, rule_version integer, source text, event text, subject text, occurrence text, edge text, step integer, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb, idempotency_key text, run_at timestamp with time zone, created_at timestamp with time zone, lease_until timestamp with time zone, traceparent text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
declare
  now       timestamptz := clock_timestamp();
  paused    text[];
  constants record;
  open      tradeflow.channels[];
  channel   tradeflow.channels;
  room_of   int[];
  limited   text[];
  n         int;
  share     int;
  free      int := max;
  got       int;
  found_now int;
  parked    int;
  tries     int;
  clashes   int := 0;
begin
  if claim.max is null or claim.max not between 1 and 10000 then
    raise exception 'max must be between 1 and 10000, not %', coalesce(claim.max::text, 'NULL') using errcode = 'invalid_parameter_value';
  elsif claim.lease is null or claim.lease not between interval '1 second' and interval '1 day' then
    raise exception 'lease must be between 1 second and 1 day, not %', coalesce(claim.lease::text, 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'a lease is how long a dead worker delays an action; extend() prolongs it.';
  elsif coalesce(claim.worker, '') = '' then
    raise exception 'worker must be named' using errcode = 'invalid_parameter_value', hint = 'host and process, for people who ask who holds a lease.';
  end if;

  -- The channels where something is ready, the one that waits longest first.
  select array_agg(c.channel order by c.since, c.first_id), array_agg(c.has_room order by c.since, c.first_id), array_agg(c.limited order by c.limited) filter (where c.limited is not null)
  into open, room_of, limited
  from tradeflow._open_channels(kinds, room, now) c;
  n := coalesce(cardinality(open), 0);
  if n = 0 then
    return;
  end if;

  if limited is not null then
    -- From here on nobody else claims for these targets.
    perform tradeflow._lock_states(limited);
    now := clock_timestamp();
  end if;
  paused := array(select r.name from tradeflow.rules r where r.paused_at is not null);
  select x.id, coalesce((select jsonb_object_agg(s.name, s.value) from tradeflow.settings s), '{}') as settings into constants
  from tradeflow.installation x;

  -- Each channel has its fair share, and what one leaves goes to the others.
  for round in 1..2 loop
    for i in 1..n loop
      channel := open[i];
      share := least(room_of[i], ceil(free::numeric / (n - i + 1))::int);
      if round = 2 then
        share := least(room_of[i], free);
      end if;
      continue when share <= 0;
      if limited is not null and channel.target = any (limited) then
        share := least(share, (select tradeflow._admits(t, s, now) from tradeflow.target_states s join tradeflow.targets t on t.name = s.target
                               where s.target = channel.target));
        continue when share <= 0;
      end if;
      got := 0;
      tries := 0;
      loop
        begin
          return query
          with free as (
            select o.ctid as at
            from (
              select x.ctid, x.id, x.lane, x.rule
              from tradeflow.outbox x
              where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
                and (x.run_at, x.id) >= (channel.from_at, channel.from_id) and x.run_at <= now
              order by x.run_at, x.id
              limit 2 * share + 100) w
            join tradeflow.outbox o on o.ctid = w.ctid
            where o.state = 'ready' and o.parked is null
              and w.rule <> all (paused)
              -- Look-ups, one for each row, whatever the planner thinks of joins.
              and (select b.id from tradeflow.outbox b where b.lane = w.lane and b.worker is not null limit 1) is null
              and (select b.id from tradeflow.outbox b where b.lane = w.lane and b.id < w.id and (b.state = 'ready' or b.blocking) limit 1) is null
            limit share - got
            for update of o skip locked
          ), held as (
            update tradeflow.outbox o
            set state = 'running', attempt = o.attempt + 1, worker = claim.worker, lease_until = clock_timestamp() + claim.lease, started_at = null
            -- All places in one list: a join would begin a scan of the table for each of them.
            where o.ctid = any (array(select f.at from free f))
            returning o.*
          )
          select h.id, h.attempt, h.max_attempts, h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge,
                 h.step, h.action, h.kind, h.target, a.params, case when a.asks then again.facts else h.facts end, h.steps, constants.settings,
                 constants.id || '-' || h.id, h.run_at, h.created_at, h.lease_until, h.traceparent
          from held h
          left join lateral (
            -- Without a key, or a view to look into, there is nobody to ask about.
            select x.params, x.recheck and x.edge = 'enter' and (h.key is not null or h.event = 'view') as asks
            from tradeflow.actions x where x.rule = h.rule and x.edge = h.edge and x.step = h.step) a on true
          left join lateral (select tradeflow._ask_again(h.id) as facts where a.asks offset 0) again on true
          where a.asks is not true or again.facts is not null
          order by h.run_at, h.id;
          get diagnostics found_now = row_count;
        exception when unique_violation then
          -- Another claim took one of the same lane at this very moment, and has committed: now it is seen.
          clashes := clashes + 1;
          if clashes > 5 then
            raise;
          end if;
          continue;
        end;
        got := got + found_now;
        exit when got >= share;
        parked := tradeflow._park(channel, now, greatest(2 * share + 100, 2000), paused);
        tries := tries + 1;
        -- Whoever is told comes again.
        if parked > 0 and tries > 100 then
          perform pg_notify('tradeflow', '');
        end if;
        exit when parked = 0 or tries > 100;
      end loop;
      if got > 0 then
        if limited is not null and channel.target = any (limited) then
          perform tradeflow._spend(channel.target, got, now, claim.lease);
        end if;
        room_of[i] := room_of[i] - got;
        free := free - got;
      else
        room_of[i] := 0;
      end if;
    end loop;
    exit when free <= 0;
  end loop;
end
$$;

COMMENT ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[], room jsonb) IS 'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. room: how many of which target the worker takes, {"hubspot": 12, "*": 64}; "" is for actions without a target, * for targets not named. params is NULL when the action was deleted meanwhile. An action with recheck is asked about first, and is not among the leased ones when the answer is no. Targets give no more than their limits allow. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';

CREATE FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) RETURNS TABLE(id bigint, accepted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
declare
  good         bigint[];
  targets      text[];
  results_are  record;
  bad          record;
begin
  if cardinality(ids) is distinct from cardinality(attempts) or cardinality(ids) is distinct from cardinality(results) then
    raise exception 'ids, attempts and results must be of one length' using errcode = 'invalid_parameter_value';
  end if;
  select bool_or(jsonb_typeof(r) <> 'object' or pg_column_size(r) > 4194304) as refused, bool_or(r ? 'links' or r ? 'pushed') as told
  into results_are
  from unnest(results) r;
  if results_are.refused then
    select u.id, case when jsonb_typeof(u.r) <> 'object' then 'of type ' || jsonb_typeof(u.r) else pg_size_pretty(pg_column_size(u.r)::bigint) end as what
    into bad
    from unnest(ids, results) u(id, r)
    where jsonb_typeof(u.r) <> 'object' or pg_column_size(u.r) > 4194304 limit 1;
    raise exception 'the result of action % is %; it must be a JSON object of at most 4 MB', bad.id, bad.what
      using errcode = 'invalid_parameter_value', hint = 'the whole call was refused: complete the other actions without this one.';
  elsif results_are.told then
    perform tradeflow._remember(ids, attempts, results);
  end if;
  select f.ids, f.targets into good, targets from tradeflow._finish(ids, 'done', null, results, attempts) f;
  perform tradeflow._answered(targets);
  if cardinality(good) = cardinality(ids) then
    return query select c.id, true from unnest(ids) c(id);
  else
    return query select c.id, coalesce(c.id = any (good), false) from unnest(ids) c(id);
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) IS 'Ends actions as done, with their results (objects; the key request is kept as the rendered request). Accepted only for the attempt that holds the lease. Errors: 22023 for arrays of different length, a result that is no object or over 4 MB.';

CREATE FUNCTION tradeflow.decide(id bigint, outcome text, note text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  task tradeflow.tasks;
begin
  select * into task from tradeflow.tasks t where t.id = decide.id for update;
  if not found then
    raise exception 'there is no task %', decide.id using errcode = 'undefined_object';
  elsif coalesce(outcome, '') = '' or not (task.options is null or outcome = any (task.options)) then
    raise exception 'task %: % is no outcome', task.id, coalesce(quote_literal(outcome), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'outcomes: ' || coalesce(array_to_string(task.options, ', '), 'any word');
  elsif task.decided_at is not null then
    return false;
  end if;
  update tradeflow.tasks t
  set outcome = decide.outcome, note = decide.note, decided_by = session_user, decided_at = clock_timestamp()
  where t.id = task.id;
  return true;
end
$$;

COMMENT ON FUNCTION tradeflow.decide(id bigint, outcome text, note text) IS 'Decides a task. False: somebody did already, and that stays. Errors: 42704 no such task, 22023 an outcome that is none of its options.';

CREATE FUNCTION tradeflow.discard_held(rule text DEFAULT NULL::text, ids bigint[] DEFAULT NULL::bigint[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  mine bigint[] := array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (discard_held.rule is null or o.rule = discard_held.rule)
      and (discard_held.ids is null or o.id = any (discard_held.ids))
    order by o.id for update);
begin
  perform tradeflow._archive(mine, 'cancelled', 'discarded by ' || session_user);
  perform tradeflow._decided(mine);
  return cardinality(mine);
end
$$;

COMMENT ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) IS 'Cancels held actions: of one rule, of these ids, or all. Returns how many.';

CREATE FUNCTION tradeflow.execute(id bigint, attempt integer, params jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  o         tradeflow.outbox;
  result    jsonb;
  accepted  boolean;
begin
  select * into o from tradeflow.outbox x where x.id = execute.id and x.attempt = execute.attempt and x.state = 'running';
  if not found then
    return null;
  end if;
  -- The row is not locked meanwhile: what prolongs the lease must not wait for a slow function.
  case o.kind
    when 'sql' then result := jsonb_build_object('value', tradeflow._do_sql(o, params));
    when 'task' then result := tradeflow._do_task(o, params);
    when 'storefront_message' then result := tradeflow._do_storefront_message(o, params);
    else raise exception 'kind "%" is not executed in the database', o.kind using errcode = 'invalid_parameter_value';
  end case;
  select c.accepted into accepted
  from tradeflow.complete(array[o.id], array[o.attempt], array[result || jsonb_build_object('request', params)]) c;
  if not accepted then
    -- Somebody else has it now: what was done here is undone.
    raise exception 'the lease of action % was lost', o.id using errcode = 'TF001';
  end if;
  return result;
end
$$;

COMMENT ON FUNCTION tradeflow.execute(id bigint, attempt integer, params jsonb) IS 'Executes a leased action of kind sql, task or storefront_message with its rendered parameters, and completes it in the same transaction. NULL: refused, the attempt does not hold the lease. Errors: those of what is executed; TF001 when the lease was lost meanwhile (everything is undone).';

CREATE FUNCTION tradeflow.explain(rule text, key bigint) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.explain(rule, key::text) $$;

COMMENT ON FUNCTION tradeflow.explain(rule text, key bigint) IS 'As explain(text, text).';

CREATE FUNCTION tradeflow.explain(rule text, key jsonb) RETURNS jsonb
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.explain(rule, key #>> '{}') $$;

COMMENT ON FUNCTION tradeflow.explain(rule text, key jsonb) IS 'As explain(text, text), with the key as {"column": value, …}.';

CREATE FUNCTION tradeflow.explain(rule text, key text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  r      tradeflow.rules;
  said   jsonb;
  last   jsonb;
  fired  text;
begin
  select * into r from tradeflow.rules x where x.name = explain.rule;
  if not found then
    raise exception 'rule "%" does not exist', explain.rule using errcode = 'undefined_object';
  end if;
  perform tradeflow._require_reader(r);
  said := case when r.source is not null then tradeflow._explain_row(r, key)
               when r.view is not null then tradeflow._explain_subject(r, key)
               else jsonb_build_object('subject', key, 'firings', tradeflow._firings_of(r.name, array[key])) end;
  last := nullif(said -> 'last_change', 'null');
  fired := said #>> '{firings,0,fired_at}';

  said := said || jsonb_build_object('verdict', case
    when fired is not null then format('It fired %s time(s), last at %s.', jsonb_array_length(said -> 'firings'), fired)
    when r.mode = 'off' then 'The rule is off.'
    when r.invalid is not null then 'The rule is not asked: ' || r.invalid
    when r.paused_at is not null then 'The rule is paused: ' || coalesce(r.paused_reason, 'it failed too often')
    when r.schedule is not null then 'Its query has not returned this subject yet.'
    when r.view is not null and (said ->> 'in_view')::boolean and said -> 'members' = '[]' then 'It is in the view, and the rule was not asked about it yet: does rule_inputs name every table the view reads?'
    when r.view is not null and (said ->> 'in_view')::boolean then format('It is in the view, and a member without a firing: it was there when the rule was written, or its time has not come. tradeflow.backfill(%L) fires for such.', r.name)
    when r.view is not null then 'It is not in the view.'
    when said ->> 'row' is null and last is null then 'There is no such row.'
    when said ->> 'first_no' is not null then format('It does not hold for the row: %s is not true.', said ->> 'first_no')
    when last ->> 'first_no' is not null then format('The last change did not fulfil it: %s was not true.', last ->> 'first_no')
    when last @> '{"silent": true}' then 'The last change was made in silent mode.'
    when said ->> 'row' is null then 'There is no such row any more.'
    when said -> 'query_rows' = '[]' then 'Its condition holds, and its query returns no row.'
    when exists (select from jsonb_array_elements(said -> 'parts') p where p @> '{"reads_old": true}')
      then 'What it asks about the row holds. The rest is about a change: watch the table with log => true to have the last one explained.'
    else format('It holds, and no change since the rule was written made it so: a rule fires when the answer becomes yes. tradeflow.backfill(%L) fires for rows that were there before.', r.name)
  end);
  return jsonb_build_object(
    'rule', r.name, 'version', r.version, 'mode', r.mode, 'condition', r.condition, 'fires', r.fires, 'events', r.events)
    || jsonb_strip_nulls(jsonb_build_object('invalid', r.invalid, 'paused_at', r.paused_at, 'paused_reason', r.paused_reason, 'columns', r.columns,
                                            'view', r.view, 'schedule', r.schedule))
    || said
    || jsonb_build_object('incidents', (
         select coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'kind', i.kind, 'message', i.message, 'count', i.count, 'last_seen_at', i.last_seen_at) order by i.id desc), '[]')
         from (select * from tradeflow.incidents x
               where x.rule = r.name and x.acked_at is null and (x.subject is null or x.subject = said ->> 'subject')
               order by x.id desc limit 5) i));
end
$$;

COMMENT ON FUNCTION tradeflow.explain(rule text, key text) IS 'Why a rule did or did not fire for a row: each part of its condition with its value for the row as it is and for its last logged change, the first part that said no, the firings with what became of each action, open incidents; for a view rule the subject''s membership. key: the row''s key as text, several columns as text array or JSON object. Errors: 42704 no such rule, 22023 no such key, 42501.';

CREATE FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) RETURNS TABLE(id bigint, accepted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
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
  return query select c.id, coalesce(c.id = any (good), false) from unnest(ids) c(id);
end
$$;

COMMENT ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) IS 'Prolongs leases, from now. False for those no longer held. Errors: 22023 for a lease outside 1 s – 1 day.';

CREATE FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval DEFAULT NULL::interval, throttle boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
declare
  o tradeflow.outbox;
begin
  -- Of an error people read the beginning; and it is kept with the action, its incident and the target.
  error := left(coalesce(nullif(error, ''), 'no reason was given'), 10000);
  retry_after := case when retry_after > interval '1 day' then interval '1 day' else retry_after end;
  if outcome is null or outcome not in ('retry', 'not_yet', 'dead', 'uncertain', 'cancelled') then
    raise exception 'outcome must be retry, not_yet, dead, uncertain or cancelled, not %', coalesce(outcome, 'NULL') using errcode = 'invalid_parameter_value';
  end if;
  select * into o from tradeflow.outbox x
  where x.id = fail.id and x.attempt = fail.attempt and x.state = 'running'
  for update;
  if not found then
    return null;
  end if;
  if outcome = 'cancelled' then
    -- Nothing went wrong: the target answered, and the answer is that this is not wanted any more.
    perform tradeflow._answered(array[o.target]);
    perform tradeflow._finish(array[o.id], 'cancelled', fail.error, null, array[o.attempt]);
    return 'cancelled';
  end if;
  -- not_yet and dead are about this action alone: the target's breaker does not count them.
  perform tradeflow._not_answered(
    o.target, fail.error, outcome in ('retry', 'uncertain'),
    case when fail.throttle then greatest(coalesce(retry_after, tradeflow._backoff(o.attempt)), '0') end);
  if outcome in ('retry', 'not_yet') and o.attempt < o.max_attempts then
    update tradeflow.outbox x
    set state = 'ready', error = fail.error, worker = null, lease_until = null, started_at = null,
        run_at = clock_timestamp() + greatest(retry_after, tradeflow._backoff(o.attempt))
    where x.id = o.id;
    perform tradeflow._lanes_freed(array[o.lane]);
    return 'ready';
  end if;
  return tradeflow._bury(
    o, case when outcome in ('retry', 'not_yet') then 'dead' else outcome end,
    case when outcome in ('retry', 'not_yet') then format('gave up after %s attempts: %s', o.attempt, fail.error) else fail.error end);
end
$$;

COMMENT ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval, throttle boolean) IS 'Ends an attempt. Of the error the first 10,000 characters are kept. outcome: retry (again after backoff, at least retry_after, of which a day at most counts; dead after max_attempts), not_yet (the same, and no fault of the target: what the action needs is not there yet, so the breaker does not count it), dead, uncertain, cancelled (it is not wanted any more: the error is the reason, and no later step follows). throttle: the target asked not to be called (HTTP 429, a vendor''s limit): nothing is sent there before retry_after has passed. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';

CREATE FUNCTION tradeflow.health(max_age interval DEFAULT '00:00:05'::interval) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  last   tradeflow.health_snapshot;
  began  timestamptz;
begin
  select * into last from tradeflow.health_snapshot;
  -- Counting a very large queue takes a while: then it is done more rarely, so that it never takes more than a
  -- twentieth of the time. Whoever asks while another counts gets the last answer.
  if (last.taken_at is null or last.taken_at < clock_timestamp() - greatest(max_age, 20 * last.took))
     and pg_try_advisory_xact_lock(hashtext('tradeflow.health'))
  then
    began := clock_timestamp();
    last.body := tradeflow._count_health();
    last.taken_at := clock_timestamp();
    insert into tradeflow.health_snapshot as s (taken_at, took, body) values (last.taken_at, last.taken_at - began, last.body)
    on conflict (only_row) do update set taken_at = excluded.taken_at, took = excluded.took, body = excluded.body;
  end if;
  return coalesce(last.body, '{}') || jsonb_build_object('taken_at', last.taken_at, 'age', extract(epoch from clock_timestamp() - last.taken_at));
end
$$;

COMMENT ON FUNCTION tradeflow.health(max_age interval) IS 'The state of queue, targets, rules, incidents and syncs as figures, for monitoring: counted at most every max_age for all callers together, and more rarely where counting takes long. age: seconds since it was counted. Only age and taken_at, both NULL: it is being counted for the first time.';

CREATE FUNCTION tradeflow.hold(ids bigint[], reason text DEFAULT NULL::text) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with mine as (
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and o.state in ('ready', 'waiting')
    order by o.id for update
  ), held as (
    update tradeflow.outbox o set state = 'held', parked = null, reason = coalesce(hold.reason, 'held by ' || session_user)
    from mine where o.id = mine.id
    returning o.lane
  ), gathered as (
    select array_agg(h.lane) as lanes, count(*)::int as n from held h
  )
  select g.n from gathered g left join lateral tradeflow._lanes_freed(g.lanes) on true
$$;

COMMENT ON FUNCTION tradeflow.hold(ids bigint[], reason text) IS 'Holds actions that are ready or wait for their time, until release_held or discard_held. The rest of their lane goes on without them. Returns how many.';

CREATE FUNCTION tradeflow.inspect(id bigint) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with firing as (
    select coalesce((select o.firing_id from tradeflow.outbox o where o.id = inspect.id),
                    (select h.firing_id from tradeflow.outbox_history h where h.id = inspect.id)) as id
  ), acts as (
    select o.id, o.rule, o.rule_version, o.source, o.event, o.edge, o.subject, o.occurrence, o.key, o.created_at, o.fire_at, o.traceparent, o.facts, o.steps,
           o.step, o.action, o.kind, o.target, o.lane, o.state, o.reason, o.run_at, o.attempt, o.max_attempts, o.worker,
           o.lease_until, o.started_at, o.error, o.result, null::jsonb as request, null::timestamptz as finished_at,
           tradeflow.waits_for(o.id) as waits_for
    from tradeflow.outbox o join firing f on f.id = o.firing_id
    union all
    select h.id, h.rule, h.rule_version, h.source, h.event, h.edge, h.subject, h.occurrence, h.key, h.created_at, h.fire_at, h.traceparent, h.facts, h.steps,
           h.step, h.action, h.kind, h.target, h.lane, h.state, h.reason, h.run_at, h.attempt, h.max_attempts, h.worker,
           h.lease_until, h.started_at, h.error, h.result, h.request, h.finished_at, null
    from tradeflow.outbox_history h join firing f on f.id = h.firing_id
  ), latest as (
    select * from acts a order by a.step desc nulls last, a.id desc limit 1
  )
  select jsonb_build_object(
    'id', inspect.id,
    'firing', jsonb_build_object(
      'firing_id', f.id, 'rule', l.rule, 'rule_version', l.rule_version, 'source', l.source, 'event', l.event, 'edge', l.edge,
      'subject', l.subject, 'occurrence', l.occurrence, 'key', l.key, 'fired_at', (select min(a.created_at) from acts a),
      'fire_at', l.fire_at, 'traceparent', l.traceparent, 'facts', l.facts, 'steps', l.steps),
    'actions', (
      select jsonb_agg(jsonb_build_object(
        'id', a.id, 'step', a.step, 'action', a.action, 'kind', a.kind, 'target', a.target, 'lane', a.lane, 'state', a.state,
        'reason', a.reason, 'waits_for', a.waits_for, 'run_at', a.run_at, 'attempt', a.attempt, 'max_attempts', a.max_attempts,
        'worker', a.worker, 'lease_until', a.lease_until, 'started_at', a.started_at, 'finished_at', a.finished_at,
        'error', a.error, 'params', x.params, 'request', a.request, 'result', a.result) order by a.step, a.id)
      from acts a
      left join tradeflow.actions x on x.rule = a.rule and x.edge = a.edge and x.step = a.step),
    'later_steps', (
      select coalesce(jsonb_agg(jsonb_build_object('step', x.step, 'action', x.name, 'kind', x.kind, 'target', x.target, 'delay', x.delay) order by x.step), '[]')
      from tradeflow.actions x
      where x.rule = l.rule and x.edge = l.edge and x.step > l.step and l.state not in ('cancelled', 'shadow')),
    'incidents', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', i.id, 'kind', i.kind, 'message', i.message, 'hint', i.hint, 'last_seen_at', i.last_seen_at, 'acked_at', i.acked_at) order by i.id), '[]')
      from tradeflow.incidents i where i.outbox_id in (select a.id from acts a)))
  from firing f cross join latest l
$$;

COMMENT ON FUNCTION tradeflow.inspect(id bigint) IS 'The whole firing that an action belongs to: facts, every step with its attempts, rendered request, result, error, and why it waits; the steps to come; incidents. NULL: there is no such action.';

CREATE TABLE tradeflow.ledger_entries (
    id bigint NOT NULL,
    account text NOT NULL,
    key text NOT NULL,
    amount numeric NOT NULL,
    currency text,
    reason text,
    outbox_id bigint,
    balance_before numeric,
    balance_after numeric,
    sent_at timestamp with time zone,
    settled_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.ledger_entries IS 'Signed amounts on an account, each under a key that counts once. Kind bigcommerce.add_company_credit writes here before it writes to the store, and settles after it has read back; rules may add entries of their own.';

COMMENT ON COLUMN tradeflow.ledger_entries.id IS 'Identifies the entry.';

COMMENT ON COLUMN tradeflow.ledger_entries.account IS 'Whose: for company credit "<target>:company_credit:<company id>".';

COMMENT ON COLUMN tradeflow.ledger_entries.key IS 'What it is for. A second entry of the account under the same key is the first one.';

COMMENT ON COLUMN tradeflow.ledger_entries.amount IS 'Added (or, negative, taken away), in currency.';

COMMENT ON COLUMN tradeflow.ledger_entries.currency IS 'ISO 4217 code.';

COMMENT ON COLUMN tradeflow.ledger_entries.reason IS 'For people.';

COMMENT ON COLUMN tradeflow.ledger_entries.outbox_id IS 'The action that made it.';

COMMENT ON COLUMN tradeflow.ledger_entries.balance_before IS 'What the other side had when the new balance was about to be sent.';

COMMENT ON COLUMN tradeflow.ledger_entries.balance_after IS 'The balance that was about to be sent.';

COMMENT ON COLUMN tradeflow.ledger_entries.sent_at IS 'When that was. NULL: nothing was sent.';

COMMENT ON COLUMN tradeflow.ledger_entries.settled_at IS 'When the other side was seen to have it. NULL while that is open.';

COMMENT ON COLUMN tradeflow.ledger_entries.created_at IS 'When it was written.';

CREATE FUNCTION tradeflow.ledger_enter(account text, key text, amount numeric, currency text DEFAULT NULL::text, cap numeric DEFAULT NULL::numeric, reason text DEFAULT NULL::text, outbox_id bigint DEFAULT NULL::bigint) RETURNS tradeflow.ledger_entries
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  entry  tradeflow.ledger_entries;
  total  numeric;
begin
  if coalesce(account, '') = '' or coalesce(key, '') = '' or amount is null then
    raise exception 'an entry needs an account, a key and an amount' using errcode = 'invalid_parameter_value';
  end if;
  -- Entries of an account one after another: the cap is a sum over all of them.
  perform pg_advisory_xact_lock(hashtextextended('tradeflow.ledger ' || account, 0));
  select * into entry from tradeflow.ledger_entries e where e.account = ledger_enter.account and e.key = ledger_enter.key;
  if found then
    return entry;
  end if;
  if cap is not null and amount > 0 then
    select coalesce(sum(e.amount), 0) into total from tradeflow.ledger_entries e where e.account = ledger_enter.account;
    amount := greatest(least(amount, cap - total), 0);
  end if;
  insert into tradeflow.ledger_entries (account, key, amount, currency, reason, outbox_id)
  values (ledger_enter.account, ledger_enter.key, ledger_enter.amount, ledger_enter.currency, ledger_enter.reason, ledger_enter.outbox_id)
  returning * into entry;
  return entry;
end
$$;

COMMENT ON FUNCTION tradeflow.ledger_enter(account text, key text, amount numeric, currency text, cap numeric, reason text, outbox_id bigint) IS 'Writes an entry, or returns the one that is under the key already. With cap a positive amount is cut so that the account''s entries sum up to no more. Errors: 22023 without account, key or amount.';

CREATE FUNCTION tradeflow.ledger_sending(id bigint, before numeric, after numeric) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  update tradeflow.ledger_entries e
  set balance_before = ledger_sending.before, balance_after = ledger_sending.after, sent_at = clock_timestamp()
  where e.id = ledger_sending.id and e.settled_at is null
$$;

COMMENT ON FUNCTION tradeflow.ledger_sending(id bigint, before numeric, after numeric) IS 'Notes the balances before and after, committed before the new one is sent: who comes later can tell whether it arrived.';

CREATE FUNCTION tradeflow.ledger_settle(id bigint, arrived boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  update tradeflow.ledger_entries e
  set settled_at = case when ledger_settle.arrived then clock_timestamp() end,
      sent_at = case when ledger_settle.arrived then e.sent_at end
  where e.id = ledger_settle.id and e.settled_at is null
$$;

COMMENT ON FUNCTION tradeflow.ledger_settle(id bigint, arrived boolean) IS 'Notes that the other side has it; or (false) that it did not arrive, so that it may be sent again.';

CREATE FUNCTION tradeflow.lock(name text, holder text, lease interval) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with taken as (
    insert into tradeflow.locks as l (name, holder, until) values (lock.name, lock.holder, clock_timestamp() + lock.lease)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where l.holder = excluded.holder or l.until < clock_timestamp()
    returning 1
  )
  select exists (select from taken)
$$;

COMMENT ON FUNCTION tradeflow.lock(name text, holder text, lease interval) IS 'Takes or prolongs a lock. False: somebody else holds it.';

CREATE FUNCTION tradeflow.matches(wanted anycompatible, given anycompatible) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ select wanted is null or coalesce(wanted = given, false) $$;

COMMENT ON FUNCTION tradeflow.matches(wanted anycompatible, given anycompatible) IS 'Whether a criterion of a decision table''s line lets a value pass: NULL is any, else they must be equal. A value that is NULL passes NULL only.';

CREATE FUNCTION tradeflow.matches(wanted anycompatiblearray, given anycompatible) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ select wanted is null or coalesce(given = any (wanted), false) $$;

COMMENT ON FUNCTION tradeflow.matches(wanted anycompatiblearray, given anycompatible) IS 'The same for a list: the value must be one of it.';

CREATE FUNCTION tradeflow.matches(wanted anycompatiblerange, given anycompatible) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ select wanted is null or coalesce(wanted @> given, false) $$;

COMMENT ON FUNCTION tradeflow.matches(wanted anycompatiblerange, given anycompatible) IS 'The same for a range: the value must lie in it.';

CREATE FUNCTION tradeflow.may_mail(id bigint, addresses text[], topic text, most integer, period interval) RETURNS TABLE(address text, reason text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  one  text;
begin
  for one in select distinct lower(a) from unnest(addresses) a order by 1 loop
    address := one;
    reason := null;
    select coalesce('suppressed: ' || s.reason, 'suppressed') into reason from tradeflow.suppressions s where s.address = one;
    if reason is null and may_mail.most is not null then
      -- Two mails to one address at the same moment are counted one after the other.
      perform pg_advisory_xact_lock(hashtextextended('tradeflow.mail ' || one, 0));
      -- What is dead was not sent, and is counted anew should it be retried.
      delete from tradeflow.mail_sends m
      where m.address = one and m.topic = may_mail.topic
        and (m.sent_at < tradeflow.now() - greatest(may_mail.period, interval '1 day')
             or exists (select from tradeflow.outbox o where o.id = m.outbox_id and o.state = 'dead'));
      if not exists (select from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.outbox_id = may_mail.id) then
        if (select count(*) from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.sent_at > tradeflow.now() - may_mail.period) >= may_mail.most then
          reason := format('had %s within %s', may_mail.most, may_mail.period);
        else
          insert into tradeflow.mail_sends (outbox_id, address, topic, sent_at) values (may_mail.id, one, may_mail.topic, tradeflow.now());
        end if;
      end if;
    end if;
    return next;
  end loop;
end
$$;

COMMENT ON FUNCTION tradeflow.may_mail(id bigint, addresses text[], topic text, most integer, period interval) IS 'For each address why it gets no mail of this action (suppressed, or most mails of the topic within the period already); NULL: it gets it, and that is counted, once an action. most NULL: no cap.';

CREATE TABLE tradeflow.storefront_messages (
    id bigint NOT NULL,
    key text NOT NULL,
    customer_id bigint,
    company_id bigint,
    email text,
    page text,
    level text DEFAULT 'info'::text NOT NULL,
    text text NOT NULL,
    data jsonb,
    expires_at timestamp with time zone,
    outbox_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT storefront_messages_check CHECK ((num_nonnulls(customer_id, company_id, email) >= 1)),
    CONSTRAINT storefront_messages_level_check CHECK ((level = ANY (ARRAY['info'::text, 'success'::text, 'warning'::text, 'error'::text])))
);

COMMENT ON TABLE tradeflow.storefront_messages IS 'What the storefront shows to a buyer (kind storefront_message); the sidecar serves it at GET /storefront/messages.';

COMMENT ON COLUMN tradeflow.storefront_messages.id IS 'Identifies the message.';

COMMENT ON COLUMN tradeflow.storefront_messages.key IS 'A later message under the same key replaces it, or takes it away.';

COMMENT ON COLUMN tradeflow.storefront_messages.customer_id IS 'For this core customer.';

COMMENT ON COLUMN tradeflow.storefront_messages.company_id IS 'For every buyer of this company.';

COMMENT ON COLUMN tradeflow.storefront_messages.email IS 'For the customer with this address.';

COMMENT ON COLUMN tradeflow.storefront_messages.page IS 'Where it is shown: quote:48002, cart, … NULL: everywhere.';

COMMENT ON COLUMN tradeflow.storefront_messages.level IS 'info, success, warning or error.';

COMMENT ON COLUMN tradeflow.storefront_messages.text IS 'What is shown, as plain text.';

COMMENT ON COLUMN tradeflow.storefront_messages.data IS 'More, for a theme''s own script.';

COMMENT ON COLUMN tradeflow.storefront_messages.expires_at IS 'Shown until then. NULL: until it is taken away.';

COMMENT ON COLUMN tradeflow.storefront_messages.outbox_id IS 'The action that wrote it.';

COMMENT ON COLUMN tradeflow.storefront_messages.created_at IS 'When it was written.';

CREATE FUNCTION tradeflow.messages_for(customer bigint, email text, page text DEFAULT NULL::text) RETURNS SETOF tradeflow.storefront_messages
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  company bigint;
begin
  -- The synced tables are no part of the extension: without them there are no companies to know.
  if to_regclass('store.company_users') is not null then
    execute 'select u.company_id from store.company_users u where u.bc_customer_id = $1 limit 1' into company using customer;
  end if;
  return query
  select * from tradeflow.storefront_messages m
  where (m.customer_id = messages_for.customer or m.company_id = company or lower(m.email) = lower(messages_for.email))
    and (m.page is null or messages_for.page is null or m.page = messages_for.page)
    and (m.expires_at is null or m.expires_at > tradeflow.now())
  order by m.created_at desc, m.id desc
  limit 50;
end
$_$;

COMMENT ON FUNCTION tradeflow.messages_for(customer bigint, email text, page text) IS 'The messages a customer of the store may see, the latest first; page: those of one page, and those for everywhere.';

CREATE FUNCTION tradeflow.next_due(kinds text[] DEFAULT NULL::text[]) RETURNS interval
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
begin
  return (select greatest(min(case
      when t.paused_at is not null or k.paused_at is not null then null
      when s.throttled_until > clock_timestamp() then s.throttled_until
      when s.breaker <> 'closed' and t.breaker_failures > 0 then s.retry_at
      when first.run_at <= clock_timestamp() and tradeflow._tokens(t, s, clock_timestamp()) < 1 then
        clock_timestamp() + (1 - tradeflow._tokens(t, s, clock_timestamp())) / t.rate_limit * t.rate_period
      else (
        select x.run_at from tradeflow.outbox x
        where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null and x.run_at > statement_timestamp()
        order by x.run_at, x.id limit 1)
    end) - clock_timestamp(), '0')
  from tradeflow.channels c
  left join tradeflow.action_kinds k on k.name = c.kind
  left join tradeflow.targets t on t.name = c.target
  left join tradeflow.target_states s on s.target = c.target
  cross join lateral (
    select x.run_at from tradeflow.outbox x
    where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null
      and (x.run_at, x.id) >= (c.from_at, c.from_id)
    order by x.run_at, x.id limit 1) first
  where next_due.kinds is null or c.kind = any (next_due.kinds));
end
$$;

COMMENT ON FUNCTION tradeflow.next_due(kinds text[]) IS 'How long until a claim can find what it cannot find now: a retry is due, a throttled target may be called again, a token is there. Not notified, so a worker sleeps no longer than this. NULL: nothing is known to come.';

CREATE FUNCTION tradeflow.now() RETURNS timestamp with time zone
    LANGUAGE c STABLE PARALLEL SAFE
    AS '$libdir/tradeflow', 'tradeflow_now';

COMMENT ON FUNCTION tradeflow.now() IS 'The time that rules and timers go by: now(), or the test clock where an operator has set one.';

CREATE FUNCTION tradeflow.pause(rule text, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.rules r set paused_at = clock_timestamp(), paused_reason = coalesce(pause.reason, 'paused by ' || session_user)
  where r.name = pause.rule and r.paused_at is null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = pause.rule) then
    raise exception 'there is no rule "%"', pause.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow.pause(rule text, reason text) IS 'Stops a rule: it is not asked any more, and its actions stay where they are, waiting and ready ones, until it is resumed. What is being executed ends. False: it is paused already. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';

CREATE FUNCTION tradeflow.pause_kind(kind text, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.action_kinds k set paused_at = clock_timestamp(), paused_reason = pause_kind.reason
  where k.name = pause_kind.kind and k.paused_at is null;
  if found then
    return true;
  elsif not exists (select from tradeflow.action_kinds k where k.name = pause_kind.kind) then
    raise exception 'there is no kind "%"', pause_kind.kind
      using errcode = 'undefined_object', hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow.pause_kind(kind text, reason text) IS 'Executes no more actions of a kind: they stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such kind.';

CREATE FUNCTION tradeflow.pause_target(target text, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.targets t set paused_at = clock_timestamp(), paused_reason = pause_target.reason
  where t.name = pause_target.target and t.paused_at is null;
  if found then
    return true;
  end if;
  perform tradeflow._require_target(pause_target.target);
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow.pause_target(target text, reason text) IS 'Sends nothing more to a target: its actions stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such target.';

CREATE FUNCTION tradeflow.pick(pool text, subject text, candidates text[] DEFAULT NULL::text[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  reached  numeric;
  chosen   record;
begin
  if subject is null or pool is null then
    raise exception 'pick() needs a pool and a subject' using errcode = 'null_value_not_allowed', hint = 'select tradeflow.pick(''reps'', ''17'');';
  end if;
  -- One pick of a pool at a time, so that shares are exact; the lock lasts until the caller commits.
  select p.pass into reached from tradeflow.pools p where p.name = pick.pool for update;
  if not found then
    raise exception 'there is no pool "%"', pick.pool
      using errcode = 'undefined_object',
            hint = coalesce('pools: ' || (select string_agg(p.name, ', ' order by p.name) from tradeflow.pools p),
                            format('insert into tradeflow.pools (name) values (%L);', pick.pool));
  end if;
  select a.member into chosen from tradeflow.assignments a where a.pool = pick.pool and a.subject = pick.subject;
  if found then
    return chosen.member;
  end if;

  select m.member, greatest(m.pass, reached) as at, m.weight into chosen
  from tradeflow.pool_members m
  where m.pool = pick.pool and m.weight > 0 and not m.absent @> tradeflow.now()
    and (candidates is null or m.member = any (candidates))
    and (m.cap is null or m.cap > (select count(*) from tradeflow.assignments a where a.pool = m.pool and a.member = m.member))
  order by greatest(m.pass, reached), m.weight desc, m.member
  limit 1;
  if not found then
    return null;
  end if;
  update tradeflow.pool_members m set pass = chosen.at + 1.0 / chosen.weight where m.pool = pick.pool and m.member = chosen.member;
  update tradeflow.pools p set pass = chosen.at where p.name = pick.pool and p.pass <> chosen.at;
  insert into tradeflow.assignments (pool, subject, member) values (pick.pool, pick.subject, chosen.member);
  return chosen.member;
end
$$;

COMMENT ON FUNCTION tradeflow.pick(pool text, subject text, candidates text[]) IS 'Who of a pool gets this subject: who has it already, else the next by weight among those present, below their cap and, if given, among the candidates. NULL: nobody is left; the caller decides what then. Picks of one pool wait for each other until their transactions end. Errors: 42704 no such pool, 22004 no pool or subject.';

CREATE FUNCTION tradeflow.present(worker text, kinds text[], version text DEFAULT NULL::text, concurrency integer DEFAULT NULL::integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from tradeflow.sidecars s where s.seen_at < clock_timestamp() - interval '1 hour' and s.worker <> present.worker;
  insert into tradeflow.sidecars as s (worker, kinds, version, concurrency)
  values (present.worker, present.kinds, present.version, present.concurrency)
  on conflict (worker) do update
  set kinds = excluded.kinds, version = excluded.version, concurrency = excluded.concurrency, seen_at = clock_timestamp();
$$;

COMMENT ON FUNCTION tradeflow.present(worker text, kinds text[], version text, concurrency integer) IS 'A sidecar says that it runs, and which kinds it executes: at its start, then about every 10 seconds. Without it nothing changes but what people are told: kinds that nobody executes are found by it.';

CREATE FUNCTION tradeflow.pushed(target text, object text, object_id text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select p.written from tradeflow.pushes p where p.target = pushed.target and p.object = pushed.object and p.object_id = pushed.object_id $$;

COMMENT ON FUNCTION tradeflow.pushed(target text, object text, object_id text) IS 'What we last wrote to a thing in another system. For conditions that must not answer to our own write coming back. NULL: nothing.';

CREATE FUNCTION tradeflow.release(pool text, subject text) RETURNS text
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from tradeflow.assignments a where a.pool = release.pool and a.subject = release.subject returning a.member
$$;

COMMENT ON FUNCTION tradeflow.release(pool text, subject text) IS 'Ends an assignment, so that the next pick chooses anew. Returns who had it; NULL: nobody.';

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

CREATE FUNCTION tradeflow.resume(rule text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.rules r set paused_at = null, paused_reason = null where r.name = resume.rule and r.paused_at is not null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = resume.rule) then
    raise exception 'there is no rule "%"', resume.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow.resume(rule text) IS 'Has a paused rule asked again, and takes note of the incidents that had it paused. What changed meanwhile is not made up for: see backfill(). False: it is not paused. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';

CREATE FUNCTION tradeflow.resume_kind(kind text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update tradeflow.action_kinds k set paused_at = null, paused_reason = null
  where k.name = resume_kind.kind and k.paused_at is not null;
  if found then
    perform pg_notify('tradeflow', '');
    return true;
  elsif not exists (select from tradeflow.action_kinds k where k.name = resume_kind.kind) then
    raise exception 'there is no kind "%"', resume_kind.kind
      using errcode = 'undefined_object', hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  return false;
end
$$;

COMMENT ON FUNCTION tradeflow.resume_kind(kind text) IS 'Goes on with a paused kind. False: it is not paused. Errors: 42704 no such kind.';

CREATE FUNCTION tradeflow.resume_target(target text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  resumed boolean;
begin
  update tradeflow.targets t set paused_at = null, paused_reason = null
  where t.name = resume_target.target and t.paused_at is not null;
  resumed := found;
  perform tradeflow._require_target(resume_target.target);
  resumed := tradeflow._try_again(resume_target.target) or resumed;
  if resumed then
    perform pg_notify('tradeflow', '');
  end if;
  return resumed;
end
$$;

COMMENT ON FUNCTION tradeflow.resume_target(target text) IS 'Goes on with a target that is paused, that asked not to be called for a while, or whose circuit breaker is open: then one action tries at once. Actions that were told to wait keep their own time: retry() does not wait. False: it was stopped by none of these. Errors: 42704 no such target.';

CREATE FUNCTION tradeflow.retry(ids bigint[]) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and (o.state in ('dead', 'uncertain', 'held') or (o.state = 'ready' and o.run_at > clock_timestamp()))
    order by o.id for update))
$$;

COMMENT ON FUNCTION tradeflow.retry(ids bigint[]) IS 'Executes dead, uncertain or held actions again, and retrying ones at once; a last attempt is granted where none was left. An uncertain mail may arrive twice: look first. Their incidents are noted. Returns how many.';

CREATE FUNCTION tradeflow.retry(id bigint) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select tradeflow.retry(array[id]) = 1 $$;

COMMENT ON FUNCTION tradeflow.retry(id bigint) IS 'Executes one action again. False: it is not dead, uncertain, held or retrying.';

CREATE FUNCTION tradeflow.revert(rule text, version integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  earlier  jsonb := (select v.definition from tradeflow.rule_versions v where v.rule = revert.rule and v.version = revert.version);
  columns  text[];
  done     int;
begin
  if earlier is null then
    raise exception 'there is no earlier version % of rule "%"', revert.version, revert.rule
      using errcode = 'undefined_object',
            hint = coalesce('earlier versions: ' || (select string_agg(v.version::text, ', ' order by v.version) from tradeflow.rule_versions v where v.rule = revert.rule),
                            'It has had one definition only.');
  end if;
  -- What that definition did not know, being older, gets its default.
  select array_agg(a.attname::text order by a.attnum) into columns
  from pg_attribute a
  where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and not a.attisdropped
    and a.attname <> all ('{name,version,invalid,updated_at,updated_by,paused_at,paused_reason}');
  if exists (select from tradeflow.rules r where r.name = revert.rule) then
    execute format(
      'update tradeflow.rules r set %s from jsonb_populate_record(null::tradeflow.rules, $1) e where r.name = $2 returning r.version',
      (select string_agg(format('%I = %s', c, case when earlier ? c then format('e.%I', c) else 'default' end), ', ') from unnest(columns) c))
    into done using earlier, revert.rule;
  else
    -- It was deleted.
    execute format(
      'insert into tradeflow.rules (name, %1$s) select $2, %1$s from jsonb_populate_record(null::tradeflow.rules, $1) e returning version',
      (select string_agg(quote_ident(c), ', ') from unnest(columns) c where earlier ? c))
    into done using earlier, revert.rule;
  end if;
  return done;
end
$_$;

COMMENT ON FUNCTION tradeflow.revert(rule text, version integer) IS 'Makes an earlier definition of a rule its definition again, as a new version; brings back a rule that was deleted. Its actions stay as they are (those of a deleted rule are gone). Returns the new version. Errors: 42704 no such version; whatever writing that definition would fail with.';

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
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS '$libdir/tradeflow', 'tradeflow_setting';

COMMENT ON FUNCTION tradeflow.setting(name text) IS 'The value of a setting, as text. In a rule''s condition it is a constant of the compiled rule. Errors: 42704 when there is no such setting.';

CREATE FUNCTION tradeflow.simulate(sql text) RETURNS TABLE(rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at timestamp with time zone, facts jsonb, actions jsonb)
    LANGUAGE plpgsql
    AS $$
declare
  before   record;
  result   jsonb;  -- variables outlive the rollback
  message  text;
begin
  select * into before from tradeflow._before_simulation();
  begin
    execute simulate.sql;
    -- What is asked at the end of the transaction is asked now.
    set constraints all immediate;
    result := tradeflow._simulated(before.firing, before.incident);
    raise sqlstate 'TF002' using message = 'a simulation ends';
  exception when sqlstate 'TF002' then
    if result is null then
      raise;
    end if;
  end;
  for message in select pg_catalog.jsonb_array_elements_text(result operator(pg_catalog.->) 'incidents') loop
    raise warning '%', message using detail = 'It would be an incident.';
  end loop;
  return query
    select * from pg_catalog.jsonb_to_recordset(result operator(pg_catalog.->) 'firings') f(
      rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at pg_catalog.timestamptz, facts jsonb, actions jsonb);
end
$$;

COMMENT ON FUNCTION tradeflow.simulate(sql text) IS 'Runs a statement as the caller, returns the firings it would cause with their actions, and rolls everything back: nothing is kept, nothing is sent. What rules fail with comes as warnings. Sequences do advance. Errors: those of the statement.';

CREATE FUNCTION tradeflow.started(id bigint, attempt integer) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
  with mine as (
    update tradeflow.outbox o set started_at = clock_timestamp()
    where o.id = started.id and o.attempt = started.attempt and o.state = 'running' and o.lease_until > clock_timestamp()
    returning 1
  )
  select exists (select from mine)
$$;

COMMENT ON FUNCTION tradeflow.started(id bigint, attempt integer) IS 'Says that the worker begins what it cannot take back. False: the lease is lost; do not begin. After it, a lost lease makes a kind that cannot be repeated uncertain.';

CREATE FUNCTION tradeflow.suppress(address text, reason text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with added as (
    insert into tradeflow.suppressions (address, reason) values (lower(trim(suppress.address)), suppress.reason)
    on conflict do nothing returning 1
  )
  select exists (select from added)
$$;

COMMENT ON FUNCTION tradeflow.suppress(address text, reason text) IS 'No more mail to this address. False: it was so already.';

CREATE FUNCTION tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text DEFAULT NULL::text, hint text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if sync_incident.kind not in ('sync_error', 'sync_rejected', 'sync_held', 'hook_refused') then
    raise invalid_parameter_value using message = format('a sync reports no incident of kind "%s"', sync_incident.kind);
  end if;
  -- What is open already and says the same is counted, not told again: a sync repeats its failures every minute.
  update tradeflow.incidents i
  set count = i.count + 1, last_seen_at = now(), detail = sync_incident.detail
  where i.id = (
    select o.id from tradeflow.incidents o
    where o.kind = sync_incident.kind and o.source = sync_incident.resource and o.acked_at is null
      and o.subject is not distinct from sync_incident.subject and o.message = sync_incident.message
    order by o.id limit 1);
  if not found then
    insert into tradeflow.incidents (kind, source, subject, message, detail, hint)
    values (sync_incident.kind, sync_incident.resource, sync_incident.subject, sync_incident.message, sync_incident.detail, sync_incident.hint);
  end if;
end
$$;

COMMENT ON FUNCTION tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text, hint text) IS 'Notes an incident of a sync: its kind (sync_error, sync_rejected, sync_held, hook_refused), the resource, the row''s key. One that is open and says the same is counted.';

CREATE FUNCTION tradeflow.tick() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  timers     record;
  of_outbox  jsonb;
  of_rules   jsonb;
begin
  -- What timers end is swept at once; what schedules say is looked at first by whoever called this.
  if pg_try_advisory_xact_lock(hashtext('tradeflow.tick_rules')) then
    select * into timers from tradeflow._wake_timers();
    if timers.due > 0 then
      perform pg_notify('tradeflow', '');
    end if;
    of_outbox := tradeflow.tick_outbox();
    of_rules := tradeflow.tick_rules();
    return of_outbox || of_rules || jsonb_build_object(
      'due', timers.due + (of_rules ->> 'due')::int, 'cancelled', timers.cancelled + (of_rules ->> 'cancelled')::int);
  end if;
  return tradeflow.tick_outbox() || '{"busy": true}';
end
$$;

COMMENT ON FUNCTION tradeflow.tick() IS 'Does all work that only time brings: takes back ended leases, wakes due timers, moves finished actions to the history, keeps its partitions, adds up incidents. Cheap when there is nothing to do; safe to call from anywhere at any time. Returns what it did.';

CREATE FUNCTION tradeflow.tick_outbox() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  rescue  record;
  swept   int;
  late    int;
  freed   int := 0;
  done    jsonb;
  hour_ago timestamptz;
begin
  -- One at a time is enough; the others return at once.
  if not pg_try_advisory_xact_lock(hashtext('tradeflow.tick')) then
    return '{"busy": true}';
  end if;
  select * into rescue from tradeflow._rescue();
  swept := tradeflow._archive(array(
    select o.id from tradeflow.outbox o where o.state in ('done', 'cancelled', 'shadow') limit 10000), null);
  late := tradeflow._sweep_channels();
  if tradeflow._is_due('parked', '10 seconds') then
    freed := tradeflow._heal_parked();
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'parked';
  end if;
  if tradeflow._is_due('running', '30 seconds') then
    perform tradeflow._count_running(array(select t.name from tradeflow.targets t where t.concurrency is not null));
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'running';
  end if;
  if tradeflow._is_due('recent', '1 minute') then
    hour_ago := tradeflow.now() - interval '1 hour';
    delete from tradeflow.recent_firings f where f.at < hour_ago;
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'recent';
  end if;
  done := jsonb_build_object(
    'rescued', rescue.rescued, 'uncertain', rescue.uncertain, 'swept', swept, 'partitions', tradeflow._partitions());
  perform tradeflow._tidy_incidents();
  perform tradeflow._report_unknown_kinds();
  -- A dump has the watch of the tasks, but no trigger of a table that is an extension's.
  perform tradeflow._check_watch(w.name)
  from tradeflow.watched_tables w
  where w.name = 'tradeflow.tasks'
    and not exists (select from pg_trigger t where t.tgrelid = 'tradeflow.tasks'::regclass and t.tgname = 'tradeflow_insert');
  if rescue.rescued + late + freed > 0 then
    perform pg_notify('tradeflow', '');
  end if;
  return done;
end
$$;

COMMENT ON FUNCTION tradeflow.tick_outbox() IS 'The part of tick() that asks no rule: takes back ended leases, moves finished actions to the history, keeps its partitions. A sidecar calls the two parts apart, so that a rule whose question takes long holds up no lease. Returns what it did.';

CREATE FUNCTION tradeflow.tick_rules() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET lock_timeout TO '3s'
    AS $$
declare
  timers     record;
  rechecked  int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('tradeflow.tick_rules')) then
    return '{"busy": true}';
  end if;
  select * into timers from tradeflow._wake_timers();
  begin
    rechecked := tradeflow._recheck_views();
  exception when lock_not_available then
    null;  -- all of it at the next tick
  end;
  if timers.due > 0 then
    perform pg_notify('tradeflow', '');
  end if;
  return jsonb_build_object(
    'due', timers.due, 'cancelled', timers.cancelled, 'incidents_merged', tradeflow._merge_incidents(), 'rechecked', rechecked,
    'scheduled', tradeflow._run_schedules(), 'paused', tradeflow._pause_failing());
end
$$;

COMMENT ON FUNCTION tradeflow.tick_rules() IS 'The part of tick() that asks rules: wakes due timers, asks views again, runs schedules, adds up incidents, pauses rules that keep failing. What is locked for more than 3 s is asked at a later tick. Returns what it did.';

CREATE FUNCTION tradeflow.unlock(name text, holder text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ delete from tradeflow.locks l where l.name = unlock.name and l.holder = unlock.holder $$;

COMMENT ON FUNCTION tradeflow.unlock(name text, holder text) IS 'Gives a lock back.';

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
  foreach t in array '{tradeflow_insert,tradeflow_update,tradeflow_delete,tradeflow_truncate}'::text[] loop
    execute format('drop trigger if exists %I on %s', t, the_name);
  end loop;
  for t in select p.relid::regclass::text from pg_partition_tree("table") p where p.relid <> "table" loop
    execute format('drop trigger if exists tradeflow_truncate on %s', t);
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

CREATE FUNCTION tradeflow.waits_for(id bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  o         tradeflow.outbox;
  before    record;
  stopped   text;
  executed  text[] := tradeflow._kinds_executed();
begin
  select * into o from tradeflow.outbox x where x.id = waits_for.id;
  if not found then
    return null;
  elsif o.state = 'waiting' and o.run_at <= tradeflow.now() then
    return coalesce(
      (select format('rule "%s", which is paused (%s): tradeflow rules resume %1$s', r.name, coalesce(r.paused_reason, 'no reason given'))
       from tradeflow.rules r where r.name = o.rule and r.paused_at is not null),
      'its rule to be asked again, which a sidecar does within a second, unless a table that the rule reads is locked');
  elsif o.state = 'waiting' then
    return format('its time, %s', to_char(o.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'));
  elsif o.state = 'running' then
    return format('worker %s, which has it until %s', o.worker, to_char(o.lease_until at time zone 'UTC', 'HH24:MI:SS "UTC"'));
  elsif o.state = 'held' then
    return format('a person: it is held (%s); tradeflow outbox release %s, or cancel', coalesce(o.reason, 'no reason given'), o.id);
  elsif o.state = 'dead' then
    return format('a person: it is dead; mend the cause, then tradeflow dead retry %s, or discard', o.id);
  elsif o.state = 'uncertain' then
    return format('a person: nobody knows whether it arrived; if it did, tradeflow outbox cancel %1$s, else retry %1$s', o.id);
  elsif o.state <> 'ready' then
    return null;
  elsif o.run_at > clock_timestamp() and o.attempt > 0 then
    return format('its next attempt, at %s', to_char(o.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'));
  end if;
  select b.id, b.state, b.run_at, b.attempt into before
  from tradeflow.outbox b
  where b.lane = o.lane and (b.state = 'running' or ((b.state = 'ready' or b.blocking) and b.id < o.id))
  order by b.state = 'running' desc, b.id limit 1;
  if found then
    return format('action %s of its lane, which is %s', before.id, case
      when before.state = 'running' then 'running'
      when before.state in ('dead', 'uncertain') then format('%s, and a person must retry or cancel it first', before.state)
      when before.attempt > 0 then format('tried again at %s', to_char(before.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
      else 'before it' end);
  elsif not exists (select from tradeflow.sidecars s where s.seen_at > clock_timestamp() - interval '30 seconds') then
    return 'a sidecar: none is running';
  elsif o.kind <> all (executed) then
    return format('a sidecar that executes kind "%s": those that run execute %s', o.kind, array_to_string(executed, ', '));
  elsif o.target is not null and not exists (select from tradeflow.targets t where t.name = o.target) then
    return format('target "%s", which does not exist', o.target);
  end if;
  select format('rule "%s", which is paused (%s): tradeflow rules resume %1$s', r.name, coalesce(r.paused_reason, 'no reason given')) into stopped
  from tradeflow.rules r where r.name = o.rule and r.paused_at is not null;
  if stopped is null then
    select format('kind "%s", which is paused (%s): tradeflow kinds resume %1$s', k.name, coalesce(k.paused_reason, 'no reason given')) into stopped
    from tradeflow.action_kinds k where k.name = o.kind and k.paused_at is not null;
  end if;
  if stopped is null then
    select case
      when t.paused_at is not null then format('target "%s", which is paused (%s): tradeflow targets resume %1$s', t.name, coalesce(t.paused_reason, 'no reason given'))
      when s.breaker = 'open' then format('target "%s", which failed %s times in a row and is tried again at %s, or by tradeflow targets resume %1$s: %4$s', t.name, s.failures, to_char(s.retry_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), s.last_error)
      when s.breaker = 'half_open' then format('target "%s", which failed before and is being tried with one action', t.name)
      when s.throttled_until > clock_timestamp() then format('target "%s", which asked not to be called before %s (tradeflow targets resume %1$s does not wait)', t.name, to_char(s.throttled_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
      when tradeflow._tokens(t, s, clock_timestamp()) < 1 then format('target "%s", which takes %s executions in %s', t.name, t.rate_limit, t.rate_period)
      when s.running >= t.concurrency then format('target "%s", where %s of %s allowed executions are under way', t.name, s.running, t.concurrency)
    end into stopped
    from tradeflow.targets t join tradeflow.target_states s on s.target = t.name where t.name = o.target;
  end if;
  return coalesce(stopped, 'a sidecar with room for it');
end
$_$;

COMMENT ON FUNCTION tradeflow.waits_for(id bigint) IS 'Why an action has not run yet, in one sentence: its time, an action before it in its lane, its target, a sidecar, a person. NULL: it waits for nothing, it has ended.';

CREATE FUNCTION tradeflow.watch("table" regclass, key text[] DEFAULT NULL::text[], ignore text[] DEFAULT '{}'::text[], log boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[], log boolean) IS 'Evaluates the changes of a table from now on. key: the columns that identify a row (default: the primary key); ignore: columns whose change alone is no change; log: keep old and new of each change in change_log, for backtest() and explain(). Repeatable: a second call changes key, ignore and log. The caller must own the table or have its TRIGGER right; tradeflow.tasks may be watched by every author. Errors: 42809 no ordinary table, 22023 no key, 42703 unknown column.';

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
    lane text,
    max_attempts integer DEFAULT 20 NOT NULL,
    on_failure text DEFAULT 'stop'::text NOT NULL,
    on_dead text DEFAULT 'block'::text NOT NULL,
    recheck boolean DEFAULT false NOT NULL,
    CONSTRAINT actions_edge_check CHECK ((edge = ANY (ARRAY['enter'::text, 'leave'::text]))),
    CONSTRAINT actions_if_late_check CHECK ((if_late = ANY (ARRAY['run'::text, 'skip'::text]))),
    CONSTRAINT actions_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 100))),
    CONSTRAINT actions_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_]*$'::text)),
    CONSTRAINT actions_on_dead_check CHECK ((on_dead = ANY (ARRAY['block'::text, 'continue'::text]))),
    CONSTRAINT actions_on_failure_check CHECK ((on_failure = ANY (ARRAY['stop'::text, 'continue'::text]))),
    CONSTRAINT actions_params_check CHECK ((jsonb_typeof(params) = 'object'::text)),
    CONSTRAINT actions_step_check CHECK ((step > 0))
);

COMMENT ON TABLE tradeflow.actions IS 'Step n of what a rule''s firing causes. Steps run one after another.';

COMMENT ON COLUMN tradeflow.actions.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.actions.step IS 'Order among the rule''s actions; gaps are fine.';

COMMENT ON COLUMN tradeflow.actions.name IS 'Later steps read its result as steps.<name>.';

COMMENT ON COLUMN tradeflow.actions.edge IS 'enter: the answer became yes. leave: it is yes no longer; the facts are those of the last yes.';

COMMENT ON COLUMN tradeflow.actions.kind IS 'One of action_kinds.';

COMMENT ON COLUMN tradeflow.actions.target IS 'One of targets.';

COMMENT ON COLUMN tradeflow.actions.params IS 'JSON whose strings are templates over facts, steps, settings and rule. A string that is one {{ expression }} keeps its JSON type. when, which every kind has: whether the step is wanted; where it is false, the step is done without anything being done.';

COMMENT ON COLUMN tradeflow.actions.delay IS 'Added to fire_at, or to now. May be negative: -7 days.';

COMMENT ON COLUMN tradeflow.actions.if_late IS 'When the due time has passed already at the firing: run at once, or skip.';

COMMENT ON COLUMN tradeflow.actions.lane IS 'Template (over facts, source, event, subject, occurrence, key, rule, action) of the lane: actions of one lane are executed one after another, in the order of their ids. NULL: source:subject. One that cannot be rendered is an incident, and the action takes the default lane.';

COMMENT ON COLUMN tradeflow.actions.max_attempts IS 'Executions before the action is dead. With the backoff of fail(), 20 last about an hour.';

COMMENT ON COLUMN tradeflow.actions.on_failure IS 'When this action is dead: stop, or continue with the next step.';

COMMENT ON COLUMN tradeflow.actions.on_dead IS 'What a dead or uncertain action does to the later ones of its lane: block (they wait until a person retries or cancels it) or continue (they are executed without it, as they are where on_failure is continue).';

COMMENT ON COLUMN tradeflow.actions.recheck IS 'Ask the rule''s question again before every execution, retries too: a no cancels the action, a yes brings fresh facts. Answers over old, and deletes, are not asked again unless the rule has still.';

CREATE VIEW tradeflow._first_actions AS
 SELECT f.rule,
    jsonb_object_agg(f.edge, (to_jsonb(f.*) - '{rule,edge}'::text[])) AS actions
   FROM ( SELECT DISTINCT ON (a.rule, a.edge) a.rule,
            a.edge,
            a.step,
            a.name,
            a.kind,
            a.target,
            a.max_attempts,
            ((a.delay <> '00:00:00'::interval) OR (a.lane IS NOT NULL)) AS special
           FROM tradeflow.actions a
          ORDER BY a.rule, a.edge, a.step) f
  GROUP BY f.rule;

COMMENT ON VIEW tradeflow._first_actions IS 'Internal. What a firing becomes, as compiled rules have it.';

COMMENT ON COLUMN tradeflow._first_actions.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow._first_actions.actions IS 'By edge, the first action; special: it has a delay or a lane of its own.';

CREATE TABLE tradeflow.action_kinds (
    name text NOT NULL,
    system text,
    delivery text,
    repeatable boolean NOT NULL,
    params jsonb DEFAULT '{"type": "object"}'::jsonb NOT NULL,
    description text NOT NULL,
    builtin boolean DEFAULT false NOT NULL,
    paused_at timestamp with time zone,
    paused_reason text
);

COMMENT ON TABLE tradeflow.action_kinds IS 'The kinds of action that a sidecar can execute. Own kinds of an own client are added here.';

COMMENT ON COLUMN tradeflow.action_kinds.name IS 'What actions.kind says.';

COMMENT ON COLUMN tradeflow.action_kinds.system IS 'The system its target must be of. none: it has no target. NULL: it may have one, of any system.';

COMMENT ON COLUMN tradeflow.action_kinds.delivery IS 'How a repeated execution is kept from harming: claim_once, idempotency_key, upsert_by_key, absolute_set, look_up_first, deterministic_id, in_database. docs/actions/README.md says what each means.';

COMMENT ON COLUMN tradeflow.action_kinds.repeatable IS 'Whether an execution whose outcome is unknown may be repeated. If not, it becomes uncertain and waits for a person.';

COMMENT ON COLUMN tradeflow.action_kinds.params IS 'JSON Schema of actions.params, checked when an action is written. Understood: type, properties, required, additionalProperties, items, enum, anyOf, pattern, minimum, maximum, minItems, maxItems, minProperties; description and examples are quoted in errors. A string with a template in it passes, since what it will be is known later; "literal": true forbids templates.';

COMMENT ON COLUMN tradeflow.action_kinds.description IS 'What executing it does.';

COMMENT ON COLUMN tradeflow.action_kinds.builtin IS 'Comes with the extension; dumped only while it is paused.';

COMMENT ON COLUMN tradeflow.action_kinds.paused_at IS 'Since when no action of the kind is executed; see tradeflow.pause_kind(). NULL: it is not paused.';

COMMENT ON COLUMN tradeflow.action_kinds.paused_reason IS 'Why it was paused.';

CREATE TABLE tradeflow.assignments (
    pool text NOT NULL,
    subject text NOT NULL,
    member text NOT NULL,
    assigned_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.assignments IS 'Who was picked for whom. It stays until release() or until the member leaves the pool.';

COMMENT ON COLUMN tradeflow.assignments.pool IS 'The pool.';

COMMENT ON COLUMN tradeflow.assignments.subject IS 'For whom: the key of a company, of a quote.';

COMMENT ON COLUMN tradeflow.assignments.member IS 'Who was picked.';

COMMENT ON COLUMN tradeflow.assignments.assigned_at IS 'When.';

CREATE TABLE tradeflow.change_log (
    id bigint NOT NULL,
    source text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    old jsonb,
    new jsonb,
    silent boolean DEFAULT false NOT NULL,
    clock timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT change_log_event_check CHECK ((event = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text])))
)
PARTITION BY RANGE (changed_at);

COMMENT ON TABLE tradeflow.change_log IS 'A row is one change of a table watched with log => true: what backtest() replays and explain() looks at. Partitioned by day; days older than setting change_log_days (default 14) are dropped by tick(). Changes of ignored columns alone are none.';

COMMENT ON COLUMN tradeflow.change_log.id IS 'Order of the changes within a transaction.';

COMMENT ON COLUMN tradeflow.change_log.source IS 'The table whose row changed.';

COMMENT ON COLUMN tradeflow.change_log.event IS 'insert, update or delete.';

COMMENT ON COLUMN tradeflow.change_log.subject IS 'The key of the row as text, as in the outbox.';

COMMENT ON COLUMN tradeflow.change_log.old IS 'The row before; NULL on insert.';

COMMENT ON COLUMN tradeflow.change_log.new IS 'The row after; NULL on delete.';

COMMENT ON COLUMN tradeflow.change_log.silent IS 'Written in silent mode: no rule was asked, and a backtest leaves it out.';

COMMENT ON COLUMN tradeflow.change_log.clock IS 'The test clock at that time; NULL: there was none.';

COMMENT ON COLUMN tradeflow.change_log.changed_at IS 'The start of the transaction that changed it, as outbox.created_at.';

CREATE TABLE tradeflow.change_log_default (
    id bigint NOT NULL,
    source text NOT NULL,
    event text NOT NULL,
    subject text NOT NULL,
    old jsonb,
    new jsonb,
    silent boolean DEFAULT false NOT NULL,
    clock timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT change_log_event_check CHECK ((event = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text])))
);

COMMENT ON TABLE tradeflow.change_log_default IS 'Catches rows of a day whose partition tick() has not made yet.';

ALTER TABLE tradeflow.change_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.change_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tradeflow.clock (
    only_row boolean DEFAULT true NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT clock_only_row_check CHECK (only_row)
);

COMMENT ON TABLE tradeflow.clock IS 'Empty, or one row: the test clock. Set with tradeflow.set_clock().';

COMMENT ON COLUMN tradeflow.clock.only_row IS 'Always true: the table holds at most one row.';

COMMENT ON COLUMN tradeflow.clock.at IS 'What tradeflow.now() returns while the row is there.';

CREATE TABLE tradeflow.rule_dependencies (
    rule text NOT NULL,
    part text NOT NULL,
    table_name text,
    column_name text,
    function text,
    CONSTRAINT rule_dependencies_check CHECK ((num_nonnulls(table_name, function) = 1))
);

COMMENT ON TABLE tradeflow.rule_dependencies IS 'What each rule reads, noted when it is written; read it through the view dependencies.';

COMMENT ON COLUMN tradeflow.rule_dependencies.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.rule_dependencies.part IS 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';

COMMENT ON COLUMN tradeflow.rule_dependencies.table_name IS 'A table or view that is read: schema and name.';

COMMENT ON COLUMN tradeflow.rule_dependencies.column_name IS 'The column of it; NULL: the row as a whole.';

COMMENT ON COLUMN tradeflow.rule_dependencies.function IS 'A function that is called, with its argument types; Postgres'' own ones are left out.';

CREATE VIEW tradeflow.dependencies AS
 SELECT d.rule,
    d.part,
    d.table_name,
    d.column_name,
    d.function
   FROM tradeflow.rule_dependencies d;

COMMENT ON VIEW tradeflow.dependencies IS 'Which rules read which tables, columns and functions; views are followed to their tables, functions are not looked into.';

COMMENT ON COLUMN tradeflow.dependencies.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.dependencies.part IS 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';

COMMENT ON COLUMN tradeflow.dependencies.table_name IS 'A table or view that is read: schema and name.';

COMMENT ON COLUMN tradeflow.dependencies.column_name IS 'The column of it; NULL: the row as a whole.';

COMMENT ON COLUMN tradeflow.dependencies.function IS 'A function that is called, with its argument types; Postgres'' own ones are left out.';

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
    kind text COLLATE pg_catalog."C",
    target text COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    parked text,
    blocking boolean NOT NULL,
    continued boolean NOT NULL,
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
    traceparent text,
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

COMMENT ON COLUMN tradeflow.outbox_history.event IS 'insert, update, delete; view, schedule, backfill for what such rules or calls fired.';

COMMENT ON COLUMN tradeflow.outbox_history.subject IS 'Who it is about: the key of the row as text (several columns: a text array), or what the query says.';

COMMENT ON COLUMN tradeflow.outbox_history.occurrence IS 'Which of several answers about the subject; empty where there is one.';

COMMENT ON COLUMN tradeflow.outbox_history.key IS 'The row''s key columns with their values; kept for timers, which ask again about the row.';

COMMENT ON COLUMN tradeflow.outbox_history.edge IS 'enter: the answer became yes; leave: it is yes no longer.';

COMMENT ON COLUMN tradeflow.outbox_history.step IS 'The step of the rule''s actions. NULL: the rule has none, and the firing itself is the record.';

COMMENT ON COLUMN tradeflow.outbox_history.action IS 'The action''s name, if it has one.';

COMMENT ON COLUMN tradeflow.outbox_history.kind IS 'The action''s kind.';

COMMENT ON COLUMN tradeflow.outbox_history.target IS 'The action''s target.';

COMMENT ON COLUMN tradeflow.outbox_history.lane IS 'Actions of one lane run one after another, in the order of their ids: source:subject, unless the action has a lane of its own.';

COMMENT ON COLUMN tradeflow.outbox_history.state IS 'ready, waiting (for its time), running, done, dead, held, cancelled, uncertain (sent, outcome unknown), shadow. Dead, held and uncertain stay until a person acts; done, cancelled and shadow move to outbox_history.';

COMMENT ON COLUMN tradeflow.outbox_history.parked IS 'Ready, but known not to be its turn: lane (others of its lane are before it), rule (its rule is paused). claim() does not meet it; who ends what is before it sets it free.';

COMMENT ON COLUMN tradeflow.outbox_history.blocking IS 'Dead or uncertain, and the later actions of its lane wait for what a person does about it (actions.on_dead).';

COMMENT ON COLUMN tradeflow.outbox_history.continued IS 'Dead, and its firing went on without it (actions.on_failure): its next step was begun.';

COMMENT ON COLUMN tradeflow.outbox_history.reason IS 'Why it is held or cancelled.';

COMMENT ON COLUMN tradeflow.outbox_history.facts IS 'What templates read: the changed row, or the row of the query.';

COMMENT ON COLUMN tradeflow.outbox_history.steps IS 'Results of the firing''s earlier steps, under their names and numbers.';

COMMENT ON COLUMN tradeflow.outbox_history.run_at IS 'Not before this time; of an action that had to wait for its lane, since when it is its turn. Ready ones are claimed in this order.';

COMMENT ON COLUMN tradeflow.outbox_history.fire_at IS 'The due time that the rule computed, before the action''s delay.';

COMMENT ON COLUMN tradeflow.outbox_history.attempt IS 'How often it was claimed. A completion must name the attempt that holds the lease.';

COMMENT ON COLUMN tradeflow.outbox_history.max_attempts IS 'After as many it is dead.';

COMMENT ON COLUMN tradeflow.outbox_history.worker IS 'Who holds the lease.';

COMMENT ON COLUMN tradeflow.outbox_history.lease_until IS 'Until when, by the database''s clock.';

COMMENT ON COLUMN tradeflow.outbox_history.started_at IS 'When the worker said that it begins something it cannot take back.';

COMMENT ON COLUMN tradeflow.outbox_history.error IS 'The last error.';

COMMENT ON COLUMN tradeflow.outbox_history.result IS 'What executing it returned.';

COMMENT ON COLUMN tradeflow.outbox_history.created_at IS 'The start of the transaction that fired.';

COMMENT ON COLUMN tradeflow.outbox_history.traceparent IS 'The trace of the change, as the writing session named it: set tradeflow.traceparent (W3C Trace Context). NULL: it named none.';

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

COMMENT ON COLUMN tradeflow.firings.event IS 'insert, update, delete, view, schedule or backfill.';

COMMENT ON COLUMN tradeflow.firings.subject IS 'Who it is about.';

COMMENT ON COLUMN tradeflow.firings.occurrence IS 'Which of several answers.';

COMMENT ON COLUMN tradeflow.firings.edge IS 'enter: the answer became yes; leave: it is yes no longer.';

COMMENT ON COLUMN tradeflow.firings.facts IS 'What templates read.';

COMMENT ON COLUMN tradeflow.firings.state IS 'State of the latest step.';

COMMENT ON COLUMN tradeflow.firings.actions IS 'How many steps were begun.';

COMMENT ON COLUMN tradeflow.firings.run_at IS 'When its first step was or is due.';

COMMENT ON COLUMN tradeflow.firings.created_at IS 'When it fired.';

COMMENT ON COLUMN tradeflow.firings.finished_at IS 'When its last step ended; NULL while something is open.';

CREATE UNLOGGED TABLE tradeflow.health_snapshot (
    only_row boolean DEFAULT true NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    took interval NOT NULL,
    body jsonb NOT NULL,
    CONSTRAINT health_snapshot_only_row_check CHECK (only_row)
);

COMMENT ON TABLE tradeflow.health_snapshot IS 'The last answer of tradeflow.health().';

COMMENT ON COLUMN tradeflow.health_snapshot.only_row IS 'Always true: the table holds one row.';

COMMENT ON COLUMN tradeflow.health_snapshot.taken_at IS 'When it was counted.';

COMMENT ON COLUMN tradeflow.health_snapshot.took IS 'How long counting took.';

COMMENT ON COLUMN tradeflow.health_snapshot.body IS 'What health() returned.';

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
    CONSTRAINT incidents_kind_check CHECK ((kind = ANY (ARRAY['rule_error'::text, 'rule_invalid'::text, 'rule_paused'::text, 'held_burst'::text, 'held_loop'::text, 'dead_action'::text, 'uncertain_action'::text, 'timer_error'::text, 'schedule_error'::text, 'watch_lost'::text, 'watch_changed'::text, 'log_error'::text, 'lane_error'::text, 'breaker_open'::text, 'unknown_kind'::text, 'sync_error'::text, 'sync_rejected'::text, 'sync_held'::text, 'hook_refused'::text])))
);

COMMENT ON TABLE tradeflow.incidents IS 'A row is something that went wrong and needs a person. Statements append; tick() adds up the ones that say the same. It is noted by ack(), and when what it tells of is decided: the action retried or cancelled, what is held released or discarded, the target''s breaker closed. Noted ones are kept as long as the history (setting history_days); open ones until a person acts.';

COMMENT ON COLUMN tradeflow.incidents.id IS 'Identifies the incident.';

COMMENT ON COLUMN tradeflow.incidents.kind IS 'rule_error: a condition, query or due time failed for a row. rule_invalid: a rule no longer compiles. held_burst: more firings than max_firings. dead_action, uncertain_action: see the outbox row. timer_error: a due timer could not be asked again. log_error: a change could not be written to change_log. lane_error: an action''s lane could not be rendered. breaker_open: a target failed so often that nothing is sent there for a while. unknown_kind: actions wait of a kind that no sidecar asks for. sync_error: a resource could not be read. sync_rejected: a payload could not be stored. sync_held: more rows than sync.sweep_max_deleted are gone at the source, so none was deleted. hook_refused: a webhook was not believed.';

COMMENT ON COLUMN tradeflow.incidents.rule IS 'The rule concerned.';

COMMENT ON COLUMN tradeflow.incidents.source IS 'The table whose row it happened for.';

COMMENT ON COLUMN tradeflow.incidents.subject IS 'The key of the (first) row it happened for; of breaker_open the target.';

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

ALTER TABLE tradeflow.ledger_entries ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.ledger_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tradeflow.links (
    source text NOT NULL,
    subject text NOT NULL,
    target text NOT NULL,
    object text NOT NULL,
    other_id text NOT NULL,
    outbox_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.links IS 'Our subject and the other system''s id of it. Written with the completion of the action that learned it; queries of rules may read it.';

COMMENT ON COLUMN tradeflow.links.source IS 'Our table: store.quotes.';

COMMENT ON COLUMN tradeflow.links.subject IS 'Who of it: the key as text.';

COMMENT ON COLUMN tradeflow.links.target IS 'The target that the other system is.';

COMMENT ON COLUMN tradeflow.links.object IS 'What it is there: deal, contact, invoice, …';

COMMENT ON COLUMN tradeflow.links.other_id IS 'Its id there.';

COMMENT ON COLUMN tradeflow.links.outbox_id IS 'The action that wrote this.';

COMMENT ON COLUMN tradeflow.links.created_at IS 'When it was first known.';

COMMENT ON COLUMN tradeflow.links.updated_at IS 'When it last became another id.';

CREATE UNLOGGED TABLE tradeflow.locks (
    name text NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL
);

COMMENT ON TABLE tradeflow.locks IS 'Who holds what, until when by the database''s clock: a sheet that has one writer, a company whose credit is being written. A crash empties it.';

COMMENT ON COLUMN tradeflow.locks.name IS 'What is held.';

COMMENT ON COLUMN tradeflow.locks.holder IS 'Who holds it.';

COMMENT ON COLUMN tradeflow.locks.until IS 'Until when, unless it is prolonged.';

CREATE TABLE tradeflow.mail_sends (
    outbox_id bigint NOT NULL,
    address text NOT NULL,
    topic text NOT NULL,
    sent_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE tradeflow.mail_sends IS 'Mails sent, or about to be, to addresses with a frequency cap. Rows older than the cap''s period, and those of dead actions, go when the address is asked about again.';

COMMENT ON COLUMN tradeflow.mail_sends.outbox_id IS 'The action.';

COMMENT ON COLUMN tradeflow.mail_sends.address IS 'The recipient, in lower case.';

COMMENT ON COLUMN tradeflow.mail_sends.topic IS 'What the cap counts.';

COMMENT ON COLUMN tradeflow.mail_sends.sent_at IS 'When, by tradeflow.now().';

CREATE TABLE tradeflow.members (
    rule text NOT NULL,
    subject text NOT NULL,
    occurrence text DEFAULT ''::text NOT NULL,
    facts jsonb DEFAULT '{}'::jsonb NOT NULL,
    entered_at timestamp with time zone,
    fire_at timestamp with time zone,
    recheck_at timestamp with time zone
);

COMMENT ON TABLE tradeflow.members IS 'What view rules answered last, and about whom once rules have fired.';

COMMENT ON COLUMN tradeflow.members.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.members.subject IS 'Who the answer yes is about.';

COMMENT ON COLUMN tradeflow.members.occurrence IS 'Which of several answers about the subject.';

COMMENT ON COLUMN tradeflow.members.facts IS 'The view''s row at the time of entry; leave actions get it.';

COMMENT ON COLUMN tradeflow.members.entered_at IS 'When it entered. NULL: its fire_at is still to come.';

COMMENT ON COLUMN tradeflow.members.fire_at IS 'When it enters, if the view says so.';

COMMENT ON COLUMN tradeflow.members.recheck_at IS 'When the view is to be asked again without any change.';

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
    kind text COLLATE pg_catalog."C",
    target text COLLATE pg_catalog."C",
    lane text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    parked text,
    blocking boolean NOT NULL,
    continued boolean NOT NULL,
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
    traceparent text,
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

CREATE TABLE tradeflow.pool_members (
    pool text NOT NULL,
    member text NOT NULL,
    weight integer DEFAULT 1 NOT NULL,
    cap integer,
    absent tstzmultirange DEFAULT '{}'::tstzmultirange NOT NULL,
    pass numeric DEFAULT 0 NOT NULL,
    CONSTRAINT pool_members_cap_check CHECK ((cap >= 0)),
    CONSTRAINT pool_members_member_check CHECK ((member <> ''::text)),
    CONSTRAINT pool_members_weight_check CHECK (((weight >= 0) AND (weight <= 10000)))
);

COMMENT ON TABLE tradeflow.pool_members IS 'A row is one who may be picked.';

COMMENT ON COLUMN tradeflow.pool_members.pool IS 'The pool.';

COMMENT ON COLUMN tradeflow.pool_members.member IS 'Who: an id or a mail address, as the pick''s user needs it.';

COMMENT ON COLUMN tradeflow.pool_members.weight IS 'The share: 2 gets twice as many as 1, 0 gets none.';

COMMENT ON COLUMN tradeflow.pool_members.cap IS 'At most as many assignments at a time. NULL: no limit.';

COMMENT ON COLUMN tradeflow.pool_members.absent IS 'When not to be picked: {[2026-12-21,2027-01-04)}. What is assigned already stays.';

COMMENT ON COLUMN tradeflow.pool_members.pass IS 'How much was picked so far, in 1/weight. Written by pick().';

CREATE TABLE tradeflow.pools (
    name text NOT NULL,
    description text,
    pass numeric DEFAULT 0 NOT NULL,
    CONSTRAINT pools_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text))
);

COMMENT ON TABLE tradeflow.pools IS 'A row is a group of people, or of anything, one of whom tradeflow.pick() chooses.';

COMMENT ON COLUMN tradeflow.pools.name IS 'What pick() is called with.';

COMMENT ON COLUMN tradeflow.pools.description IS 'For people.';

COMMENT ON COLUMN tradeflow.pools.pass IS 'The pass at which the last pick was made. Written by pick().';

CREATE TABLE tradeflow.project_objects (
    project text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    file text NOT NULL,
    definition jsonb NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by name DEFAULT SESSION_USER NOT NULL
);

COMMENT ON TABLE tradeflow.project_objects IS 'What a project''s files define, as the last apply left it. A difference to what is there now was made in the database; what is here and in no file any more is removed by apply --prune. One project at most defines an object.';

COMMENT ON COLUMN tradeflow.project_objects.project IS 'The project.';

COMMENT ON COLUMN tradeflow.project_objects.kind IS 'rule, input, action, template, setting, target, pool, pool member, row (of a decision table), view, function, table.';

COMMENT ON COLUMN tradeflow.project_objects.name IS 'Which of its kind.';

COMMENT ON COLUMN tradeflow.project_objects.file IS 'The file that defines it, within the project.';

COMMENT ON COLUMN tradeflow.project_objects.definition IS 'What it was after the last apply that changed it.';

COMMENT ON COLUMN tradeflow.project_objects.applied_at IS 'When that was.';

COMMENT ON COLUMN tradeflow.project_objects.applied_by IS 'Who did it.';

CREATE TABLE tradeflow.projects (
    name text NOT NULL,
    schema name NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by name DEFAULT SESSION_USER NOT NULL,
    applied_with text NOT NULL,
    CONSTRAINT projects_name_check CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'::text))
);

COMMENT ON TABLE tradeflow.projects IS 'A row is a project: files that define rules, written here by tradeflow apply.';

COMMENT ON COLUMN tradeflow.projects.name IS 'What rules.project says.';

COMMENT ON COLUMN tradeflow.projects.schema IS 'Where its views, functions and decision tables are.';

COMMENT ON COLUMN tradeflow.projects.applied_at IS 'When it was applied last.';

COMMENT ON COLUMN tradeflow.projects.applied_by IS 'Who did.';

COMMENT ON COLUMN tradeflow.projects.applied_with IS 'The version of the program that did.';

CREATE TABLE tradeflow.pushes (
    target text NOT NULL,
    object text NOT NULL,
    object_id text NOT NULL,
    hash text NOT NULL,
    written jsonb NOT NULL,
    outbox_id bigint,
    pushed_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.pushes IS 'What we last wrote to a thing in another system. Our own writes come back as changes: an action that would write the same again writes nothing, which ends the loop.';

COMMENT ON COLUMN tradeflow.pushes.target IS 'The target.';

COMMENT ON COLUMN tradeflow.pushes.object IS 'What it is there: deal, company, quote, …';

COMMENT ON COLUMN tradeflow.pushes.object_id IS 'Its id, or the value of its unique property.';

COMMENT ON COLUMN tradeflow.pushes.hash IS 'SHA-256 of the values, as the sidecar computes it.';

COMMENT ON COLUMN tradeflow.pushes.written IS 'The values.';

COMMENT ON COLUMN tradeflow.pushes.outbox_id IS 'The action that wrote them.';

COMMENT ON COLUMN tradeflow.pushes.pushed_at IS 'When its completion was accepted.';

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

CREATE UNLOGGED TABLE tradeflow.recent_firings (
    about bigint NOT NULL,
    at timestamp with time zone NOT NULL
);

COMMENT ON TABLE tradeflow.recent_firings IS 'What fired within the last hour, to hold loops (rules.max_per_subject). Statements append, tick() sweeps.';

COMMENT ON COLUMN tradeflow.recent_firings.about IS 'A hash of rule and subject.';

COMMENT ON COLUMN tradeflow.recent_firings.at IS 'When it fired.';

CREATE TABLE tradeflow.rule_failures (
    rule text NOT NULL,
    since timestamp with time zone NOT NULL,
    base bigint NOT NULL,
    total bigint NOT NULL
);

COMMENT ON TABLE tradeflow.rule_failures IS 'How often rules failed, as tick() counted it in their open incidents. A rule with as many within an hour as setting pause_after_errors (default 100) says is paused.';

COMMENT ON COLUMN tradeflow.rule_failures.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.rule_failures.since IS 'Begin of the hour that is counted.';

COMMENT ON COLUMN tradeflow.rule_failures.base IS 'The total at its begin.';

COMMENT ON COLUMN tradeflow.rule_failures.total IS 'The total when it was last counted.';

CREATE TABLE tradeflow.rule_inputs (
    rule text NOT NULL,
    source text NOT NULL,
    subject text NOT NULL
);

COMMENT ON TABLE tradeflow.rule_inputs IS 'A row is a table that a view rule looks at, with what maps one of its rows to the view''s subjects.';

COMMENT ON COLUMN tradeflow.rule_inputs.rule IS 'The view rule.';

COMMENT ON COLUMN tradeflow.rule_inputs.source IS 'A watched table.';

COMMENT ON COLUMN tradeflow.rule_inputs.subject IS 'An expression over new (new.company_id), or a SELECT that may mention new and returns any number of subjects in its one column. It is asked about the row as it was and as it is. NULL: no subject.';

CREATE VIEW tradeflow.rule_stats AS
 SELECT r.name AS rule,
    r.mode,
        CASE
            WHEN (r.mode = 'off'::text) THEN 'off'::text
            WHEN (r.invalid IS NOT NULL) THEN 'invalid'::text
            WHEN (r.paused_at IS NOT NULL) THEN 'paused'::text
            ELSE r.mode
        END AS status,
    COALESCE(r.invalid, r.paused_reason) AS reason,
    COALESCE(o.ready, (0)::bigint) AS ready,
    COALESCE(o.waiting, (0)::bigint) AS waiting,
    COALESCE(o.running, (0)::bigint) AS running,
    COALESCE(o.held, (0)::bigint) AS held,
    COALESCE(o.dead, (0)::bigint) AS dead,
    COALESCE(o.uncertain, (0)::bigint) AS uncertain,
    COALESCE(h.done, (0)::bigint) AS done_24h,
    COALESCE(h.cancelled, (0)::bigint) AS cancelled_24h,
    h.latency AS median_latency_24h,
    GREATEST(o.last_fired_at, h.last_fired_at) AS last_fired_at,
    COALESCE(i.incidents, (0)::bigint) AS incidents
   FROM (((tradeflow.rules r
     LEFT JOIN ( SELECT x.rule,
            count(*) FILTER (WHERE (x.state = 'ready'::text)) AS ready,
            count(*) FILTER (WHERE (x.state = 'waiting'::text)) AS waiting,
            count(*) FILTER (WHERE (x.state = 'running'::text)) AS running,
            count(*) FILTER (WHERE (x.state = 'held'::text)) AS held,
            count(*) FILTER (WHERE (x.state = 'dead'::text)) AS dead,
            count(*) FILTER (WHERE (x.state = 'uncertain'::text)) AS uncertain,
            max(x.created_at) AS last_fired_at
           FROM tradeflow.outbox x
          GROUP BY x.rule) o ON ((o.rule = r.name)))
     LEFT JOIN ( SELECT x.rule,
            count(*) FILTER (WHERE (x.state = 'done'::text)) AS done,
            count(*) FILTER (WHERE (x.state = 'cancelled'::text)) AS cancelled,
            percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (x.finished_at - GREATEST(x.run_at, x.created_at))) FILTER (WHERE (x.state = 'done'::text)) AS latency,
            max(x.created_at) AS last_fired_at
           FROM tradeflow.outbox_history x
          WHERE (x.finished_at > (now() - '24:00:00'::interval))
          GROUP BY x.rule) h ON ((h.rule = r.name)))
     LEFT JOIN ( SELECT x.rule,
            count(*) AS incidents
           FROM tradeflow.incidents x
          WHERE (x.acked_at IS NULL)
          GROUP BY x.rule) i ON ((i.rule = r.name)));

COMMENT ON VIEW tradeflow.rule_stats IS 'One row a rule: whether it is asked, what of it is open, and what became of the rest within the last 24 hours.';

COMMENT ON COLUMN tradeflow.rule_stats.rule IS 'The rule.';

COMMENT ON COLUMN tradeflow.rule_stats.mode IS 'live, shadow or off.';

COMMENT ON COLUMN tradeflow.rule_stats.status IS 'live or shadow: it is asked. off, invalid, paused: it is not.';

COMMENT ON COLUMN tradeflow.rule_stats.reason IS 'Why it is invalid or paused.';

COMMENT ON COLUMN tradeflow.rule_stats.ready IS 'Actions that are ready.';

COMMENT ON COLUMN tradeflow.rule_stats.waiting IS 'Actions that wait for their time.';

COMMENT ON COLUMN tradeflow.rule_stats.running IS 'Actions that are being executed.';

COMMENT ON COLUMN tradeflow.rule_stats.held IS 'Actions that are held until a person lets them go.';

COMMENT ON COLUMN tradeflow.rule_stats.dead IS 'Actions that failed for good.';

COMMENT ON COLUMN tradeflow.rule_stats.uncertain IS 'Actions of which nobody knows whether they arrived.';

COMMENT ON COLUMN tradeflow.rule_stats.done_24h IS 'Actions done within the last 24 hours.';

COMMENT ON COLUMN tradeflow.rule_stats.cancelled_24h IS 'Actions cancelled within the last 24 hours.';

COMMENT ON COLUMN tradeflow.rule_stats.median_latency_24h IS 'From being due (or committed) to being done: the median of the last 24 hours.';

COMMENT ON COLUMN tradeflow.rule_stats.last_fired_at IS 'When it fired last, of what is open or ended within 24 hours.';

COMMENT ON COLUMN tradeflow.rule_stats.incidents IS 'Its open incidents.';

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

CREATE TABLE tradeflow.schedules (
    rule text NOT NULL,
    next_run_at timestamp with time zone NOT NULL,
    planned_at timestamp with time zone DEFAULT tradeflow.now() NOT NULL,
    last_run_at timestamp with time zone,
    last_firings integer,
    last_error text
);

COMMENT ON TABLE tradeflow.schedules IS 'When the rules with a schedule are run. tick() runs what is due, as the rule''s owner, one firing for each row; what was missed is caught up once.';

COMMENT ON COLUMN tradeflow.schedules.rule IS 'The rule; its column schedule says when.';

COMMENT ON COLUMN tradeflow.schedules.next_run_at IS 'When it is due next, by tradeflow.now().';

COMMENT ON COLUMN tradeflow.schedules.planned_at IS 'What time it was, by tradeflow.now(), when next_run_at was computed.';

COMMENT ON COLUMN tradeflow.schedules.last_run_at IS 'When it was run last.';

COMMENT ON COLUMN tradeflow.schedules.last_firings IS 'How often it fired then. NULL: it failed.';

COMMENT ON COLUMN tradeflow.schedules.last_error IS 'Why it failed then. NULL: it did not.';

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

CREATE UNLOGGED TABLE tradeflow.sidecars (
    worker text NOT NULL,
    kinds text[] NOT NULL,
    version text,
    concurrency integer,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE tradeflow.sidecars IS 'A row is a sidecar that runs, or ran within the last hour. One that was not seen for 30 seconds is gone.';

COMMENT ON COLUMN tradeflow.sidecars.worker IS 'The name it signs its leases with.';

COMMENT ON COLUMN tradeflow.sidecars.kinds IS 'The kinds of action it executes.';

COMMENT ON COLUMN tradeflow.sidecars.version IS 'Its version.';

COMMENT ON COLUMN tradeflow.sidecars.concurrency IS 'How many actions it executes at the same time.';

COMMENT ON COLUMN tradeflow.sidecars.started_at IS 'When it said so first.';

COMMENT ON COLUMN tradeflow.sidecars.seen_at IS 'When it said so last.';

ALTER TABLE tradeflow.storefront_messages ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.storefront_messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tradeflow.suppressions (
    address text NOT NULL,
    reason text,
    created_by name DEFAULT SESSION_USER NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT suppressions_address_check CHECK ((address = lower(address)))
);

COMMENT ON TABLE tradeflow.suppressions IS 'Addresses that kind email never sends to, unless its parameter transactional is true.';

COMMENT ON COLUMN tradeflow.suppressions.address IS 'The address, in lower case.';

COMMENT ON COLUMN tradeflow.suppressions.reason IS 'Why: unsubscribed, bounced, …';

COMMENT ON COLUMN tradeflow.suppressions.created_by IS 'Who added it.';

COMMENT ON COLUMN tradeflow.suppressions.created_at IS 'When.';

CREATE TABLE tradeflow.sync_events (
    event_id text NOT NULL,
    source text NOT NULL,
    scope text NOT NULL,
    data jsonb NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    done_at timestamp with time zone,
    error text
);

COMMENT ON TABLE tradeflow.sync_events IS 'What webhooks told. A row is written before the webhook is answered, so none is lost, and kept for a while, so none counts twice.';

COMMENT ON COLUMN tradeflow.sync_events.event_id IS 'The sender''s id of the message (webhook-id), the same at every attempt to deliver it.';

COMMENT ON COLUMN tradeflow.sync_events.source IS 'Which system: bigcommerce.';

COMMENT ON COLUMN tradeflow.sync_events.scope IS 'What happened, in the sender''s words: store/quote/updated.';

COMMENT ON COLUMN tradeflow.sync_events.data IS 'Which thing it happened to. Ids only: the thing itself is fetched.';

COMMENT ON COLUMN tradeflow.sync_events.received_at IS 'When it came.';

COMMENT ON COLUMN tradeflow.sync_events.due_at IS 'When it is to be worked on (again); moved ahead while somebody does.';

COMMENT ON COLUMN tradeflow.sync_events.attempts IS 'How often it was begun.';

COMMENT ON COLUMN tradeflow.sync_events.done_at IS 'When what it told was stored. NULL: waiting.';

COMMENT ON COLUMN tradeflow.sync_events.error IS 'Why the last attempt failed.';

CREATE TABLE tradeflow.sync_state (
    resource text NOT NULL,
    watermark timestamp with time zone,
    "position" jsonb DEFAULT '{}'::jsonb NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    caught_up_at timestamp with time zone,
    swept_at timestamp with time zone,
    last_error text,
    failures integer DEFAULT 0 NOT NULL,
    read bigint DEFAULT 0 NOT NULL,
    inserted bigint DEFAULT 0 NOT NULL,
    updated bigint DEFAULT 0 NOT NULL,
    unchanged bigint DEFAULT 0 NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL,
    rejected bigint DEFAULT 0 NOT NULL,
    requests bigint DEFAULT 0 NOT NULL
);

COMMENT ON TABLE tradeflow.sync_state IS 'How far the copy of each resource is, and what its last run did. Deleting a row makes the next run a first load.';

COMMENT ON COLUMN tradeflow.sync_state.resource IS 'Name of the resource, as `tradeflow sync` spells it.';

COMMENT ON COLUMN tradeflow.sync_state.watermark IS 'Everything that changed at the source before this (by the source''s clock) is stored. NULL: nothing yet, or the resource tells no times.';

COMMENT ON COLUMN tradeflow.sync_state."position" IS 'Where a resource without times goes on: {"after": id}.';

COMMENT ON COLUMN tradeflow.sync_state.started_at IS 'When the last run began.';

COMMENT ON COLUMN tradeflow.sync_state.finished_at IS 'When a run last ended well.';

COMMENT ON COLUMN tradeflow.sync_state.caught_up_at IS 'The copy has what the source had at this time: the beginning of the last run that reached the end.';

COMMENT ON COLUMN tradeflow.sync_state.swept_at IS 'When all rows were last compared, so that those gone at the source are gone here.';

COMMENT ON COLUMN tradeflow.sync_state.last_error IS 'Why the last run failed. NULL: it did not.';

COMMENT ON COLUMN tradeflow.sync_state.failures IS 'How many runs have failed since one ended well.';

COMMENT ON COLUMN tradeflow.sync_state.read IS 'Rows read by the last run.';

COMMENT ON COLUMN tradeflow.sync_state.inserted IS 'Rows inserted by the last run.';

COMMENT ON COLUMN tradeflow.sync_state.updated IS 'Rows changed by the last run.';

COMMENT ON COLUMN tradeflow.sync_state.unchanged IS 'Rows the last run found as they were.';

COMMENT ON COLUMN tradeflow.sync_state.deleted IS 'Rows deleted by the last run.';

COMMENT ON COLUMN tradeflow.sync_state.rejected IS 'Payloads the last run could not store; each is an incident.';

COMMENT ON COLUMN tradeflow.sync_state.requests IS 'Requests the last run made.';

CREATE VIEW tradeflow.sync_status AS
 SELECT sync_state.resource,
    sync_state.watermark,
    (now() - sync_state.caught_up_at) AS lag,
    sync_state.started_at,
    sync_state.finished_at,
    sync_state.swept_at,
    sync_state.last_error,
    sync_state.failures,
    sync_state.read,
    sync_state.inserted,
    sync_state.updated,
    sync_state.unchanged,
    sync_state.deleted,
    sync_state.rejected,
    sync_state.requests
   FROM tradeflow.sync_state;

COMMENT ON VIEW tradeflow.sync_status IS 'tradeflow.sync_state with the lag: how old the state of the source is that the copy shows.';

COMMENT ON COLUMN tradeflow.sync_status.resource IS 'Name of the resource.';

COMMENT ON COLUMN tradeflow.sync_status.watermark IS 'Everything that changed at the source before this is stored.';

COMMENT ON COLUMN tradeflow.sync_status.lag IS 'How old the state of the source is that the copy shows. NULL: the first load is not over.';

COMMENT ON COLUMN tradeflow.sync_status.started_at IS 'When the last run began.';

COMMENT ON COLUMN tradeflow.sync_status.finished_at IS 'When a run last ended well.';

COMMENT ON COLUMN tradeflow.sync_status.swept_at IS 'When all rows were last compared.';

COMMENT ON COLUMN tradeflow.sync_status.last_error IS 'Why the last run failed.';

COMMENT ON COLUMN tradeflow.sync_status.failures IS 'How many runs have failed in a row.';

COMMENT ON COLUMN tradeflow.sync_status.read IS 'Rows read by the last run.';

COMMENT ON COLUMN tradeflow.sync_status.inserted IS 'Rows inserted by the last run.';

COMMENT ON COLUMN tradeflow.sync_status.updated IS 'Rows changed by the last run.';

COMMENT ON COLUMN tradeflow.sync_status.unchanged IS 'Rows the last run found as they were.';

COMMENT ON COLUMN tradeflow.sync_status.deleted IS 'Rows deleted by the last run.';

COMMENT ON COLUMN tradeflow.sync_status.rejected IS 'Payloads the last run could not store.';

COMMENT ON COLUMN tradeflow.sync_status.requests IS 'Requests the last run made.';

CREATE VIEW tradeflow.target_health AS
 SELECT t.name AS target,
    t.system,
        CASE
            WHEN (t.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN (s.breaker <> 'closed'::text) THEN s.breaker
            WHEN (s.throttled_until > clock_timestamp()) THEN 'throttled'::text
            ELSE 'ok'::text
        END AS status,
        CASE
            WHEN (t.paused_at IS NOT NULL) THEN t.paused_reason
            WHEN ((s.breaker <> 'closed'::text) OR (s.throttled_until > clock_timestamp())) THEN s.last_error
            ELSE NULL::text
        END AS reason,
        CASE
            WHEN (t.paused_at IS NOT NULL) THEN NULL::timestamp with time zone
            WHEN (s.breaker <> 'closed'::text) THEN s.retry_at
            WHEN (s.throttled_until > clock_timestamp()) THEN s.throttled_until
            ELSE NULL::timestamp with time zone
        END AS retry_at,
    COALESCE(q.ready, (0)::numeric) AS ready,
    COALESCE(q.waiting, (0)::numeric) AS waiting,
    COALESCE(q.running, (0)::numeric) AS running,
    COALESCE(q.held, (0)::numeric) AS held,
    COALESCE(q.dead, (0)::numeric) AS dead,
    COALESCE(q.uncertain, (0)::numeric) AS uncertain,
    q.lag,
    COALESCE(s.failures, 0) AS failures,
    s.last_error,
    s.last_failed_at
   FROM ((tradeflow.targets t
     LEFT JOIN tradeflow.target_states s ON ((s.target = t.name)))
     LEFT JOIN ( SELECT h.target,
            sum(h.actions) FILTER (WHERE (h.state = 'ready'::text)) AS ready,
            sum(h.actions) FILTER (WHERE (h.state = 'waiting'::text)) AS waiting,
            sum(h.actions) FILTER (WHERE (h.state = 'running'::text)) AS running,
            sum(h.actions) FILTER (WHERE (h.state = 'held'::text)) AS held,
            sum(h.actions) FILTER (WHERE (h.state = 'dead'::text)) AS dead,
            sum(h.actions) FILTER (WHERE (h.state = 'uncertain'::text)) AS uncertain,
            max(h.lag) AS lag
           FROM tradeflow.queue_health h
          GROUP BY h.target) q ON ((q.target = t.name)));

COMMENT ON VIEW tradeflow.target_health IS 'One row a target: what waits for it, and in which state it is.';

COMMENT ON COLUMN tradeflow.target_health.target IS 'The target.';

COMMENT ON COLUMN tradeflow.target_health.system IS 'Its system.';

COMMENT ON COLUMN tradeflow.target_health.status IS 'ok: it is sent to. paused: by a person. open, half_open: its circuit breaker. throttled: it asked not to be called for a while.';

COMMENT ON COLUMN tradeflow.target_health.reason IS 'Why it is not ok.';

COMMENT ON COLUMN tradeflow.target_health.retry_at IS 'When it is tried again, if it is not ok and nobody paused it.';

COMMENT ON COLUMN tradeflow.target_health.ready IS 'Actions that are ready for it.';

COMMENT ON COLUMN tradeflow.target_health.waiting IS 'Actions that wait for their time.';

COMMENT ON COLUMN tradeflow.target_health.running IS 'Actions that are being executed.';

COMMENT ON COLUMN tradeflow.target_health.held IS 'Actions that are held until a person lets them go.';

COMMENT ON COLUMN tradeflow.target_health.dead IS 'Actions that failed for good.';

COMMENT ON COLUMN tradeflow.target_health.uncertain IS 'Actions of which nobody knows whether they arrived.';

COMMENT ON COLUMN tradeflow.target_health.lag IS 'How long the oldest ready one has been due.';

COMMENT ON COLUMN tradeflow.target_health.failures IS 'Transient failures in a row.';

COMMENT ON COLUMN tradeflow.target_health.last_error IS 'The last transient failure or throttling, in its words.';

COMMENT ON COLUMN tradeflow.target_health.last_failed_at IS 'When that was.';

CREATE TABLE tradeflow.tasks (
    id bigint NOT NULL,
    pool text NOT NULL,
    title text NOT NULL,
    body text,
    rule text,
    source text,
    subject text,
    facts jsonb,
    options text[],
    due_at timestamp with time zone,
    outcome text,
    note text,
    decided_by name,
    decided_at timestamp with time zone,
    outbox_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE tradeflow.tasks IS 'Something a person must do or decide (kind task). It may be watched like any table: a rule on it answers to a decision, or to a due time that passes.';

COMMENT ON COLUMN tradeflow.tasks.id IS 'Identifies the task.';

COMMENT ON COLUMN tradeflow.tasks.pool IS 'Who should look: a team''s name.';

COMMENT ON COLUMN tradeflow.tasks.title IS 'What is to be done, in one line.';

COMMENT ON COLUMN tradeflow.tasks.body IS 'More about it.';

COMMENT ON COLUMN tradeflow.tasks.rule IS 'The rule that asked for it.';

COMMENT ON COLUMN tradeflow.tasks.source IS 'The table of the row it is about.';

COMMENT ON COLUMN tradeflow.tasks.subject IS 'Who it is about.';

COMMENT ON COLUMN tradeflow.tasks.facts IS 'The facts of the firing.';

COMMENT ON COLUMN tradeflow.tasks.options IS 'Outcomes there are to choose from. NULL: any.';

COMMENT ON COLUMN tradeflow.tasks.due_at IS 'When it should be decided. NULL: whenever.';

COMMENT ON COLUMN tradeflow.tasks.outcome IS 'What was decided. NULL: nothing yet.';

COMMENT ON COLUMN tradeflow.tasks.note IS 'Why.';

COMMENT ON COLUMN tradeflow.tasks.decided_by IS 'Who decided.';

COMMENT ON COLUMN tradeflow.tasks.decided_at IS 'When. NULL: it is open.';

COMMENT ON COLUMN tradeflow.tasks.outbox_id IS 'The action that made it.';

COMMENT ON COLUMN tradeflow.tasks.created_at IS 'When it was made.';

ALTER TABLE tradeflow.tasks ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

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

CREATE UNLOGGED TABLE tradeflow.upkeep (
    task text NOT NULL,
    from_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    done_at timestamp with time zone,
    took interval DEFAULT '00:00:00'::interval NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='200');

COMMENT ON TABLE tradeflow.upkeep IS 'What tick() does not do every second.';

COMMENT ON COLUMN tradeflow.upkeep.task IS 'leases: looking through all of them, not only through those that ended lately. parked: setting free what is parked without reason. running: counting what runs at targets with a concurrency limit. recent: forgetting what fired an hour ago. settled: noting incidents that mended themselves. noted: forgetting incidents noted long ago. partitions: when another transaction was last in the way of them.';

COMMENT ON COLUMN tradeflow.upkeep.from_at IS 'leases: those that ended before were dealt with.';

COMMENT ON COLUMN tradeflow.upkeep.done_at IS 'When it was done last.';

COMMENT ON COLUMN tradeflow.upkeep.took IS 'How long it took: it is done the more seldom the longer it takes.';

CREATE TABLE tradeflow.view_checks (
    id bigint NOT NULL,
    rules text[] NOT NULL,
    subjects text[] NOT NULL,
    silent boolean DEFAULT false NOT NULL,
    xact xid8 DEFAULT pg_current_xact_id() NOT NULL
);

COMMENT ON TABLE tradeflow.view_checks IS 'Subjects that view rules are to be asked about: at the end of the transaction that changed them, or by tick() where that one ran under REPEATABLE READ or above and could not see what others commit.';

COMMENT ON COLUMN tradeflow.view_checks.id IS 'Identifies the row.';

COMMENT ON COLUMN tradeflow.view_checks.rules IS 'The view rules: each is asked about each of the subjects.';

COMMENT ON COLUMN tradeflow.view_checks.subjects IS 'The subjects, as text.';

COMMENT ON COLUMN tradeflow.view_checks.silent IS 'Only members is brought up to date, nothing fires.';

COMMENT ON COLUMN tradeflow.view_checks.xact IS 'The transaction that changed them.';

ALTER TABLE tradeflow.view_checks ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME tradeflow.view_checks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE tradeflow.watched_tables (
    name text NOT NULL,
    key text[] NOT NULL,
    ignore text[] DEFAULT '{}'::text[] NOT NULL,
    watched_at timestamp with time zone DEFAULT now() NOT NULL,
    lost text,
    log boolean DEFAULT false NOT NULL,
    logged_since timestamp with time zone,
    CONSTRAINT watched_tables_key_check CHECK ((cardinality(key) > 0))
);

COMMENT ON TABLE tradeflow.watched_tables IS 'A row is a table whose changes are evaluated. Written by tradeflow.watch() and tradeflow.unwatch().';

COMMENT ON COLUMN tradeflow.watched_tables.name IS 'Schema and table, as format(''%I.%I'') writes them. Tables are known by name: tools that reload by swapping tables keep it.';

COMMENT ON COLUMN tradeflow.watched_tables.key IS 'The columns that identify a row. One column: its text is the subject of a firing; several: their text array.';

COMMENT ON COLUMN tradeflow.watched_tables.ignore IS 'Columns whose change alone is no change: synced_at, the raw payload.';

COMMENT ON COLUMN tradeflow.watched_tables.watched_at IS 'When the table was watched first.';

COMMENT ON COLUMN tradeflow.watched_tables.lost IS 'Why its changes are not seen at present: it was dropped, renamed, lost a key column. An incident watch_lost tells the same. NULL: they are seen.';

COMMENT ON COLUMN tradeflow.watched_tables.log IS 'Whether old and new of each change are kept in change_log.';

COMMENT ON COLUMN tradeflow.watched_tables.logged_since IS 'Since when they are. NULL: they are not.';

ALTER TABLE ONLY tradeflow.change_log ATTACH PARTITION tradeflow.change_log_default DEFAULT;

ALTER TABLE ONLY tradeflow.outbox_history ATTACH PARTITION tradeflow.outbox_history_default DEFAULT;

ALTER TABLE ONLY tradeflow.action_kinds
    ADD CONSTRAINT action_kinds_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_pkey PRIMARY KEY (rule, edge, step);

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_rule_edge_name_key UNIQUE (rule, edge, name);

ALTER TABLE ONLY tradeflow.assignments
    ADD CONSTRAINT assignments_pkey PRIMARY KEY (pool, subject);

ALTER TABLE ONLY tradeflow.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (kind, target);

ALTER TABLE ONLY tradeflow.clock
    ADD CONSTRAINT clock_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY tradeflow.health_snapshot
    ADD CONSTRAINT health_snapshot_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY tradeflow.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY tradeflow.ledger_entries
    ADD CONSTRAINT ledger_entries_account_key_key UNIQUE (account, key);

ALTER TABLE ONLY tradeflow.ledger_entries
    ADD CONSTRAINT ledger_entries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (source, subject, target, object);

ALTER TABLE ONLY tradeflow.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.mail_sends
    ADD CONSTRAINT mail_sends_pkey PRIMARY KEY (address, topic, sent_at, outbox_id);

ALTER TABLE ONLY tradeflow.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (subject, rule, occurrence);

ALTER TABLE ONLY tradeflow.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.pool_members
    ADD CONSTRAINT pool_members_pkey PRIMARY KEY (pool, member);

ALTER TABLE ONLY tradeflow.pools
    ADD CONSTRAINT pools_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.project_objects
    ADD CONSTRAINT project_objects_pkey PRIMARY KEY (kind, name);

ALTER TABLE ONLY tradeflow.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.pushes
    ADD CONSTRAINT pushes_pkey PRIMARY KEY (target, object, object_id);

ALTER TABLE ONLY tradeflow.rule_failures
    ADD CONSTRAINT rule_failures_pkey PRIMARY KEY (rule);

ALTER TABLE ONLY tradeflow.rule_inputs
    ADD CONSTRAINT rule_inputs_pkey PRIMARY KEY (rule, source);

ALTER TABLE ONLY tradeflow.rule_versions
    ADD CONSTRAINT rule_versions_pkey PRIMARY KEY (rule, version);

ALTER TABLE ONLY tradeflow.rules
    ADD CONSTRAINT rules_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (rule);

ALTER TABLE ONLY tradeflow.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.sidecars
    ADD CONSTRAINT sidecars_pkey PRIMARY KEY (worker);

ALTER TABLE ONLY tradeflow.storefront_messages
    ADD CONSTRAINT storefront_messages_key_key UNIQUE (key);

ALTER TABLE ONLY tradeflow.storefront_messages
    ADD CONSTRAINT storefront_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (address);

ALTER TABLE ONLY tradeflow.sync_events
    ADD CONSTRAINT sync_events_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY tradeflow.sync_state
    ADD CONSTRAINT sync_state_pkey PRIMARY KEY (resource);

ALTER TABLE ONLY tradeflow.target_states
    ADD CONSTRAINT target_states_pkey PRIMARY KEY (target);

ALTER TABLE ONLY tradeflow.targets
    ADD CONSTRAINT targets_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.tasks
    ADD CONSTRAINT tasks_outbox_id_key UNIQUE (outbox_id);

ALTER TABLE ONLY tradeflow.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (name);

ALTER TABLE ONLY tradeflow.upkeep
    ADD CONSTRAINT upkeep_pkey PRIMARY KEY (task);

ALTER TABLE ONLY tradeflow.view_checks
    ADD CONSTRAINT view_checks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tradeflow.watched_tables
    ADD CONSTRAINT watched_tables_pkey PRIMARY KEY (name);

CREATE INDEX assignments_member ON tradeflow.assignments USING btree (pool, member);

CREATE INDEX change_log_default_source_subject_idx ON tradeflow.change_log_default USING btree (source, subject);

CREATE INDEX incidents_open ON tradeflow.incidents USING btree (rule, kind) WHERE (acked_at IS NULL);

CREATE INDEX incidents_outbox ON tradeflow.incidents USING btree (outbox_id) WHERE ((acked_at IS NULL) AND (outbox_id IS NOT NULL));

CREATE INDEX ledger_entries_open ON tradeflow.ledger_entries USING btree (account) WHERE ((settled_at IS NULL) AND (sent_at IS NOT NULL));

CREATE INDEX links_other ON tradeflow.links USING btree (target, object, other_id);

CREATE INDEX members_recheck ON tradeflow.members USING btree (recheck_at) WHERE (recheck_at IS NOT NULL);

CREATE INDEX outbox_history_default_id_firing_id_finished_at_idx ON tradeflow.outbox_history_default USING brin (id int8_minmax_multi_ops, firing_id int8_minmax_multi_ops, finished_at) WITH (pages_per_range='16', autosummarize='on');

CREATE INDEX outbox_history_default_rule_subject_idx ON tradeflow.outbox_history_default USING btree (rule, subject);

CREATE INDEX outbox_lane ON tradeflow.outbox USING btree (lane, id) WHERE ((state = 'ready'::text) OR blocking);

CREATE INDEX outbox_lease ON tradeflow.outbox USING btree (lease_until) WHERE (lease_until IS NOT NULL);

CREATE INDEX outbox_parked ON tradeflow.outbox USING btree (parked, lane, id) WHERE (parked IS NOT NULL);

CREATE INDEX outbox_ready ON tradeflow.outbox USING btree (kind, COALESCE(target, ''::text), run_at, id) WHERE ((state = 'ready'::text) AND (parked IS NULL));

CREATE INDEX outbox_resting ON tradeflow.outbox USING btree (state, created_at) WHERE (state <> ALL (ARRAY['ready'::text, 'waiting'::text, 'running'::text]));

CREATE UNIQUE INDEX outbox_running ON tradeflow.outbox USING btree (lane) WHERE (worker IS NOT NULL);

CREATE INDEX outbox_timer ON tradeflow.outbox USING btree (rule, subject) WHERE (state = 'waiting'::text);

CREATE INDEX outbox_timer_key ON tradeflow.outbox USING btree (rule, key) WHERE (state = 'waiting'::text);

CREATE INDEX outbox_waiting ON tradeflow.outbox USING btree (run_at) WHERE (state = 'waiting'::text);

CREATE INDEX project_objects_project ON tradeflow.project_objects USING btree (project);

CREATE INDEX recent_firings_about ON tradeflow.recent_firings USING btree (about, at);

CREATE INDEX recent_firings_at ON tradeflow.recent_firings USING brin (at) WITH (autosummarize='on');

CREATE INDEX rule_dependencies_rule ON tradeflow.rule_dependencies USING btree (rule);

CREATE INDEX rule_dependencies_table ON tradeflow.rule_dependencies USING btree (table_name);

CREATE INDEX rules_source ON tradeflow.rules USING btree (source);

CREATE INDEX storefront_messages_company ON tradeflow.storefront_messages USING btree (company_id) WHERE (company_id IS NOT NULL);

CREATE INDEX storefront_messages_customer ON tradeflow.storefront_messages USING btree (customer_id) WHERE (customer_id IS NOT NULL);

CREATE INDEX storefront_messages_email ON tradeflow.storefront_messages USING btree (lower(email)) WHERE (email IS NOT NULL);

CREATE INDEX sync_events_done ON tradeflow.sync_events USING btree (done_at) WHERE (done_at IS NOT NULL);

CREATE INDEX sync_events_waiting ON tradeflow.sync_events USING btree (due_at) WHERE (done_at IS NULL);

CREATE INDEX tasks_open ON tradeflow.tasks USING btree (pool, due_at) WHERE (decided_at IS NULL);

CREATE TRIGGER action_kinds_check BEFORE INSERT OR UPDATE ON tradeflow.action_kinds FOR EACH ROW EXECUTE FUNCTION tradeflow._action_kinds_before_write();

CREATE TRIGGER action_kinds_restored BEFORE INSERT ON tradeflow.action_kinds FOR EACH ROW WHEN ((new.builtin AND (new.paused_at IS NOT NULL))) EXECUTE FUNCTION tradeflow._kind_restored();

ALTER TABLE tradeflow.action_kinds ENABLE ALWAYS TRIGGER action_kinds_restored;

CREATE TRIGGER actions_a_valid BEFORE INSERT OR UPDATE ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._actions_valid();

CREATE TRIGGER actions_after_write AFTER INSERT OR DELETE OR UPDATE ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._actions_after_write();

CREATE TRIGGER actions_channel AFTER INSERT OR UPDATE OF kind, target ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._note_channel();

ALTER TABLE tradeflow.actions ENABLE ALWAYS TRIGGER actions_channel;

CREATE TRIGGER actions_check BEFORE INSERT OR DELETE OR UPDATE ON tradeflow.actions FOR EACH ROW EXECUTE FUNCTION tradeflow._actions_before_write();

CREATE TRIGGER actions_loaded AFTER INSERT ON tradeflow.actions FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.actions ENABLE ALWAYS TRIGGER actions_loaded;

CREATE TRIGGER actions_loading BEFORE INSERT ON tradeflow.actions FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER clock_after_write AFTER INSERT OR DELETE OR UPDATE ON tradeflow.clock FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._clock_after_write();

CREATE TRIGGER installation_replace BEFORE INSERT ON tradeflow.installation FOR EACH ROW EXECUTE FUNCTION tradeflow._installation_replace();

CREATE TRIGGER members_loaded AFTER INSERT ON tradeflow.members FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.members ENABLE ALWAYS TRIGGER members_loaded;

CREATE TRIGGER members_loading BEFORE INSERT ON tradeflow.members FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER rule_dependencies_loaded AFTER INSERT ON tradeflow.rule_dependencies FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.rule_dependencies ENABLE ALWAYS TRIGGER rule_dependencies_loaded;

CREATE TRIGGER rule_dependencies_loading BEFORE INSERT ON tradeflow.rule_dependencies FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER rule_inputs_a_source BEFORE INSERT OR UPDATE ON tradeflow.rule_inputs FOR EACH ROW EXECUTE FUNCTION tradeflow._rule_inputs_source();

CREATE TRIGGER rule_inputs_after_write AFTER INSERT OR DELETE OR UPDATE ON tradeflow.rule_inputs FOR EACH ROW EXECUTE FUNCTION tradeflow._rule_inputs_after_write();

CREATE TRIGGER rule_inputs_b_check BEFORE INSERT OR DELETE OR UPDATE ON tradeflow.rule_inputs FOR EACH ROW EXECUTE FUNCTION tradeflow._rule_inputs_before_write();

CREATE TRIGGER rule_inputs_d_dependencies AFTER INSERT OR DELETE OR UPDATE ON tradeflow.rule_inputs FOR EACH ROW EXECUTE FUNCTION tradeflow._dependencies_after_write();

CREATE TRIGGER rule_inputs_loaded AFTER INSERT ON tradeflow.rule_inputs FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.rule_inputs ENABLE ALWAYS TRIGGER rule_inputs_loaded;

CREATE TRIGGER rule_inputs_loading BEFORE INSERT ON tradeflow.rule_inputs FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER rules_a_search_path BEFORE INSERT OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_search_path();

CREATE TRIGGER rules_a_valid BEFORE INSERT OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_valid();

CREATE TRIGGER rules_b_check BEFORE INSERT OR DELETE OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_before_write();

CREATE TRIGGER rules_c_after AFTER INSERT OR DELETE OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_after_write();

CREATE TRIGGER rules_d_dependencies AFTER INSERT OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._dependencies_after_write();

CREATE TRIGGER rules_d_resumed AFTER UPDATE ON tradeflow.rules FOR EACH ROW WHEN (((old.paused_at IS NOT NULL) AND (new.paused_at IS NULL))) EXECUTE FUNCTION tradeflow._rules_resumed();

CREATE TRIGGER rules_e_plan AFTER INSERT OR UPDATE ON tradeflow.rules FOR EACH ROW EXECUTE FUNCTION tradeflow._rules_plan();

CREATE TRIGGER rules_f_unpark AFTER UPDATE ON tradeflow.rules FOR EACH ROW WHEN (((old.paused_at IS NOT NULL) AND (new.paused_at IS NULL))) EXECUTE FUNCTION tradeflow._unpark_rule();

CREATE TRIGGER rules_loaded AFTER INSERT ON tradeflow.rules FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.rules ENABLE ALWAYS TRIGGER rules_loaded;

CREATE TRIGGER rules_loading BEFORE INSERT ON tradeflow.rules FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER schedules_loaded AFTER INSERT ON tradeflow.schedules FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

ALTER TABLE tradeflow.schedules ENABLE ALWAYS TRIGGER schedules_loaded;

CREATE TRIGGER schedules_loading BEFORE INSERT ON tradeflow.schedules FOR EACH STATEMENT EXECUTE FUNCTION tradeflow._load_as_dumped();

CREATE TRIGGER schedules_replace BEFORE INSERT ON tradeflow.schedules FOR EACH ROW EXECUTE FUNCTION tradeflow._schedules_replace();

CREATE TRIGGER settings_a_valid BEFORE INSERT OR UPDATE OF name ON tradeflow.settings FOR EACH ROW EXECUTE FUNCTION tradeflow._name_valid('setting', '^[A-Za-z_][A-Za-z0-9_.]*$', 'Letters, digits, underscore and dot; a letter or underscore first: templates read it as settings.name.');

CREATE TRIGGER settings_after_update AFTER UPDATE ON tradeflow.settings FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION tradeflow._settings_after_write();

CREATE TRIGGER settings_after_write AFTER INSERT OR DELETE ON tradeflow.settings FOR EACH ROW EXECUTE FUNCTION tradeflow._settings_after_write();

CREATE TRIGGER settings_before_update BEFORE UPDATE ON tradeflow.settings FOR EACH ROW WHEN ((old.value IS DISTINCT FROM new.value)) EXECUTE FUNCTION tradeflow._settings_before_update();

CREATE TRIGGER targets_a_valid BEFORE INSERT OR UPDATE ON tradeflow.targets FOR EACH ROW EXECUTE FUNCTION tradeflow._targets_valid();

CREATE TRIGGER targets_after_write AFTER INSERT OR DELETE OR UPDATE OF name, system ON tradeflow.targets FOR EACH ROW EXECUTE FUNCTION tradeflow._targets_after_write();

CREATE TRIGGER targets_limited AFTER UPDATE ON tradeflow.targets FOR EACH ROW WHEN (((((old.rate_limit IS DISTINCT FROM new.rate_limit) OR (old.rate_period IS DISTINCT FROM new.rate_period)) OR (old.burst IS DISTINCT FROM new.burst)) OR (old.concurrency IS DISTINCT FROM new.concurrency))) EXECUTE FUNCTION tradeflow._targets_limited();

CREATE TRIGGER templates_a_valid BEFORE INSERT OR UPDATE OF name ON tradeflow.templates FOR EACH ROW EXECUTE FUNCTION tradeflow._name_valid('template', '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.');

CREATE TRIGGER templates_check BEFORE INSERT OR UPDATE ON tradeflow.templates FOR EACH ROW EXECUTE FUNCTION tradeflow._templates_before_write();

CREATE CONSTRAINT TRIGGER view_checks_settle AFTER INSERT ON tradeflow.view_checks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tradeflow._settle_transaction();

ALTER TABLE tradeflow.view_checks ENABLE ALWAYS TRIGGER view_checks_settle;

ALTER TABLE ONLY tradeflow.actions
    ADD CONSTRAINT actions_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.assignments
    ADD CONSTRAINT assignments_pool_member_fkey FOREIGN KEY (pool, member) REFERENCES tradeflow.pool_members(pool, member) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.members
    ADD CONSTRAINT members_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.pool_members
    ADD CONSTRAINT pool_members_pool_fkey FOREIGN KEY (pool) REFERENCES tradeflow.pools(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.project_objects
    ADD CONSTRAINT project_objects_project_fkey FOREIGN KEY (project) REFERENCES tradeflow.projects(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.rule_dependencies
    ADD CONSTRAINT rule_dependencies_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.rule_failures
    ADD CONSTRAINT rule_failures_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.rule_inputs
    ADD CONSTRAINT rule_inputs_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.rule_inputs
    ADD CONSTRAINT rule_inputs_source_fkey FOREIGN KEY (source) REFERENCES tradeflow.watched_tables(name) ON UPDATE CASCADE;

ALTER TABLE ONLY tradeflow.rules
    ADD CONSTRAINT rules_source_fkey FOREIGN KEY (source) REFERENCES tradeflow.watched_tables(name) ON UPDATE CASCADE;

ALTER TABLE ONLY tradeflow.schedules
    ADD CONSTRAINT schedules_rule_fkey FOREIGN KEY (rule) REFERENCES tradeflow.rules(name) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY tradeflow.target_states
    ADD CONSTRAINT target_states_target_fkey FOREIGN KEY (target) REFERENCES tradeflow.targets(name) ON UPDATE CASCADE ON DELETE CASCADE;

REVOKE ALL ON FUNCTION tradeflow._action_kinds_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._actions_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._actions_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._actions_valid() FROM PUBLIC;

GRANT SELECT ON TABLE tradeflow.target_states TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.targets TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.targets TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.targets TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._admits(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._answered(targets text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._archive(ids bigint[], state text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._as_written(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._as_written(name text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow._as_written(name text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._ask_again(id bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._ask_parts(definition text, source regclass, parts text[], old jsonb, new jsonb, at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._backfill(rule text, "where" text, "limit" integer, mode text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._backfill(rule text, "where" text, "limit" integer, mode text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._backoff(attempt integer) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.rules TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rules TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.rules TO tradeflow_operator;

GRANT UPDATE(paused_at) ON TABLE tradeflow.rules TO tradeflow_operator;

GRANT UPDATE(paused_reason) ON TABLE tradeflow.rules TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamp with time zone, until timestamp with time zone) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._before_simulation(OUT firing bigint, OUT incident bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._before_simulation(OUT firing bigint, OUT incident bigint) TO tradeflow_author;

GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.outbox TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._bury(o tradeflow.outbox, to_state text, error text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._call(owner regrole, search_path text, call text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._caller() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._check_params(params jsonb, path text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_params(params jsonb, path text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_rules(names text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_schema(schema jsonb, path text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_schema(schema jsonb, path text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._check_source(rule text, source text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_source(rule text, source text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_template(source text, name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_template(source text, name text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_value(given jsonb, schema jsonb, path text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_value(given jsonb, schema jsonb, path text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_view(rule text, view text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_view(rule text, view text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_view_query(view regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_view_query(view regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._check_watch(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._check_watch(name text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._clock_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._compile(rule text, source regclass, condition text, fires text, query text, fire_at text, still text, columns text[], search_path text, owner regrole) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._compile_input(rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._compile_input(rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._compiles(r tradeflow.rules) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._condition_parts(condition text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._count_health() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._count_running(targets text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._days(setting text, otherwise integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._ddl_ended() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._decided(ids bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._definition(r tradeflow.rules) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._definition(r tradeflow.rules) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._dependencies_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._do_sql(o tradeflow.outbox, params jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._do_storefront_message(o tradeflow.outbox, params jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._do_task(o tradeflow.outbox, params jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._dropped() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._explain_row(r tradeflow.rules, key text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._explain_subject(r tradeflow.rules, key text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._finish(INOUT ids bigint[], state text, reason text, results jsonb[], attempts integer[], OUT targets text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._firings_of(the_rule text, subjects text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._first_no(parts jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._heal_parked() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._incident(kind text, outbox tradeflow.outbox, message text, hint text, sqlstate text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._install_triggers("table" regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._install_triggers("table" regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._installation_replace() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._invalidate(source regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._invalidate(source regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._is_asked(r tradeflow.rules) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._is_asked(r tradeflow.rules) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._is_due(task text, every interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._key_of(source text, key text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._kind_restored() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._kinds_executed() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._kinds_executed() TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow._kinds_executed() TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._lane(template text, rule text, rule_version integer, source text, event text, subject text, occurrence text, key jsonb, action text, facts jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._lanes_freed(lanes text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._load_as_dumped() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._lock_states(targets text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._lock_waiting(ids bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._make_ready(ids bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._merge_incidents() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._name_valid() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._next_run(schedule text, after timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._next_run(schedule text, after timestamp with time zone) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._next_step(finished tradeflow.outbox[], outcomes jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._not_answered(target text, error text, transient boolean, throttled interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._note_channel() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._note_dependencies(the_rule text) FROM PUBLIC;

GRANT SELECT ON TABLE tradeflow.channels TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._open_channels(kinds text[], room jsonb, now timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._park(channel tradeflow.channels, now timestamp with time zone, window_size integer, paused text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._partitions() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._pause_failing() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._qualified_name(rel regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._qualified_name(rel regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._read_as(query text, search_path text, owner regrole) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._reads(query text, search_path text, owner regrole) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._recheck_views() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._refuse_value(what text, how text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._refuse_value(what text, how text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow._refuse_value(what text, how text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._remember(ids bigint[], attempts integer[], results jsonb[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._render(source text, context jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._replay(definition text, source regclass, source_name text, since timestamp with time zone, until timestamp with time zone, OUT log_id bigint, OUT changed_at timestamp with time zone, OUT event text, OUT edge text, OUT subject text, OUT occurrence text, OUT fire_at timestamp with time zone, OUT facts jsonb, OUT error text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._replay(definition text, source regclass, source_name text, since timestamp with time zone, until timestamp with time zone, OUT log_id bigint, OUT changed_at timestamp with time zone, OUT event text, OUT edge text, OUT subject text, OUT occurrence text, OUT fire_at timestamp with time zone, OUT facts jsonb, OUT error text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._report_unknown_kinds() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._require_columns(rel regclass, columns text[], what text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._require_member(owner name, rule text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._require_member(owner name, rule text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._require_reader(r tradeflow.rules) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._require_target(target text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._require_target(target text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._rescue() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._resolve_incidents(kind text, rule text, source text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._restoring() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._restoring() TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._revalidate(mentions text[], what text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rule_inputs_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rule_inputs_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rule_inputs_source() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rule_missing(r tradeflow.rules) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._rule_missing(r tradeflow.rules) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._rules_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_plan() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_resumed() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_search_path() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._rules_valid() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._run_schedule(rule text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._run_schedules() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._schedules_replace() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._seed_view(rule text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settings_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settings_before_update() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settle(rules text[], subjects text[], silent boolean[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._settle_transaction() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._simulated(firing bigint, incident bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._simulated(firing bigint, incident bigint) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._spend(target text, claimed integer, now timestamp with time zone, lease interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._statements(source text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._statements(source text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._still(rule text, key jsonb, subject text, occurrence text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._sweep_channels() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._targets_after_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._targets_limited() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._targets_of(system text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._targets_of(system text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._targets_valid() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._templates_before_write() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._tidy_incidents() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._tokens(t tradeflow.targets, s tradeflow.target_states, now timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._truncated() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._try_again(target text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._try_again(target text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow._unpark_rule() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._view_subject_type(view text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow._view_subject_type(view text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow._wake_timers() FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._watch_truncation(root regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow._withdraw(ids bigint[], reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION tradeflow.absent(worker text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.absent(worker text) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.ack(incident bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.ack(incident bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.backfill(rule text, "where" text, "limit" integer, mode text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.backfill(rule text, "where" text, "limit" integer, mode text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.backtest(draft jsonb, since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.backtest(draft jsonb, since timestamp with time zone, until timestamp with time zone) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.backtest(rule text, since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.backtest(rule text, since timestamp with time zone, until timestamp with time zone) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.cancel(ids bigint[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.cancel(ids bigint[], reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.cancel(id bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.cancel(id bigint, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[], room jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.claim(worker text, max integer, lease interval, kinds text[], room jsonb) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.complete(ids bigint[], attempts integer[], results jsonb[]) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.decide(id bigint, outcome text, note text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.decide(id bigint, outcome text, note text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.discard_held(rule text, ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.execute(id bigint, attempt integer, params jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.execute(id bigint, attempt integer, params jsonb) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.explain(rule text, key bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key bigint) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.explain(rule text, key jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key jsonb) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key jsonb) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.explain(rule text, key text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.explain(rule text, key text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.extend(ids bigint[], attempts integer[], lease interval) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval, throttle boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.fail(id bigint, attempt integer, error text, outcome text, retry_after interval, throttle boolean) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.health(max_age interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.health(max_age interval) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.health(max_age interval) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.hold(ids bigint[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.hold(ids bigint[], reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.inspect(id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.inspect(id bigint) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.inspect(id bigint) TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.ledger_entries TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.ledger_entries TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.ledger_entries TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.ledger_enter(account text, key text, amount numeric, currency text, cap numeric, reason text, outbox_id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.ledger_enter(account text, key text, amount numeric, currency text, cap numeric, reason text, outbox_id bigint) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.ledger_enter(account text, key text, amount numeric, currency text, cap numeric, reason text, outbox_id bigint) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.ledger_sending(id bigint, before numeric, after numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.ledger_sending(id bigint, before numeric, after numeric) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.ledger_settle(id bigint, arrived boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.ledger_settle(id bigint, arrived boolean) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.ledger_settle(id bigint, arrived boolean) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.lock(name text, holder text, lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.lock(name text, holder text, lease interval) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.may_mail(id bigint, addresses text[], topic text, most integer, period interval) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.may_mail(id bigint, addresses text[], topic text, most integer, period interval) TO tradeflow_executor;

GRANT SELECT,DELETE ON TABLE tradeflow.storefront_messages TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.storefront_messages TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.messages_for(customer bigint, email text, page text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.messages_for(customer bigint, email text, page text) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.next_due(kinds text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.next_due(kinds text[]) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.pause(rule text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.pause(rule text, reason text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.pause(rule text, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.pause_kind(kind text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.pause_kind(kind text, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.pause_target(target text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.pause_target(target text, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.pick(pool text, subject text, candidates text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.pick(pool text, subject text, candidates text[]) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.present(worker text, kinds text[], version text, concurrency integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.present(worker text, kinds text[], version text, concurrency integer) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.pushed(target text, object text, object_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.pushed(target text, object text, object_id text) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.pushed(target text, object text, object_id text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.pushed(target text, object text, object_id text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.release(pool text, subject text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.release(pool text, subject text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.release(pool text, subject text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.release_held(rule text, ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.release_held(rule text, ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.resume(rule text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.resume(rule text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.resume(rule text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.resume_kind(kind text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.resume_kind(kind text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.resume_target(target text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.resume_target(target text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.retry(ids bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.retry(ids bigint[]) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.retry(id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.retry(id bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.revert(rule text, version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.revert(rule text, version integer) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.set_clock(at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.set_clock(at timestamp with time zone) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.setting(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.setting(name text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.simulate(sql text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.simulate(sql text) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.started(id bigint, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.started(id bigint, attempt integer) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.suppress(address text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.suppress(address text, reason text) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text, hint text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text, hint text) TO tradeflow_sync;

REVOKE ALL ON FUNCTION tradeflow.tick() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.tick() TO tradeflow_executor;
GRANT ALL ON FUNCTION tradeflow.tick() TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.tick_outbox() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.tick_outbox() TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.tick_rules() FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.tick_rules() TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.unlock(name text, holder text) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.unlock(name text, holder text) TO tradeflow_executor;

REVOKE ALL ON FUNCTION tradeflow.unwatch("table" regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.unwatch("table" regclass) TO tradeflow_author;

REVOKE ALL ON FUNCTION tradeflow.waits_for(id bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.waits_for(id bigint) TO tradeflow_author;
GRANT ALL ON FUNCTION tradeflow.waits_for(id bigint) TO tradeflow_operator;

REVOKE ALL ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[], log boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION tradeflow.watch("table" regclass, key text[], ignore text[], log boolean) TO tradeflow_author;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.actions TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.actions TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.actions TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow._first_actions TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.action_kinds TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.action_kinds TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.action_kinds TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.assignments TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.assignments TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.change_log TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.change_log_default TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.clock TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.clock TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.clock TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.rule_dependencies TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.dependencies TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.dependencies TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.outbox_history TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.outbox_history TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.outbox_history TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.firings TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.firings TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.health_snapshot TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.incidents TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.installation TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.links TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.links TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.links TO tradeflow_author;

GRANT SELECT ON TABLE tradeflow.locks TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.mail_sends TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.members TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.members TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.outbox_history_default TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.pool_members TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.pool_members TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.pools TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.pools TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.project_objects TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.project_objects TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.projects TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.projects TO tradeflow_operator;

GRANT SELECT,DELETE ON TABLE tradeflow.pushes TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.pushes TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.pushes TO tradeflow_author;

GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.queue_health TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.recent_firings TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.rule_failures TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.rule_inputs TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rule_inputs TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.rule_stats TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rule_stats TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.rule_versions TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.rule_versions TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.schedules TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.schedules TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.settings TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.settings TO tradeflow_executor;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.settings TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.sidecars TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.sidecars TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.sidecars TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.suppressions TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.suppressions TO tradeflow_author;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.sync_events TO tradeflow_sync;
GRANT SELECT ON TABLE tradeflow.sync_events TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.sync_state TO tradeflow_sync;
GRANT SELECT ON TABLE tradeflow.sync_state TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.sync_status TO tradeflow_sync;
GRANT SELECT ON TABLE tradeflow.sync_status TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.target_health TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.target_health TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.target_health TO tradeflow_operator;

GRANT SELECT,DELETE ON TABLE tradeflow.tasks TO tradeflow_operator;
GRANT SELECT ON TABLE tradeflow.tasks TO tradeflow_author;

GRANT UPDATE(outcome) ON TABLE tradeflow.tasks TO tradeflow_operator;

GRANT UPDATE(note) ON TABLE tradeflow.tasks TO tradeflow_operator;

GRANT UPDATE(decided_by) ON TABLE tradeflow.tasks TO tradeflow_operator;

GRANT UPDATE(decided_at) ON TABLE tradeflow.tasks TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.templates TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.templates TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.templates TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.upkeep TO tradeflow_operator;

GRANT SELECT ON TABLE tradeflow.view_checks TO tradeflow_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tradeflow.watched_tables TO tradeflow_author;
GRANT SELECT ON TABLE tradeflow.watched_tables TO tradeflow_executor;
GRANT SELECT ON TABLE tradeflow.watched_tables TO tradeflow_operator;

CREATE EVENT TRIGGER tradeflow_ddl ON ddl_command_end
         WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'DROP TABLE', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED', 'DROP TRIGGER', 'CREATE VIEW', 'ALTER VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION')
   EXECUTE FUNCTION tradeflow._ddl_ended();

COMMENT ON EVENT TRIGGER tradeflow_ddl IS 'Watches again the tables that tools swap, rename and make anew.';

CREATE EVENT TRIGGER tradeflow_drop ON sql_drop
   EXECUTE FUNCTION tradeflow._dropped();

COMMENT ON EVENT TRIGGER tradeflow_drop IS 'Reports the rules that something dropped was needed by.';

-- PostgreSQL database dump complete

