-- What happens to actions, as it happens: in the transaction that does it, so that what was rolled back did not happen.
create schema chaos;
create table chaos.trace (
  seq          bigint generated always as identity,
  at           timestamptz not null default clock_timestamp(),
  op           text not null,
  id           bigint not null,
  was          text,
  is_now       text,
  attempt      int,
  lease_ended  boolean,
  lease_moved  boolean,
  started      boolean,
  lost         boolean,
  pardoned     boolean
);

create function chaos.note() returns trigger language plpgsql as $$
begin
  case tg_op
    when 'INSERT' then
      insert into chaos.trace (op, id, is_now) values ('insert', new.id, new.state);
    when 'DELETE' then
      insert into chaos.trace (op, id, was, attempt) values ('delete', old.id, old.state, old.attempt);
    else
      if (old.state, old.attempt, old.lease_until, old.started_at, old.run_at)
         is distinct from (new.state, new.attempt, new.lease_until, new.started_at, new.run_at)
      then
        insert into chaos.trace (op, id, was, is_now, attempt, lease_ended, lease_moved, started, lost, pardoned)
        values ('update', new.id, old.state, new.state, new.attempt, old.lease_until < clock_timestamp(),
                old.lease_until is distinct from new.lease_until, new.started_at is distinct from old.started_at and new.started_at is not null,
                new.error ~ 'worker .* was lost', old.error is not null and new.error is null);
      end if;
  end case;
  return null;
end
$$;
create trigger note after insert or update or delete on tradeflow.outbox for each row execute function chaos.note();
