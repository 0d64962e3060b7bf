-- 64_pick: who of several gets it. Sales reps to companies, approvers to quotes: balanced by weight, sticky, without those who
-- are absent or have enough.
--
-- Stride scheduling: each member has a pass that grows by 1/weight with each pick, the lowest is next. Nobody is made up for
-- what they missed: the pool's own pass is the least that counts, so who comes back from a holiday, or is new, starts where the
-- others are instead of getting everything for a week.
--
-- A pick writes, under a lock of its pool: it belongs into an action of kind sql, not into a question (docs/decisions/0021).

create table tradeflow.pools (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  description  text,
  pass         numeric not null default 0
);
select pg_catalog.pg_extension_config_dump('tradeflow.pools', '');
comment on table tradeflow.pools is 'A row is a group of people, or of anything, one of whom tradeflow.pick() chooses.';
comment on column tradeflow.pools.name is 'What pick() is called with.';
comment on column tradeflow.pools.description is 'For people.';
comment on column tradeflow.pools.pass is 'The pass at which the last pick was made. Written by pick().';

create table tradeflow.pool_members (
  pool    text not null references tradeflow.pools (name) on update cascade on delete cascade,
  member  text not null check (member <> ''),
  weight  int not null default 1 check (weight between 0 and 10000),
  cap     int check (cap >= 0),
  absent  tstzmultirange not null default '{}',
  pass    numeric not null default 0,
  primary key (pool, member)
);
select pg_catalog.pg_extension_config_dump('tradeflow.pool_members', '');
comment on table tradeflow.pool_members is 'A row is one who may be picked.';
comment on column tradeflow.pool_members.pool is 'The pool.';
comment on column tradeflow.pool_members.member is 'Who: an id or a mail address, as the pick''s user needs it.';
comment on column tradeflow.pool_members.weight is 'The share: 2 gets twice as many as 1, 0 gets none.';
comment on column tradeflow.pool_members.cap is 'At most as many assignments at a time. NULL: no limit.';
comment on column tradeflow.pool_members.absent is 'When not to be picked: {[2026-12-21,2027-01-04)}. What is assigned already stays.';
comment on column tradeflow.pool_members.pass is 'How much was picked so far, in 1/weight. Written by pick().';

create table tradeflow.assignments (
  pool         text not null,
  subject      text not null,
  member       text not null,
  assigned_at  timestamptz not null default now(),
  primary key (pool, subject),
  foreign key (pool, member) references tradeflow.pool_members (pool, member) on update cascade on delete cascade
);
create index assignments_member on tradeflow.assignments (pool, member);
select pg_catalog.pg_extension_config_dump('tradeflow.assignments', '');
comment on table tradeflow.assignments is 'Who was picked for whom. It stays until release() or until the member leaves the pool.';
comment on column tradeflow.assignments.pool is 'The pool.';
comment on column tradeflow.assignments.subject is 'For whom: the key of a company, of a quote.';
comment on column tradeflow.assignments.member is 'Who was picked.';
comment on column tradeflow.assignments.assigned_at is 'When.';


create function tradeflow.pick(pool text, subject text, candidates text[] default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  reached  numeric;
  chosen   record;
begin
  if subject is null or pool is null then
    raise exception 'pick() needs a pool and a subject' using errcode = 'null_value_not_allowed', hint = 'select tradeflow.pick(''reps'', ''17'');';
  end if;
  -- One pick of a pool at a time, so that shares are exact; the lock lasts until the caller commits.
  select p.pass into reached from tradeflow.pools p where p.name = pick.pool for update;
  if not found then
    raise exception 'there is no pool "%"', pick.pool
      using errcode = 'undefined_object',
            hint = coalesce('pools: ' || (select string_agg(p.name, ', ' order by p.name) from tradeflow.pools p),
                            format('insert into tradeflow.pools (name) values (%L);', pick.pool));
  end if;
  select a.member into chosen from tradeflow.assignments a where a.pool = pick.pool and a.subject = pick.subject;
  if found then
    return chosen.member;
  end if;

  select m.member, greatest(m.pass, reached) as at, m.weight into chosen
  from tradeflow.pool_members m
  where m.pool = pick.pool and m.weight > 0 and not m.absent @> tradeflow.now()
    and (candidates is null or m.member = any (candidates))
    and (m.cap is null or m.cap > (select count(*) from tradeflow.assignments a where a.pool = m.pool and a.member = m.member))
  order by greatest(m.pass, reached), m.weight desc, m.member
  limit 1;
  if not found then
    return null;
  end if;
  update tradeflow.pool_members m set pass = chosen.at + 1.0 / chosen.weight where m.pool = pick.pool and m.member = chosen.member;
  update tradeflow.pools p set pass = chosen.at where p.name = pick.pool and p.pass <> chosen.at;
  insert into tradeflow.assignments (pool, subject, member) values (pick.pool, pick.subject, chosen.member);
  return chosen.member;
end
$$;
comment on function tradeflow.pick(text, text, text[]) is
  'Who of a pool gets this subject: who has it already, else the next by weight among those present, below their cap and, if given, among the candidates. NULL: nobody is left; the caller decides what then. Picks of one pool wait for each other until their transactions end. Errors: 42704 no such pool, 22004 no pool or subject.';

create function tradeflow.release(pool text, subject text) returns text
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.assignments a where a.pool = release.pool and a.subject = release.subject returning a.member
$$;
comment on function tradeflow.release(text, text) is 'Ends an assignment, so that the next pick chooses anew. Returns who had it; NULL: nobody.';
