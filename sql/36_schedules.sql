-- 36_schedules: rules whose query is run at certain times.

create table tradeflow.schedules (
  rule          text primary key references tradeflow.rules (name) on update cascade on delete cascade,
  next_run_at   timestamptz not null,
  planned_at    timestamptz not null default tradeflow.now(),
  last_run_at   timestamptz,
  last_firings  int,
  last_error    text
);
select pg_catalog.pg_extension_config_dump('tradeflow.schedules', '');
comment on table tradeflow.schedules is 'When the rules with a schedule are run. tick() runs what is due, as the rule''s owner, one firing for each row; what was missed is caught up once.';
comment on column tradeflow.schedules.rule is 'The rule; its column schedule says when.';
comment on column tradeflow.schedules.next_run_at is 'When it is due next, by tradeflow.now().';
comment on column tradeflow.schedules.planned_at is 'What time it was, by tradeflow.now(), when next_run_at was computed.';
comment on column tradeflow.schedules.last_run_at is 'When it was run last.';
comment on column tradeflow.schedules.last_firings is 'How often it fired then. NULL: it failed.';
comment on column tradeflow.schedules.last_error is 'Why it failed then. NULL: it did not.';

-- A restore inserts the dumped row where writing the rule has just made one.
create function tradeflow._schedules_replace() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from tradeflow.schedules s where s.rule = new.rule;
  return new;
end
$$;
comment on function tradeflow._schedules_replace() is 'Internal. Lets a dumped schedule take the place of the new one.';
create trigger schedules_replace before insert on tradeflow.schedules
  for each row execute function tradeflow._schedules_replace();


-- A schedule begins when its rule is written, changed or turned on: nothing is caught up from before.
create function tradeflow._rules_plan() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.schedule is null then
    delete from tradeflow.schedules s where s.rule = new.name;
  elsif tg_op = 'INSERT' or old.schedule is distinct from new.schedule or (tradeflow._is_asked(new) and not tradeflow._is_asked(old)) then
    update tradeflow.schedules s
    set next_run_at = tradeflow._next_run(new.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = new.name;
    if not found then
      insert into tradeflow.schedules (rule, next_run_at)
      values (new.name, tradeflow._next_run(new.schedule, tradeflow.now()));
    end if;
  end if;
  return null;
end
$$;
comment on function tradeflow._rules_plan() is 'Internal. Plans the next run of a rule with a schedule.';
create trigger rules_e_plan after insert or update on tradeflow.rules
  for each row execute function tradeflow._rules_plan();


create function tradeflow._run_schedules() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  due    record;
  fired  int;
  said   text;
  ran    int := 0;
begin
  -- The clock was set back.
  update tradeflow.schedules s
  set next_run_at = tradeflow._next_run(r.schedule, tradeflow.now()), planned_at = tradeflow.now()
  from tradeflow.rules r
  where r.name = s.rule and s.planned_at > tradeflow.now();

  for due in
    select s.rule, r.schedule
    from tradeflow.schedules s join tradeflow.rules r on r.name = s.rule
    where s.next_run_at <= tradeflow.now() and tradeflow._is_asked(r)
    order by s.next_run_at, s.rule limit 100
    for update of s skip locked
  loop
    said := null;
    begin
      fired := tradeflow._run_schedule(due.rule);
    exception
    when lock_not_available or deadlock_detected then
      continue;  -- somebody alters what it reads; it stays due
    when others then
      fired := null;
      said := sqlerrm;
      insert into tradeflow.incidents (kind, rule, message, hint, sqlstate)
      values ('schedule_error', due.rule, format('rule "%s", when its schedule was due: %s', due.rule, said),
              'mend its query; it is run again when its schedule says so.', sqlstate);
    end;
    update tradeflow.schedules s
    set last_run_at = tradeflow.now(), last_firings = fired, last_error = said,
        next_run_at = tradeflow._next_run(due.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = due.rule;
    ran := ran + 1;
  end loop;
  return ran;
end
$$;
comment on function tradeflow._run_schedules() is 'Internal. Part of tick(): runs the schedules that are due. Returns how many.';
