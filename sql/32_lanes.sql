-- 32_lanes: one after another within a lane, and where claim() finds what is ready. docs/decisions/0013 has the reasons.

-- The lane that an action's template names. It is one name: a subtransaction is paid only by actions that have a template.
create function tradeflow._lane(
  template text, rule text, rule_version int, source text, event text, subject text, occurrence text, key jsonb, action text, facts jsonb
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  lane text;
begin
  lane := tradeflow._render(template, jsonb_build_object(
    'facts', facts, 'source', source, 'event', event, 'subject', subject, 'occurrence', occurrence, 'key', key, 'action', action,
    'rule', jsonb_build_object('name', rule, 'version', rule_version)));
  if lane = '' or length(lane) > 500 then
    raise invalid_parameter_value using message = format('the template "%s" makes a lane of %s characters; it must have 1 to 500', template, length(lane));
  end if;
  return lane;
exception when invalid_parameter_value then
  insert into tradeflow.incidents (kind, rule, source, subject, message, hint)
  values ('lane_error', rule, source, subject, format('rule "%s" for %s: %s', rule, subject, sqlerrm),
          'mend the lane of its action; until then it is executed in the lane of its subject.');
  return source || ':' || subject;
end
$$;
comment on function tradeflow._lane(text, text, int, text, text, text, text, jsonb, text, jsonb) is
  'Internal. The lane of an action that has a template for it; what cannot be rendered is an incident, and the lane is source:subject.';


-- Sets the first of each lane free if it was parked. Called, after the fact, by everything that ends an action's turn: who
-- parked it locked what was before it, so either the parking is seen here or it did not happen.
create function tradeflow._lanes_freed(lanes text[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  freed int;
begin
  update tradeflow.outbox o
  set parked = null, run_at = clock_timestamp()
  from (
    -- Most lanes have nothing parked: then the look-up ends at the root of an empty index.
    select distinct l.lane from unnest(lanes) l(lane)
    where (select p.id from tradeflow.outbox p where p.parked = 'lane' and p.lane = l.lane limit 1) is not null) l
  cross join lateral (
    select b.ctid as at, b.parked from tradeflow.outbox b
    where b.lane = l.lane and (b.state = 'ready' or b.blocking)
    -- As the index has it: by id alone the planner might read the table in the order of ids.
    order by b.lane, b.id limit 1) first
  where o.ctid = first.at and first.parked = 'lane'
    -- What runs in the lane sets the next one free when it ends.
    and (select b.id from tradeflow.outbox b where b.lane = l.lane and b.worker is not null limit 1) is null;
  get diagnostics freed = row_count;
  return freed;
end
$$;
comment on function tradeflow._lanes_freed(text[]) is 'Internal. Lets the first action of each of these lanes have its turn. Returns how many were parked until now.';


-- Where the scan for ready actions begins. There is one row for each kind and target that actions name.
create table tradeflow.channels (
  kind        text collate "C" not null,
  target      text collate "C" not null default '',
  from_at     timestamptz not null default '-infinity',
  from_id     bigint not null default 0,
  swept_at    timestamptz,
  sweep_took  interval,
  primary key (kind, target)
);
alter table tradeflow.channels set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);
comment on table tradeflow.channels is 'A row is a kind and target that actions name: claim() looks for ready actions channel by channel. Not dumped.';
comment on column tradeflow.channels.kind is 'Kind of the actions.';
comment on column tradeflow.channels.target is 'Their target; empty: none.';
comment on column tradeflow.channels.from_at is 'claim() skips what was ready before: while an old transaction keeps vacuum from cleaning, those are dead rows without end. What commits late and lies before it is moved behind it by tick().';
comment on column tradeflow.channels.from_id is 'Of several with that time: what has a lower id.';
comment on column tradeflow.channels.swept_at is 'When tick() last looked for late ones.';
comment on column tradeflow.channels.sweep_took is 'How long that took: it looks the more seldom the longer it takes.';

create function tradeflow._note_channel() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into tradeflow.channels (kind, target) values (new.kind, coalesce(new.target, '')) on conflict do nothing;
  return null;
end
$$;
comment on function tradeflow._note_channel() is 'Internal. Has claim() look for the actions of this kind and target.';
create trigger actions_channel after insert or update of kind, target on tradeflow.actions
  for each row execute function tradeflow._note_channel();
-- Also while a dump is loaded, with whatever settings: channels are not in it.
alter table tradeflow.actions enable always trigger actions_channel;


-- Moves behind the beginning of the scan what was ready before it: a transaction that began earlier and committed later.
-- Where that is quick there is nothing to skip any more, and the scan begins at the beginning again.
create function tradeflow._sweep_channels() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  channel  tradeflow.channels;
  began    timestamptz;
  before   bigint;  -- pages of the index: entries known to be dead are passed without being counted
  late     int;
  moved    int := 0;
begin
  for channel in
    select * from tradeflow.channels c
    where c.from_at > '-infinity'
      and (c.swept_at is null or c.swept_at + greatest(20 * c.sweep_took, interval '0.5 seconds') < clock_timestamp())
    order by c.kind, c.target
  loop
    began := clock_timestamp();
    before := pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass);
    update tradeflow.outbox o
    set run_at = clock_timestamp()
    from (
      select x.ctid as at from tradeflow.outbox x
      where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
        and (x.run_at, x.id) < (channel.from_at, channel.from_id)
      for update skip locked) late_one
    where o.ctid = late_one.at;
    get diagnostics late = row_count;
    moved := moved + late;
    update tradeflow.channels c
    set swept_at = clock_timestamp(), sweep_took = clock_timestamp() - began,
        from_at = case when pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass) - before < 16 then '-infinity' else c.from_at end
    where c.kind = channel.kind and c.target = channel.target;
  end loop;
  return moved;
end
$$;
comment on function tradeflow._sweep_channels() is 'Internal. Part of tick(): finds ready actions that committed after claim() had gone past them. Returns how many.';


-- What the functions that end a turn do at once, done again for whatever was changed in another way: by hand, for one.
create function tradeflow._heal_parked() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  now     timestamptz := clock_timestamp();
  healed  int := 0;
  more    int;
begin
  -- A channel that rows name, and no action any more: actions changed since, or a dump of such.
  with recursive found as (
    (select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
     where o.state = 'ready' and o.parked is null
     order by o.kind, coalesce(o.target, '') limit 1)
    union all
    select next.kind, next.target
    from found f
    cross join lateral (
      select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
      where o.state = 'ready' and o.parked is null and (o.kind, coalesce(o.target, '')) > (f.kind, f.target)
      order by o.kind, coalesce(o.target, '') limit 1) next
  )
  insert into tradeflow.channels (kind, target)
  select f.kind, f.target from found f where f.kind is not null on conflict do nothing;

  if not exists (select from tradeflow.outbox o where o.parked is not null) then
    return 0;
  end if;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'rule' and not exists (select from tradeflow.rules r where r.name = o.rule and r.paused_at is not null);
  get diagnostics healed = row_count;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'lane'
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.worker is not null)
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.id < o.id and (b.state = 'ready' or b.blocking));
  get diagnostics more = row_count;
  return healed + more;
end
$$;
comment on function tradeflow._heal_parked() is 'Internal. Part of tick(): finds channels that are not known yet, and sets free what is parked without reason. Returns how many.';

create function tradeflow._unpark_rule() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- One time for all: they go on in the order of their ids.
  now timestamptz := clock_timestamp();
begin
  update tradeflow.outbox o set parked = null, run_at = now where o.parked = 'rule' and o.rule = new.name;
  if found then
    perform pg_notify('tradeflow', '');
  end if;
  return null;
end
$$;
comment on function tradeflow._unpark_rule() is 'Internal. The actions of a rule that is resumed go on.';
create trigger rules_f_unpark after update on tradeflow.rules
  for each row when (old.paused_at is not null and new.paused_at is null) execute function tradeflow._unpark_rule();
