-- 33_history: where finished actions go, and the one way there.

-- No indexes but those that people search by: it is written far more than read.
create table tradeflow.outbox_history (
  like tradeflow.outbox,
  request      jsonb,
  finished_at  timestamptz not null default clock_timestamp()
) partition by range (finished_at);
create table tradeflow.outbox_history_default partition of tradeflow.outbox_history default;
-- Each partition has its own, none is the parent's: pg_dump writes the days' tables with their indexes, and a parent
-- that comes with the extension would have made them already. Ids and times come nearly in order: a summary of a few pages
-- each finds them, and costs next to nothing to keep.
create index on tradeflow.outbox_history_default using brin (id int8_minmax_multi_ops, firing_id int8_minmax_multi_ops, finished_at)
  with (pages_per_range = 16, autosummarize = on);
create index on tradeflow.outbox_history_default (rule, subject);
select pg_catalog.pg_extension_config_dump('tradeflow.outbox_history_default', '');
comment on table tradeflow.outbox_history is 'Finished actions (done, cancelled, shadow), partitioned by day; days older than setting history_days (default 90) are dropped by tick().';
comment on table tradeflow.outbox_history_default is 'Catches rows of a day whose partition tick() has not made yet.';
comment on column tradeflow.outbox_history.request is 'The rendered request, without secrets.';
comment on column tradeflow.outbox_history.finished_at is 'When it ended.';
do $comments$
declare
  c record;
begin
  for c in
    select a.attname, col_description('tradeflow.outbox'::regclass, a.attnum) as text
    from pg_catalog.pg_attribute a
    where a.attrelid = 'tradeflow.outbox'::pg_catalog.regclass and a.attnum > 0
  loop
    execute format('comment on column tradeflow.outbox_history.%I is %L', c.attname, c.text);
  end loop;
end
$comments$;


-- Inserts the step after each of these actions, with the results so far. Returns how many.
create function tradeflow._next_step(finished tradeflow.outbox[], outcomes jsonb[]) returns int
language sql
set search_path = pg_catalog, pg_temp
as $$
  with finished as (
    select f.*, coalesce(outcomes[f.ordinality], '{}') - 'request' as outcome
    from unnest(_next_step.finished) with ordinality f
    -- A dead action that the firing went on without, and that a person had executed again: its next step was begun then.
    where not f.continued
  ), added as (
    insert into tradeflow.outbox (
      firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, facts, steps, run_at, fire_at, max_attempts, traceparent)
    select
      f.firing_id, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target,
      case when a.lane is null then f.source || ':' || f.subject
           else tradeflow._lane(a.lane, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, a.name, f.facts) end,
      case when a.delay > '0' then 'waiting' else 'ready' end, f.facts,
      f.steps || jsonb_build_object(f.step::text, f.outcome)
              || case when f.action is null then '{}' else jsonb_build_object(f.action, f.outcome) end,
      case when a.delay > '0' then tradeflow.now() + a.delay else clock_timestamp() end, f.fire_at, a.max_attempts, f.traceparent
    from finished f
    cross join lateral (
      select * from tradeflow.actions x
      where x.rule = f.rule and x.edge = f.edge and x.step > f.step
      order by x.step limit 1) a
    returning 1
  ), told as (
    select pg_notify('tradeflow', '') where exists (select from added)
  )
  select count(*)::int from added left join told on true
$$;
comment on function tradeflow._next_step(tradeflow.outbox[], jsonb[]) is 'Internal. Begins the next step of the firings of these actions.';


-- Everything that ends goes through here. What is done begins its next step, and whatever ends gives its lane free.
-- With attempts only those are ended that hold the lease of theirs.
create function tradeflow._finish(
  inout ids bigint[], state text, reason text default null, results jsonb[] default null, attempts int[] default null, out targets text[]
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- Look-ups by id, whatever statistics say of a table that is empty now and full then.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  ended  record;
begin
  with ended as (
    -- In the order of ids, as every function here locks: two workers never wait for each other.
    select distinct on (u.id) u.* from unnest(_finish.ids, attempts, results) u(id, attempt, result) order by u.id
  ), gone as (
    delete from tradeflow.outbox o using ended e
    where o.id = e.id and (attempts is null or (o.attempt = e.attempt and o.state = 'running'))
    returning o.*, e.result as outcome
  ), moved as (
    insert into tradeflow.outbox_history (
      id, firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, blocking, continued, reason, facts, steps, run_at, fire_at, attempt, max_attempts, worker, started_at, error,
      result, request, created_at, traceparent)
    select
      g.id, g.firing_id, g.rule, g.rule_version, g.source, g.event, g.subject, g.occurrence, g.key, g.edge, g.step, g.action, g.kind, g.target, g.lane,
      coalesce(_finish.state, g.state), false, g.continued, coalesce(_finish.reason, g.reason), g.facts, g.steps, g.run_at, g.fire_at, g.attempt, g.max_attempts, g.worker, g.started_at, g.error,
      coalesce(g.outcome - 'request', g.result), g.outcome -> 'request', g.created_at, g.traceparent
    from gone g
    -- What is read from here on is narrow: the rows themselves are read once more only where a step follows.
    returning id, target, lane, rule, edge, step
  ), followed as (
    select d.rule, d.edge, d.step
    from (select distinct m.rule, m.edge, m.step from moved m where _finish.state = 'done') d
    where exists (select from tradeflow.actions a where a.rule = d.rule and a.edge = d.edge and a.step > d.step)
  ), next as (
    -- By the names of the columns: in a database that was updated their order is another.
    select array_agg(jsonb_populate_record(null::tradeflow.outbox, to_jsonb(g)) order by g.id) as rows,
           array_agg(g.outcome order by g.id) as outcomes
    from followed f join gone g on g.rule = f.rule and g.edge = f.edge and g.step = f.step
  )
  select array_agg(m.id) as ids, array_agg(m.target) as targets, array_agg(m.lane) as lanes,
         (select n.rows from next n) as next_rows, (select n.outcomes from next n) as next_outcomes
  into ended
  from moved m;

  _finish.ids := ended.ids;
  _finish.targets := ended.targets;
  if ended.ids is not null then
    if ended.next_rows is not null then
      perform tradeflow._next_step(ended.next_rows, ended.next_outcomes);
    end if;
    if tradeflow._lanes_freed(ended.lanes) > 0 then
      perform pg_notify('tradeflow', '');
    end if;
  end if;
end
$$;
comment on function tradeflow._finish(bigint[], text, text, jsonb[], int[]) is
  'Internal. Moves actions to the history in this state (NULL: as they are), with their results, in the order of ids. Returns the ids and targets of those it ended; NULL: of none.';

create function tradeflow._archive(ids bigint[], state text, reason text default null) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(cardinality(f.ids), 0) from tradeflow._finish(ids, state, reason) f);
end
$$;
comment on function tradeflow._archive(bigint[], text, text) is 'Internal. Moves actions to the history. Returns how many.';


create view tradeflow.firings as
with rows as (
  select o.firing_id, o.rule, o.rule_version, o.source, o.event, o.subject, o.occurrence, o.edge, o.facts, o.step, o.state, o.run_at, o.created_at,
         null::timestamptz as finished_at
  from tradeflow.outbox o
  union all
  select h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge, h.facts, h.step, h.state, h.run_at, h.created_at,
         h.finished_at
  from tradeflow.outbox_history h
)
select
  r.firing_id,
  r.rule,
  r.rule_version,
  r.source,
  r.event,
  r.subject,
  r.occurrence,
  r.edge,
  (array_agg(r.facts order by r.step))[1] as facts,
  (array_agg(r.state order by r.step desc nulls last))[1] as state,
  count(r.step)::int as actions,
  min(r.run_at) as run_at,
  min(r.created_at) as created_at,
  case when bool_and(r.finished_at is not null) then max(r.finished_at) end as finished_at
from rows r
group by r.firing_id, r.rule, r.rule_version, r.source, r.event, r.subject, r.occurrence, r.edge;
comment on view tradeflow.firings is 'One row a firing, over outbox and outbox_history.';
comment on column tradeflow.firings.firing_id is 'Identifies the firing.';
comment on column tradeflow.firings.rule is 'The rule that fired.';
comment on column tradeflow.firings.rule_version is 'Its version then.';
comment on column tradeflow.firings.source is 'The table whose row changed.';
comment on column tradeflow.firings.event is 'insert, update, delete, view, schedule or backfill.';
comment on column tradeflow.firings.subject is 'Who it is about.';
comment on column tradeflow.firings.occurrence is 'Which of several answers.';
comment on column tradeflow.firings.edge is 'enter: the answer became yes; leave: it is yes no longer.';
comment on column tradeflow.firings.facts is 'What templates read.';
comment on column tradeflow.firings.state is 'State of the latest step.';
comment on column tradeflow.firings.actions is 'How many steps were begun.';
comment on column tradeflow.firings.run_at is 'When its first step was or is due.';
comment on column tradeflow.firings.created_at is 'When it fired.';
comment on column tradeflow.firings.finished_at is 'When its last step ended; NULL while something is open.';
