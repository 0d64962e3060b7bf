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
  elsif not exists (select from tradeflow.targets t where t.name = pause_target.target) then
    raise exception 'there is no target "%"', pause_target.target using errcode = 'undefined_object';
  end if;
  return false;
end
$$;
comment on function tradeflow.pause_target(text, text) is
  'Sends nothing more to a target: its actions stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such target.';

create function tradeflow.resume_target(target text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.targets t set paused_at = null, paused_reason = null
  where t.name = resume_target.target and t.paused_at is not null;
  if found then
    perform pg_notify('tradeflow', '');
    return true;
  elsif not exists (select from tradeflow.targets t where t.name = resume_target.target) then
    raise exception 'there is no target "%"', resume_target.target using errcode = 'undefined_object';
  end if;
  return false;
end
$$;
comment on function tradeflow.resume_target(text) is 'Goes on with a paused target. False: it is not paused. Errors: 42704 no such target.';

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
