-- 52_inspect: everything about one action and its firing, and why it has not run yet.

create function tradeflow.waits_for(id bigint) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function tradeflow.waits_for(bigint) is
  'Why an action has not run yet, in one sentence: its time, an action before it in its lane, its target, a sidecar, a person. NULL: it waits for nothing, it has ended.';


create function tradeflow.inspect(id bigint) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.inspect(bigint) is
  'The whole firing that an action belongs to: facts, every step with its attempts, rendered request, result, error, and why it waits; the steps to come; incidents. NULL: there is no such action.';
