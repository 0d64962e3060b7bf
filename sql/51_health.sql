-- 51_health: how the queue, the targets and the rules do; which sidecars there are.

-- Unlogged and not dumped: who is there says so again within seconds.
create unlogged table tradeflow.sidecars (
  worker       text primary key,
  kinds        text[] not null,
  version      text,
  concurrency  int,
  started_at   timestamptz not null default clock_timestamp(),
  seen_at      timestamptz not null default clock_timestamp()
);
comment on table tradeflow.sidecars is 'A row is a sidecar that runs, or ran within the last hour. One that was not seen for 30 seconds is gone.';
comment on column tradeflow.sidecars.worker is 'The name it signs its leases with.';
comment on column tradeflow.sidecars.kinds is 'The kinds of action it executes.';
comment on column tradeflow.sidecars.version is 'Its version.';
comment on column tradeflow.sidecars.concurrency is 'How many actions it executes at the same time.';
comment on column tradeflow.sidecars.started_at is 'When it said so first.';
comment on column tradeflow.sidecars.seen_at is 'When it said so last.';

create function tradeflow.present(worker text, kinds text[], version text default null, concurrency int default null) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.sidecars s where s.seen_at < clock_timestamp() - interval '1 hour' and s.worker <> present.worker;
  insert into tradeflow.sidecars as s (worker, kinds, version, concurrency)
  values (present.worker, present.kinds, present.version, present.concurrency)
  on conflict (worker) do update
  set kinds = excluded.kinds, version = excluded.version, concurrency = excluded.concurrency, seen_at = clock_timestamp();
$$;
comment on function tradeflow.present(text, text[], text, int) is
  'A sidecar says that it runs, and which kinds it executes: at its start, then about every 10 seconds. Without it nothing changes but what people are told: kinds that nobody executes are found by it.';

create function tradeflow.absent(worker text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ delete from tradeflow.sidecars s where s.worker = absent.worker $$;
comment on function tradeflow.absent(text) is 'A sidecar says that it leaves.';

create function tradeflow._kinds_executed() returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(distinct k), '{}')
  from tradeflow.sidecars s cross join unnest(s.kinds) k
  where s.seen_at > clock_timestamp() - interval '30 seconds'
$$;
comment on function tradeflow._kinds_executed() is 'Internal. The kinds that some sidecar executes now.';


-- What nobody executes is at the head of the queue, since everything else is taken: a look at the oldest is enough.
create function tradeflow._report_unknown_kinds() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
$$;
comment on function tradeflow._report_unknown_kinds() is
  'Internal. Part of tick(): an incident for each kind whose ready actions nobody executes; it closes by itself when somebody does. Returns how many are new.';


create view tradeflow.queue_health as
select
  o.state,
  o.kind,
  o.target,
  count(*) as actions,
  min(o.run_at) as oldest_run_at,
  case when o.state = 'ready' then greatest(clock_timestamp() - min(o.run_at), '0') end as lag
from tradeflow.outbox o
group by o.state, o.kind, o.target;
comment on view tradeflow.queue_health is 'How many actions are in which state, by kind and target, and how late the oldest ready one is.';
comment on column tradeflow.queue_health.state is 'State of the actions counted.';
comment on column tradeflow.queue_health.kind is 'Their kind.';
comment on column tradeflow.queue_health.target is 'Their target.';
comment on column tradeflow.queue_health.actions is 'How many.';
comment on column tradeflow.queue_health.oldest_run_at is 'The earliest due time among them.';
comment on column tradeflow.queue_health.lag is 'How long the oldest ready one has been due.';


create view tradeflow.target_health as
select
  t.name as target,
  t.system,
  case when t.paused_at is not null then 'paused'
       when s.breaker <> 'closed' then s.breaker
       when s.throttled_until > clock_timestamp() then 'throttled'
       else 'ok' end as status,
  case when t.paused_at is not null then t.paused_reason
       when s.breaker <> 'closed' or s.throttled_until > clock_timestamp() then s.last_error end as reason,
  case when t.paused_at is not null then null
       when s.breaker <> 'closed' then s.retry_at
       when s.throttled_until > clock_timestamp() then s.throttled_until end as retry_at,
  coalesce(q.ready, 0) as ready,
  coalesce(q.waiting, 0) as waiting,
  coalesce(q.running, 0) as running,
  coalesce(q.held, 0) as held,
  coalesce(q.dead, 0) as dead,
  coalesce(q.uncertain, 0) as uncertain,
  q.lag,
  coalesce(s.failures, 0) as failures,
  s.last_error,
  s.last_failed_at
from tradeflow.targets t
left join tradeflow.target_states s on s.target = t.name
left join (
  select
    h.target,
    sum(h.actions) filter (where h.state = 'ready') as ready,
    sum(h.actions) filter (where h.state = 'waiting') as waiting,
    sum(h.actions) filter (where h.state = 'running') as running,
    sum(h.actions) filter (where h.state = 'held') as held,
    sum(h.actions) filter (where h.state = 'dead') as dead,
    sum(h.actions) filter (where h.state = 'uncertain') as uncertain,
    max(h.lag) as lag
  from tradeflow.queue_health h
  group by h.target) q on q.target = t.name;
comment on view tradeflow.target_health is 'One row a target: what waits for it, and in which state it is.';
comment on column tradeflow.target_health.target is 'The target.';
comment on column tradeflow.target_health.system is 'Its system.';
comment on column tradeflow.target_health.status is 'ok: it is sent to. paused: by a person. open, half_open: its circuit breaker. throttled: it asked not to be called for a while.';
comment on column tradeflow.target_health.reason is 'Why it is not ok.';
comment on column tradeflow.target_health.retry_at is 'When it is tried again, if it is not ok and nobody paused it.';
comment on column tradeflow.target_health.ready is 'Actions that are ready for it.';
comment on column tradeflow.target_health.waiting is 'Actions that wait for their time.';
comment on column tradeflow.target_health.running is 'Actions that are being executed.';
comment on column tradeflow.target_health.held is 'Actions that are held until a person lets them go.';
comment on column tradeflow.target_health.dead is 'Actions that failed for good.';
comment on column tradeflow.target_health.uncertain is 'Actions of which nobody knows whether they arrived.';
comment on column tradeflow.target_health.lag is 'How long the oldest ready one has been due.';
comment on column tradeflow.target_health.failures is 'Transient failures in a row.';
comment on column tradeflow.target_health.last_error is 'The last transient failure or throttling, in its words.';
comment on column tradeflow.target_health.last_failed_at is 'When that was.';


create view tradeflow.rule_stats as
select
  r.name as rule,
  r.mode,
  case when r.mode = 'off' then 'off'
       when r.invalid is not null then 'invalid'
       when r.paused_at is not null then 'paused'
       else r.mode end as status,
  coalesce(r.invalid, r.paused_reason) as reason,
  coalesce(o.ready, 0) as ready,
  coalesce(o.waiting, 0) as waiting,
  coalesce(o.running, 0) as running,
  coalesce(o.held, 0) as held,
  coalesce(o.dead, 0) as dead,
  coalesce(o.uncertain, 0) as uncertain,
  coalesce(h.done, 0) as done_24h,
  coalesce(h.cancelled, 0) as cancelled_24h,
  h.latency as median_latency_24h,
  greatest(o.last_fired_at, h.last_fired_at) as last_fired_at,
  coalesce(i.incidents, 0) as incidents
from tradeflow.rules r
left join (
  select
    x.rule,
    count(*) filter (where x.state = 'ready') as ready,
    count(*) filter (where x.state = 'waiting') as waiting,
    count(*) filter (where x.state = 'running') as running,
    count(*) filter (where x.state = 'held') as held,
    count(*) filter (where x.state = 'dead') as dead,
    count(*) filter (where x.state = 'uncertain') as uncertain,
    max(x.created_at) as last_fired_at
  from tradeflow.outbox x group by x.rule) o on o.rule = r.name
left join (
  select
    x.rule,
    count(*) filter (where x.state = 'done') as done,
    count(*) filter (where x.state = 'cancelled') as cancelled,
    percentile_disc(0.5) within group (order by x.finished_at - greatest(x.run_at, x.created_at)) filter (where x.state = 'done') as latency,
    max(x.created_at) as last_fired_at
  from tradeflow.outbox_history x
  where x.finished_at > now() - interval '24 hours'
  group by x.rule) h on h.rule = r.name
left join (
  select x.rule, count(*) as incidents from tradeflow.incidents x where x.acked_at is null group by x.rule) i on i.rule = r.name;
comment on view tradeflow.rule_stats is 'One row a rule: whether it is asked, what of it is open, and what became of the rest within the last 24 hours.';
comment on column tradeflow.rule_stats.rule is 'The rule.';
comment on column tradeflow.rule_stats.mode is 'live, shadow or off.';
comment on column tradeflow.rule_stats.status is 'live or shadow: it is asked. off, invalid, paused: it is not.';
comment on column tradeflow.rule_stats.reason is 'Why it is invalid or paused.';
comment on column tradeflow.rule_stats.ready is 'Actions that are ready.';
comment on column tradeflow.rule_stats.waiting is 'Actions that wait for their time.';
comment on column tradeflow.rule_stats.running is 'Actions that are being executed.';
comment on column tradeflow.rule_stats.held is 'Actions that are held until a person lets them go.';
comment on column tradeflow.rule_stats.dead is 'Actions that failed for good.';
comment on column tradeflow.rule_stats.uncertain is 'Actions of which nobody knows whether they arrived.';
comment on column tradeflow.rule_stats.done_24h is 'Actions done within the last 24 hours.';
comment on column tradeflow.rule_stats.cancelled_24h is 'Actions cancelled within the last 24 hours.';
comment on column tradeflow.rule_stats.median_latency_24h is 'From being due (or committed) to being done: the median of the last 24 hours.';
comment on column tradeflow.rule_stats.last_fired_at is 'When it fired last, of what is open or ended within 24 hours.';
comment on column tradeflow.rule_stats.incidents is 'Its open incidents.';


-- What every sidecar's /metrics shows of the database is counted once for all of them.
create unlogged table tradeflow.health_snapshot (
  only_row  boolean primary key default true check (only_row),
  taken_at  timestamptz not null,
  took      interval not null,
  body      jsonb not null
);
comment on table tradeflow.health_snapshot is 'The last answer of tradeflow.health().';
comment on column tradeflow.health_snapshot.only_row is 'Always true: the table holds one row.';
comment on column tradeflow.health_snapshot.taken_at is 'When it was counted.';
comment on column tradeflow.health_snapshot.took is 'How long counting took.';
comment on column tradeflow.health_snapshot.body is 'What health() returned.';

create function tradeflow._count_health() returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
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
comment on function tradeflow._count_health() is 'Internal. What health() says, counted anew.';

create function tradeflow.health(max_age interval default '5 seconds') returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.health(interval) is
  'The state of queue, targets, rules, incidents and syncs as figures, for monitoring: counted at most every max_age for all callers together, and more rarely where counting takes long. age: seconds since it was counted. Only age and taken_at, both NULL: it is being counted for the first time.';
