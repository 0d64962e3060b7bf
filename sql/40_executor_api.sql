-- 40_executor_api: what a sidecar calls. Any client in any language can be one.
--
-- They are many short statements over tables that are small and rarely analysed: compiling their plans (jit) costs
-- ten times what it saves, seen as 73 ms for a claim of 128 actions, 5 without.
--
-- The database's own clock decides about leases (clock_timestamp(), never tradeflow.now()), so the clocks of
-- the hosts that run sidecars do not matter. docs/decisions/0004 has the state machine.
--
-- Without JIT: before the first ANALYZE the planner expects millions of rows, and compiling for them took 0.7 s a call.

-- Leases the first ready action of each lane.
create function tradeflow._lease(worker text, max int, lease interval, kinds text[]) returns setof tradeflow.outbox
language sql
set search_path = pg_catalog, pg_temp
as $$
  with free as (
    -- The head of each lane: nothing of the lane is running (a timer that became ready meanwhile may have a lower id
    -- than what runs), and nothing is ready before it. A head that another worker
    -- holds is skipped, and still blocks the rest of its lane.
    select o.id
    from tradeflow.outbox o
    where o.state = 'ready'
      and o.run_at <= clock_timestamp()
      and (_lease.kinds is null or o.kind = any (_lease.kinds))
      and not exists (select from tradeflow.rules r where r.name = o.rule and r.paused_at is not null)
      and not exists (select from tradeflow.action_kinds k where k.name = o.kind and k.paused_at is not null)
      and not exists (
        select from tradeflow.targets t join tradeflow.target_states s on s.target = t.name
        where t.name = o.target and (t.paused_at is not null or s.throttled_until > clock_timestamp()))
      and not exists (
        select from tradeflow.outbox b
        where b.lane = o.lane and (b.state = 'running' or (b.state = 'ready' and b.id < o.id)))
    order by o.run_at, o.id
    limit _lease.max
    for update of o skip locked
  )
  update tradeflow.outbox o
  set state = 'running', attempt = o.attempt + 1, worker = _lease.worker,
      lease_until = clock_timestamp() + _lease.lease, started_at = null
  from free
  where o.id = free.id
  returning o.*
$$;
comment on function tradeflow._lease(text, int, interval, text[]) is 'Internal. Leases up to max ready actions, the first of each lane.';


-- Asks the question of a leased action again. A function of its own, so that claim() costs nothing where no action wants it.
create function tradeflow._ask_again(o tradeflow.outbox) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  fresh jsonb;
begin
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
comment on function tradeflow._ask_again(tradeflow.outbox) is
  'Internal. The fresh facts of an action with recheck; NULL when the answer is no (it is cancelled then) or could not be had (held).';


create function tradeflow.claim(worker text, max int, lease interval, kinds text[] default null)
returns table (
  id bigint, attempt int, max_attempts int, firing_id bigint, rule text, rule_version int, source text, event text, subject text,
  occurrence text, edge text, step int, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb,
  idempotency_key text, run_at timestamptz, created_at timestamptz, lease_until timestamptz, traceparent text
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
  with held as (
    select * from tradeflow._lease(claim.worker, claim.max, claim.lease, claim.kinds)
  )
  select h.id, h.attempt, h.max_attempts, h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge,
         h.step, h.action, h.kind, h.target, a.params, case when a.asks then again.facts else h.facts end, h.steps, s.settings,
         i.id || '-' || h.id, h.run_at, h.created_at, h.lease_until, h.traceparent
  from held h
  left join lateral (
    -- Without a key, or a view to look into, there is nobody to ask about.
    select x.params, x.recheck and x.edge = 'enter' and (h.key is not null or h.event = 'view') as asks
    from tradeflow.actions x where x.rule = h.rule and x.edge = h.edge and x.step = h.step) a on true
  left join lateral (select tradeflow._ask_again(h.*) as facts where a.asks offset 0) again on true
  cross join tradeflow.installation i
  cross join (select coalesce(jsonb_object_agg(x.name, x.value), '{}') as settings from tradeflow.settings x) s
  where a.asks is not true or again.facts is not null
  order by h.run_at, h.id;
end
$$;
comment on function tradeflow.claim(text, int, interval, text[]) is
  'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. params is NULL when the action was deleted meanwhile. An action with recheck is asked about first, and is not among the leased ones when the answer is no. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';


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
    perform tradeflow._remember(good, outcome);
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


create function tradeflow.fail(
  id bigint, attempt int, error text, outcome text, retry_after interval default null, throttle boolean default false
) returns text
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
  if fail.throttle then
    update tradeflow.target_states s
    set throttled_until = greatest(s.throttled_until, clock_timestamp() + coalesce(fail.retry_after, tradeflow._backoff(o.attempt))),
        last_error = fail.error, last_failed_at = clock_timestamp()
    where s.target = o.target;
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
comment on function tradeflow.fail(bigint, int, text, text, interval, boolean) is
  'Ends an attempt. outcome: retry (again after backoff, at least retry_after; dead after max_attempts), dead, uncertain. throttle: the target asked not to be called (HTTP 429, a vendor''s limit): nothing is sent there before retry_after has passed. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';


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
