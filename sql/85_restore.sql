-- 85_restore: a dump is loaded as it is. Several sessions of pg_restore --jobs load our tables in any order, and pg_dump does
-- not tell them that one refers to another: rules may come before their tables, actions before their rules. What a trigger
-- or a foreign key would ask for was there when it was dumped.

create function tradeflow._load_as_dumped() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tradeflow._restoring() then
    -- For this one COPY: a foreign key's check is a trigger too.
    perform set_config('session_replication_role', case tg_when when 'BEFORE' then 'replica' else 'origin' end, true);
  end if;
  return null;
end
$$;
comment on function tradeflow._load_as_dumped() is 'Internal. While a dump is restored, rows are not checked against other tables, which may come later.';

create trigger rules_loading before insert on tradeflow.rules
  for each statement execute function tradeflow._load_as_dumped();
create trigger rules_loaded after insert on tradeflow.rules
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.rules enable always trigger rules_loaded;
create trigger actions_loading before insert on tradeflow.actions
  for each statement execute function tradeflow._load_as_dumped();
create trigger actions_loaded after insert on tradeflow.actions
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.actions enable always trigger actions_loaded;
create trigger rule_inputs_loading before insert on tradeflow.rule_inputs
  for each statement execute function tradeflow._load_as_dumped();
create trigger rule_inputs_loaded after insert on tradeflow.rule_inputs
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.rule_inputs enable always trigger rule_inputs_loaded;
create trigger members_loading before insert on tradeflow.members
  for each statement execute function tradeflow._load_as_dumped();
create trigger members_loaded after insert on tradeflow.members
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.members enable always trigger members_loaded;
create trigger schedules_loading before insert on tradeflow.schedules
  for each statement execute function tradeflow._load_as_dumped();
create trigger schedules_loaded after insert on tradeflow.schedules
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.schedules enable always trigger schedules_loaded;
create trigger rule_dependencies_loading before insert on tradeflow.rule_dependencies
  for each statement execute function tradeflow._load_as_dumped();
create trigger rule_dependencies_loaded after insert on tradeflow.rule_dependencies
  for each statement execute function tradeflow._load_as_dumped();
alter table tradeflow.rule_dependencies enable always trigger rule_dependencies_loaded;


-- Kinds that come with the extension are there already; of such a one a dump brings that it is paused, so that what was stopped
-- before does not go on in the copy.
create function tradeflow._kind_restored() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.action_kinds k set paused_at = new.paused_at, paused_reason = new.paused_reason where k.name = new.name and k.builtin;
  return case when not found then new end;
end
$$;
comment on function tradeflow._kind_restored() is 'Internal. Pauses a kind that is there already as a dump says.';
create trigger action_kinds_restored before insert on tradeflow.action_kinds
  for each row when (new.builtin and new.paused_at is not null) execute function tradeflow._kind_restored();
alter table tradeflow.action_kinds enable always trigger action_kinds_restored;
