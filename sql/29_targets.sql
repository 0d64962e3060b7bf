-- 29_targets: what is known about each destination while it is used, and stopping it by hand.

create table tradeflow.target_states (
  target           text primary key references tradeflow.targets (name) on update cascade on delete cascade,
  tokens           double precision,
  refilled_at      timestamptz,
  running          int not null default 0 check (running >= 0),
  breaker          text not null default 'closed' check (breaker in ('closed', 'open', 'half_open')),
  failures         int not null default 0,
  opened_at        timestamptz,
  retry_at         timestamptz,
  throttled_until  timestamptz,
  last_error       text,
  last_failed_at   timestamptz
);
-- Few rows that change often.
alter table tradeflow.target_states set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);
comment on table tradeflow.target_states is 'A row for each target: its token bucket, circuit breaker and last failure. Written by claim, complete, fail and tick under the row''s lock, so the limits hold for all sidecars together; not dumped.';
comment on column tradeflow.target_states.target is 'The target.';
comment on column tradeflow.target_states.tokens is 'Executions the bucket allowed at refilled_at. NULL: it is full.';
comment on column tradeflow.target_states.refilled_at is 'When tokens was computed.';
comment on column tradeflow.target_states.running is 'How many executions are under way; counted only while the target has a concurrency limit.';
comment on column tradeflow.target_states.breaker is 'closed: it is used. open: not before retry_at. half_open: one execution tries, and its outcome decides.';
comment on column tradeflow.target_states.failures is 'Transient failures in a row.';
comment on column tradeflow.target_states.opened_at is 'Since when the breaker is not closed. NULL: it is closed.';
comment on column tradeflow.target_states.retry_at is 'When an open breaker lets one execution try; half-open: when it lets another, should the first never be heard of again.';
comment on column tradeflow.target_states.throttled_until is 'The destination asked not to be called before (Retry-After). NULL: it did not.';
comment on column tradeflow.target_states.last_error is 'The last transient failure or throttling, in its words.';
comment on column tradeflow.target_states.last_failed_at is 'When that was.';


create function tradeflow.pause_target(target text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.pause_target(text, text) is
  'Sends nothing more to a target: its actions stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such target.';

create function tradeflow.resume_target(target text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.resume_target(text) is
  'Goes on with a target that is paused, that asked not to be called for a while, or whose circuit breaker is open: then one action tries at once. Actions that were told to wait keep their own time: retry() does not wait. False: it was stopped by none of these. Errors: 42704 no such target.';

create function tradeflow._require_target(target text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from tradeflow.targets t where t.name = _require_target.target) then
    raise exception 'there is no target "%"', _require_target.target
      using errcode = 'undefined_object', hint = 'targets: ' || coalesce((select string_agg(t.name, ', ' order by t.name) from tradeflow.targets t), 'none');
  end if;
end
$$;
comment on function tradeflow._require_target(text) is 'Internal. An error if there is no such target, with those there are.';

-- A person knows better than what the target last said. One that is being tried already (half-open) is left to its trial.
create function tradeflow._try_again(target text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.target_states s
  set throttled_until = null, retry_at = case when s.breaker = 'open' then clock_timestamp() else s.retry_at end
  where s.target = _try_again.target
    and (s.throttled_until > clock_timestamp() or (s.breaker = 'open' and s.retry_at > clock_timestamp()));
  return found;
end
$$;
comment on function tradeflow._try_again(text) is 'Internal. Ends a target''s throttling and lets its open breaker try now. False: there was neither.';

create function tradeflow.pause_kind(kind text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.pause_kind(text, text) is
  'Executes no more actions of a kind: they stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such kind.';

create function tradeflow.resume_kind(kind text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
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
comment on function tradeflow.resume_kind(text) is 'Goes on with a paused kind. False: it is not paused. Errors: 42704 no such kind.';
