-- 40_executor_api: what a sidecar calls. Any client in any language can be one.
--
-- They are many short statements over tables that are small and rarely analysed: compiling their plans (jit) costs
-- ten times what it saves, seen as 73 ms for a claim of 128 actions, 5 without.
--
-- The database's own clock decides about leases (clock_timestamp(), never tradeflow.now()), so the clocks of
-- the hosts that run sidecars do not matter. docs/decisions/0004 has the state machine.
--
-- Without JIT: before the first ANALYZE the planner expects millions of rows, and compiling for them took 0.7 s a call.
-- Without sequential scans, hash and merge joins: what the statistics say of a queue is never true when it matters, and each
-- of these statements is a few look-ups in an index for each row. Seen otherwise: a completion that read the whole table.
-- With generic plans at once: a new connection would plan each statement of claim() and complete() five times before it kept one.

create function tradeflow.started(id bigint, attempt int) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
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


create function tradeflow.complete(ids bigint[], attempts int[], results jsonb[]) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
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
comment on function tradeflow._bury(tradeflow.outbox, text, text) is 'Internal. Ends an action as dead or uncertain, with an incident.';


create function tradeflow.fail(
  id bigint, attempt int, error text, outcome text, retry_after interval default null, throttle boolean default false
) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
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
comment on function tradeflow.fail(bigint, int, text, text, interval, boolean) is
  'Ends an attempt. Of the error the first 10,000 characters are kept. outcome: retry (again after backoff, at least retry_after, of which a day at most counts; dead after max_attempts), not_yet (the same, and no fault of the target: what the action needs is not there yet, so the breaker does not count it), dead, uncertain, cancelled (it is not wanted any more: the error is the reason, and no later step follows). throttle: the target asked not to be called (HTTP 429, a vendor''s limit): nothing is sent there before retry_after has passed. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';


create function tradeflow.extend(ids bigint[], attempts int[], lease interval) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
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
  return query select c.id, coalesce(c.id = any (good), false) from unnest(ids) c(id);
end
$$;
comment on function tradeflow.extend(bigint[], int[], interval) is
  'Prolongs leases, from now. False for those no longer held. Errors: 22023 for a lease outside 1 s – 1 day.';
