-- 42_claim: handing out what is ready. docs/decisions/0013 and 0014 have the reasons and figures.
--
-- A claim looks at one channel (kind and target) after another, so that a destination that is slow, dead, paused or throttled
-- costs the others nothing, however much waits for it. Within a channel it reads a window of the ready index and takes those
-- that are first in their lanes. What is found not to be first is parked, so that the next claim does not meet it again.

-- Asks the question of a leased action again. A function of its own, so that claim() costs nothing where no action wants it.
create function tradeflow._ask_again(id bigint) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
-- What claim() turns off is for its own statements; these are the user's.
set enable_seqscan = on
set enable_hashjoin = on
set enable_mergejoin = on
set plan_cache_mode = auto
as $$
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
comment on function tradeflow._ask_again(bigint) is
  'Internal. The fresh facts of an action with recheck; NULL when the answer is no (it is cancelled then) or could not be had (held).';


-- The channels where something is ready now: of these kinds, not paused, throttled or cut off by a breaker, and with room.
-- limited: their target's state must be locked before anything is claimed.
create function tradeflow._open_channels(kinds text[], room jsonb, now timestamptz)
returns table (channel tradeflow.channels, has_room int, limited text, since timestamptz, first_id bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._open_channels(text[], jsonb, timestamptz) is 'Internal. Where a claim may look, and how many it may take there at most.';


-- Parks what stands in a channel's window and is not its turn. Before that, what it waits for is locked: whoever ends that
-- meanwhile either waits, and then sees the parking, or was quicker, and nothing is parked.
create function tradeflow._park(channel tradeflow.channels, now timestamptz, window_size int, paused text[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._park(tradeflow.channels, timestamptz, int, text[]) is 'Internal. Takes what is not its turn out of the way of claim(). Returns how many.';


-- When a claim may find what it did not find just now, though nothing is notified then.
create function tradeflow.next_due(kinds text[] default null) returns interval
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
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
comment on function tradeflow.next_due(text[]) is
  'How long until a claim can find what it cannot find now: a retry is due, a throttled target may be called again, a token is there. Not notified, so a worker sleeps no longer than this. NULL: nothing is known to come.';


create function tradeflow.claim(
  worker text, max int, lease interval, kinds text[] default null, room jsonb default null
)
returns table (
  id bigint, attempt int, max_attempts int, firing_id bigint, rule text, rule_version int, source text, event text, subject text,
  occurrence text, edge text, step int, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb,
  idempotency_key text, run_at timestamptz, created_at timestamptz, lease_until timestamptz, traceparent text
)
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
comment on function tradeflow.claim(text, int, interval, text[], jsonb) is
  'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. room: how many of which target the worker takes, {"hubspot": 12, "*": 64}; "" is for actions without a target, * for targets not named. params is NULL when the action was deleted meanwhile. An action with recheck is asked about first, and is not among the leased ones when the answer is no. Targets give no more than their limits allow. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';
