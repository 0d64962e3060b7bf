-- 50_operator_api: what a person does about actions and incidents.

-- What a person has decided about is nobody's worry any more: doctor and alerts tell only of what is still to be done.
create function tradeflow._decided(ids bigint[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.outbox_id = any (ids) and i.kind in ('dead_action', 'uncertain_action', 'timer_error');
  -- A burst or a loop is told once for all that it held.
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.kind in ('held_burst', 'held_loop') and cardinality(ids) > 0
    and not exists (select from tradeflow.outbox o where o.state = 'held' and o.rule = i.rule);
$$;
comment on function tradeflow._decided(bigint[]) is 'Internal. Notes the incidents about these actions, and those about held ones of which none is left.';

create function tradeflow.cancel(ids bigint[], reason text default null) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.cancel(bigint[], text) is
  'Cancels actions that are not running; they move to the history with the reason, and their incidents are noted. Returns how many.';

create function tradeflow.cancel(id bigint, reason text default null) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.cancel(array[id], reason) = 1 $$;
comment on function tradeflow.cancel(bigint, text) is 'Cancels one action. False: it is running, or ended already.';


create function tradeflow._make_ready(ids bigint[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow._make_ready(bigint[]) is 'Internal. Makes resting actions ready again, or waiting when their time has not come.';

create function tradeflow.retry(ids bigint[]) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and (o.state in ('dead', 'uncertain', 'held') or (o.state = 'ready' and o.run_at > clock_timestamp()))
    order by o.id for update))
$$;
comment on function tradeflow.retry(bigint[]) is
  'Executes dead, uncertain or held actions again, and retrying ones at once; a last attempt is granted where none was left. An uncertain mail may arrive twice: look first. Their incidents are noted. Returns how many.';

create function tradeflow.retry(id bigint) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.retry(array[id]) = 1 $$;
comment on function tradeflow.retry(bigint) is 'Executes one action again. False: it is not dead, uncertain, held or retrying.';


create function tradeflow.hold(ids bigint[], reason text default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.hold(bigint[], text) is
  'Holds actions that are ready or wait for their time, until release_held or discard_held. The rest of their lane goes on without them. Returns how many.';


create function tradeflow.release_held(rule text default null, ids bigint[] default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select tradeflow._make_ready(array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (release_held.rule is null or o.rule = release_held.rule) and (ids is null or o.id = any (ids))
    order by o.id for update))
$$;
comment on function tradeflow.release_held(text, bigint[]) is 'Lets held actions go: of one rule, of these ids, or all. Returns how many.';

create function tradeflow.discard_held(rule text default null, ids bigint[] default null) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.discard_held(text, bigint[]) is 'Cancels held actions: of one rule, of these ids, or all. Returns how many.';


create function tradeflow.ack(incident bigint) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with mine as (
    update tradeflow.incidents i set acked_at = now(), acked_by = session_user
    where i.id = incident and i.acked_at is null returning 1
  )
  select exists (select from mine)
$$;
comment on function tradeflow.ack(bigint) is 'Takes note of an incident. False: there is none, or it was noted before.';
