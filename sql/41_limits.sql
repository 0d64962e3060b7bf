-- 41_limits: what a target lets through: token bucket, concurrency, circuit breaker. All is decided under the lock of the
-- target's state, so it holds for all sidecars together; targets without limits and with a closed breaker never lock.
--
-- In PL/pgSQL, also where SQL would do: a function of SQL with a search_path is planned at every call.

-- How many executions a target admits now. The caller holds the lock of its state.
create function tradeflow._admits(t tradeflow.targets, s tradeflow.target_states, now timestamptz) returns int
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when s.throttled_until > now then 0
    -- Whether it works again is for one execution to find out.
    when s.breaker <> 'closed' and t.breaker_failures > 0 then case when s.retry_at > now then 0 else 1 end
    else greatest(0, least(10000, t.concurrency - s.running, floor(tradeflow._tokens(t, s, now))))::int
  end;
end
$$;
comment on function tradeflow._admits(tradeflow.targets, tradeflow.target_states, timestamptz) is 'Internal. How many executions a target admits at this time.';

-- What is in the bucket: it fills evenly, up to the burst.
create function tradeflow._tokens(t tradeflow.targets, s tradeflow.target_states, now timestamptz) returns double precision
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when t.rate_limit is not null then least(
    coalesce(t.burst, t.rate_limit),
    coalesce(s.tokens + t.rate_limit * greatest(extract(epoch from now - s.refilled_at), 0) / extract(epoch from t.rate_period),
             coalesce(t.burst, t.rate_limit)))
  end;
end
$$;
comment on function tradeflow._tokens(tradeflow.targets, tradeflow.target_states, timestamptz) is 'Internal. The tokens of a target''s bucket at this time; NULL: it has no rate limit.';


-- Counts anew what runs at targets with a concurrency limit: when the limit is new, and now and then.
create function tradeflow._count_running(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from tradeflow.target_states s where s.target = any (targets) order by s.target for update;
  update tradeflow.target_states s
  set running = (select count(*) from tradeflow.outbox o where o.worker is not null and o.target = s.target)
  where s.target = any (targets);
end
$$;
comment on function tradeflow._count_running(text[]) is 'Internal. Sets target_states.running of these targets to what runs.';

-- Locks the states of targets, in one order everywhere, and makes those that are missing: a dump does not bring them, and rows that
-- come while triggers are off make none.
create function tradeflow._lock_states(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._lock_states(text[]) is 'Internal. Locks the states of these targets until the end of the transaction; a missing one is made, with what runs counted.';


-- Takes note of what was claimed. The caller holds the lock of the state.
create function tradeflow._spend(target text, claimed int, now timestamptz, lease interval) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._spend(text, int, timestamptz, interval) is 'Internal. Takes tokens for claimed executions and counts them as running; an open breaker becomes half-open.';


-- Executions ended well: the target works. Only targets that keep count of something are written.
create function tradeflow._answered(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._answered(text[]) is 'Internal. Notes that executions at these targets were successful: one element each.';


-- An execution ended otherwise. transient: its destination failed, and the breaker counts it; throttle: it asked for patience.
create function tradeflow._not_answered(target text, error text, transient boolean, throttled interval default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._not_answered(text, text, boolean, interval) is 'Internal. Notes that an execution at a target failed, opens its breaker after too many, and stops calling it for as long as it asked for.';


create function tradeflow._targets_limited() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.concurrency is not null and old.concurrency is null then
    perform tradeflow._count_running(array[new.name]);
  end if;
  -- What waited for the old limit may go on.
  perform pg_notify('tradeflow', '');
  return null;
end
$$;
comment on function tradeflow._targets_limited() is 'Internal. Applies changed limits of a target at once.';
create trigger targets_limited after update on tradeflow.targets
  for each row when ((old.rate_limit, old.rate_period, old.burst, old.concurrency) is distinct from (new.rate_limit, new.rate_period, new.burst, new.concurrency))
  execute function tradeflow._targets_limited();
