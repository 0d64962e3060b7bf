-- 35_safety: what keeps a mistake small: loops are held, rules that keep failing are paused.

-- Unlogged and not dumped: after a crash the count begins anew.
create unlogged table tradeflow.recent_firings (
  about  bigint not null,
  at     timestamptz not null
);
create index recent_firings_about on tradeflow.recent_firings (about, at);
-- For the sweep: rows come in the order of time.
create index recent_firings_at on tradeflow.recent_firings using brin (at) with (autosummarize = on);
comment on table tradeflow.recent_firings is 'What fired within the last hour, to hold loops (rules.max_per_subject). Statements append, tick() sweeps.';
comment on column tradeflow.recent_firings.about is 'A hash of rule and subject.';
comment on column tradeflow.recent_firings.at is 'When it fired.';


create function tradeflow._lock_waiting(ids bigint[]) returns setof bigint
language sql
set search_path = pg_catalog, pg_temp
-- By id, whatever statistics say of a table that is empty now and full then; and not by the index of what waits for its time.
set enable_seqscan = off
as $$
  select o.id from tradeflow.outbox o where o.id = any (ids) and o.state || '' = 'waiting' order by o.id for update
$$;
comment on function tradeflow._lock_waiting(bigint[]) is 'Internal. Locks those of these actions that wait for their time, in the order of their ids, and returns them.';

-- Cancels what waits and is not answered yes any more, or is answered anew. What only waited was not told to anybody, so
-- a once rule may say it again.
create function tradeflow._withdraw(ids bigint[], reason text) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
-- Planned once, not at every change of a timer; by id, whatever statistics say of tables that are empty now and full then.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  delete from tradeflow.members m
  using tradeflow.outbox o, tradeflow.rules r
  where o.id = any (ids) and o.state = 'waiting' and o.steps = '{}' and o.edge = 'enter'
    and r.name = o.rule and r.fires = 'once' and r.view is null
    and (m.rule, m.subject, m.occurrence) = (o.rule, o.subject, o.occurrence);
  return tradeflow._archive(ids, 'cancelled', reason);
end
$$;
comment on function tradeflow._withdraw(bigint[], text) is 'Internal. Cancels waiting actions whose answer no longer stands. Returns how many.';


create table tradeflow.rule_failures (
  rule   text primary key references tradeflow.rules (name) on update cascade on delete cascade,
  since  timestamptz not null,
  base   bigint not null,
  total  bigint not null
);
comment on table tradeflow.rule_failures is 'How often rules failed, as tick() counted it in their open incidents. A rule with as many within an hour as setting pause_after_errors (default 100) says is paused.';
comment on column tradeflow.rule_failures.rule is 'The rule.';
comment on column tradeflow.rule_failures.since is 'Begin of the hour that is counted.';
comment on column tradeflow.rule_failures.base is 'The total at its begin.';
comment on column tradeflow.rule_failures.total is 'The total when it was last counted.';

-- Pauses rules that failed for as many rows as setting pause_after_errors says (default 100) within an hour.
create function tradeflow._pause_failing() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed  int := coalesce((select s.value::int from tradeflow.settings s where s.name = 'pause_after_errors' and s.value ~ '^[1-9][0-9]{0,8}$'), 100);
  failing  record;
  paused   int := 0;
begin
  for failing in
    with found as (
      select i.rule, sum(i.count) as total,
             coalesce(sum(i.count) filter (where i.last_seen_at < clock_timestamp() - interval '1 hour'), 0) as before
      from tradeflow.incidents i
      where i.kind = 'rule_error' and i.acked_at is null
      group by i.rule
    ), counted as (
      insert into tradeflow.rule_failures as f (rule, since, base, total)
      select x.rule, clock_timestamp(), x.before, x.total
      from found x
      join tradeflow.rules r on r.name = x.rule and r.paused_at is null
      left join tradeflow.rule_failures known on known.rule = x.rule
      where known.total is distinct from x.total
      on conflict (rule) do update
      set base = case when excluded.total < f.total then excluded.total
                      when f.since < clock_timestamp() - interval '1 hour' then f.total else f.base end,
          since = case when excluded.total < f.total or f.since < clock_timestamp() - interval '1 hour' then excluded.since else f.since end,
          total = excluded.total
      returning f.rule, f.total - f.base as errors
    )
    select * from counted c where c.errors >= allowed order by c.rule
  loop
    update tradeflow.rules r
    set paused_at = clock_timestamp(), paused_reason = format('it failed for %s rows within an hour', failing.errors)
    where r.name = failing.rule;
    insert into tradeflow.incidents (kind, rule, source, message, hint, count)
    select 'rule_paused', r.name, coalesce(r.source, r.view), format('rule "%s" is paused: %s', r.name, r.paused_reason),
           format('its incidents say why it fails. Mend it, then select tradeflow.resume(%1$L); what changed meanwhile: select tradeflow.backfill(%1$L, ''…'');', r.name),
           failing.errors
    from tradeflow.rules r where r.name = failing.rule;
    paused := paused + 1;
  end loop;
  return paused;
end
$$;
comment on function tradeflow._pause_failing() is 'Internal. Part of tick(): pauses rules that keep failing. Returns how many.';


create function tradeflow.pause(rule text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.rules r set paused_at = clock_timestamp(), paused_reason = coalesce(pause.reason, 'paused by ' || session_user)
  where r.name = pause.rule and r.paused_at is null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = pause.rule) then
    raise exception 'there is no rule "%"', pause.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;
comment on function tradeflow.pause(text, text) is
  'Stops a rule: it is not asked any more, and its actions stay where they are, waiting and ready ones, until it is resumed. What is being executed ends. False: it is paused already. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';


create function tradeflow.resume(rule text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.rules r set paused_at = null, paused_reason = null where r.name = resume.rule and r.paused_at is not null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = resume.rule) then
    raise exception 'there is no rule "%"', resume.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;
comment on function tradeflow.resume(text) is
  'Has a paused rule asked again, and takes note of the incidents that had it paused. What changed meanwhile is not made up for: see backfill(). False: it is not paused. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';

create function tradeflow._rules_resumed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.rule = new.name and i.kind in ('rule_error', 'rule_paused') and i.acked_at is null;
  delete from tradeflow.rule_failures f where f.rule = new.name;
  return null;
end
$$;
comment on function tradeflow._rules_resumed() is 'Internal. The count of a rule''s errors begins anew when it is resumed.';
create trigger rules_d_resumed after update on tradeflow.rules
  for each row when (old.paused_at is not null and new.paused_at is null) execute function tradeflow._rules_resumed();
