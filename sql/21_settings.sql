-- 21_settings: what follows when a setting or the test clock changes. Every backend keeps what they say, and compiled rules have them
-- for constants.

create function tradeflow._settings_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._invalidate('tradeflow.settings');
  if tg_op = 'DELETE' then
    perform tradeflow._revalidate(array[old.name], format('deleting setting "%s"', old.name));
  else
    perform tradeflow._revalidate(array[new.name], format('setting "%s" = %L', new.name, new.value));
    if tg_op = 'UPDATE' and new.name <> old.name then
      perform tradeflow._revalidate(array[old.name], format('renaming setting "%s"', old.name));
    end if;
  end if;
  return null;
end
$$;
comment on function tradeflow._settings_after_write() is 'Internal. Has every backend read the settings again, and compile anew the rules that have one for a constant.';
create function tradeflow._settings_before_update() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function tradeflow._settings_before_update() is 'Internal. Notes when a setting was last written.';
create trigger settings_before_update before update on tradeflow.settings
  for each row when (old.value is distinct from new.value) execute function tradeflow._settings_before_update();
create trigger settings_after_write after insert or delete on tradeflow.settings
  for each row execute function tradeflow._settings_after_write();
create trigger settings_after_update after update on tradeflow.settings
  for each row when (old.* is distinct from new.*) execute function tradeflow._settings_after_write();


-- The test clock is a constant of compiled rules too.
create function tradeflow._clock_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._invalidate('tradeflow.clock');
  perform tradeflow._invalidate(to_regclass(w.name)) from tradeflow.watched_tables w where to_regclass(w.name) is not null;
  return null;
end
$$;
comment on function tradeflow._clock_after_write() is 'Internal. Has every backend read the clock again, and compile anew the rules that have it for a constant.';
create trigger clock_after_write after insert or update or delete on tradeflow.clock
  for each statement execute function tradeflow._clock_after_write();
