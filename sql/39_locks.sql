-- 39_locks: one at a time, across all sidecars, for as long as a call to another system takes. Leases in a table and not
-- advisory locks: no transaction is open meanwhile, and a session's locks do not survive a pooler in transaction mode.

create unlogged table tradeflow.locks (
  name    text primary key,
  holder  text not null,
  until   timestamptz not null
);
comment on table tradeflow.locks is 'Who holds what, until when by the database''s clock: a sheet that has one writer, a company whose credit is being written. A crash empties it.';
comment on column tradeflow.locks.name is 'What is held.';
comment on column tradeflow.locks.holder is 'Who holds it.';
comment on column tradeflow.locks.until is 'Until when, unless it is prolonged.';

create function tradeflow.lock(name text, holder text, lease interval) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with taken as (
    insert into tradeflow.locks as l (name, holder, until) values (lock.name, lock.holder, clock_timestamp() + lock.lease)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where l.holder = excluded.holder or l.until < clock_timestamp()
    returning 1
  )
  select exists (select from taken)
$$;
comment on function tradeflow.lock(text, text, interval) is 'Takes or prolongs a lock. False: somebody else holds it.';

create function tradeflow.unlock(name text, holder text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ delete from tradeflow.locks l where l.name = unlock.name and l.holder = unlock.holder $$;
comment on function tradeflow.unlock(text, text) is 'Gives a lock back.';
