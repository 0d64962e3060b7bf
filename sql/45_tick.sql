-- 45_tick: everything that only time brings about. Any sidecar calls it, about every second, in two parts: what asks rules waits for
-- tables that others lock and for people's queries; what takes back leases must wait for nobody.

-- When parts of the time work were done last: some are not for every second.
-- Unlogged and not dumped: after a crash everything is done once.
create unlogged table tradeflow.upkeep (
  task     text primary key,
  from_at  timestamptz not null default '-infinity',
  done_at  timestamptz,
  took     interval not null default '0'
);
alter table tradeflow.upkeep set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);
comment on table tradeflow.upkeep is 'What tick() does not do every second.';
comment on column tradeflow.upkeep.task is 'leases: looking through all of them, not only through those that ended lately. parked: setting free what is parked without reason. running: counting what runs at targets with a concurrency limit. recent: forgetting what fired an hour ago. settled: noting incidents that mended themselves. noted: forgetting incidents noted long ago. partitions: when another transaction was last in the way of them.';
comment on column tradeflow.upkeep.from_at is 'leases: those that ended before were dealt with.';
comment on column tradeflow.upkeep.done_at is 'When it was done last.';
comment on column tradeflow.upkeep.took is 'How long it took: it is done the more seldom the longer it takes.';

-- Whether a task is due; if so, it is noted as done now.
create function tradeflow._is_due(task text, every interval) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into tradeflow.upkeep as u (task, done_at) values (_is_due.task, clock_timestamp())
  on conflict on constraint upkeep_pkey do update set done_at = excluded.done_at
  where u.done_at is null or u.done_at + greatest(every, 20 * u.took) <= clock_timestamp();
  return found;
end
$$;
comment on function tradeflow._is_due(text, interval) is 'Internal. Whether a part of the time work is to be done now; the longer it takes, the more seldom it is.';


-- Leases that ended. Before started() nothing happened: again. After it, a kind that may be repeated is
-- tried again; for another nobody knows whether it happened, and a person must look.
create function tradeflow._rescue() returns table (rescued int, uncertain int)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
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
comment on function tradeflow._rescue() is 'Internal. Takes back actions whose lease ended.';


-- Timers that are due: the question is asked again, on the row as it is now.
create function tradeflow._wake_timers() returns table (due int, cancelled int)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
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
comment on function tradeflow._wake_timers() is 'Internal. Makes due timers ready, or cancels them when the answer is no longer yes.';


-- How many days of something are kept.
create function tradeflow._days(setting text, otherwise int) returns int
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select s.value::int from tradeflow.settings s where s.name = _days.setting and s.value ~ '^[0-9]{1,5}$'), otherwise)
$$;
comment on function tradeflow._days(text, int) is 'Internal. A setting that is a number of days.';

-- The partition for tomorrow; days past their retention go. The default partition keeps a database working whose tick()
-- nobody called. Rows are never moved: those of the first day stay in it.
--
-- Attaching and dropping lock the whole table for a moment. Behind a transaction that read it and is still open (a dump, a
-- forgotten session) that moment would last, and every completion, and every sync that logs its changes, would queue behind
-- it. So it is given up after a blink, and tried again a minute later: there is a day of time for it.
create function tradeflow._partitions() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
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
$$;
comment on function tradeflow._partitions() is 'Internal. Makes the next day of outbox_history and change_log, drops those past settings history_days and change_log_days.';


-- Incidents of which nothing is left to do; and those noted so long ago that what they tell of has left the history too.
create function tradeflow._tidy_incidents() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._tidy_incidents() is 'Internal. Part of tick(): notes incidents of breakers that closed, and forgets those noted before the history begins.';


-- Statements only append incidents, so that syncs never wait for each other; here the same ones become one.
-- A rule that a backend could not compile is marked, so that everybody sees it.
create function tradeflow._merge_incidents() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._merge_incidents() is 'Internal. Adds up equal incidents and marks rules that no longer compile.';

create function tradeflow._compiles(r tradeflow.rules) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return tradeflow._rule_missing(r) is null;
exception when others then
  return false;
end
$$;
comment on function tradeflow._compiles(tradeflow.rules) is 'Internal. Whether a rule compiles now.';


-- What waits for nobody but ourselves.
create function tradeflow.tick_outbox() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
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
comment on function tradeflow.tick_outbox() is
  'The part of tick() that asks no rule: takes back ended leases, moves finished actions to the history, keeps its partitions. A sidecar calls the two parts apart, so that a rule whose question takes long holds up no lease. Returns what it did.';

-- What asks rules: it reads tables that others lock, and takes as long as people's queries take.
create function tradeflow.tick_rules() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set lock_timeout = '3s'
as $$
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
comment on function tradeflow.tick_rules() is
  'The part of tick() that asks rules: wakes due timers, asks views again, runs schedules, adds up incidents, pauses rules that keep failing. What is locked for more than 3 s is asked at a later tick. Returns what it did.';

create function tradeflow.tick() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.tick() is
  'Does all work that only time brings: takes back ended leases, wakes due timers, moves finished actions to the history, keeps its partitions, adds up incidents. Cheap when there is nothing to do; safe to call from anywhere at any time. Returns what it did.';
