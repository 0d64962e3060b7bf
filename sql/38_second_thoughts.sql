-- 38_second_thoughts: going back to an earlier definition, and firing for what was there already.

create function tradeflow.revert(rule text, version int) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  earlier  jsonb := (select v.definition from tradeflow.rule_versions v where v.rule = revert.rule and v.version = revert.version);
  columns  text[];
  done     int;
begin
  if earlier is null then
    raise exception 'there is no earlier version % of rule "%"', revert.version, revert.rule
      using errcode = 'undefined_object',
            hint = coalesce('earlier versions: ' || (select string_agg(v.version::text, ', ' order by v.version) from tradeflow.rule_versions v where v.rule = revert.rule),
                            'It has had one definition only.');
  end if;
  -- What that definition did not know, being older, gets its default.
  select array_agg(a.attname::text order by a.attnum) into columns
  from pg_attribute a
  where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and not a.attisdropped
    and a.attname <> all ('{name,version,invalid,updated_at,updated_by,paused_at,paused_reason}');
  if exists (select from tradeflow.rules r where r.name = revert.rule) then
    execute format(
      'update tradeflow.rules r set %s from jsonb_populate_record(null::tradeflow.rules, $1) e where r.name = $2 returning r.version',
      (select string_agg(format('%I = %s', c, case when earlier ? c then format('e.%I', c) else 'default' end), ', ') from unnest(columns) c))
    into done using earlier, revert.rule;
  else
    -- It was deleted.
    execute format(
      'insert into tradeflow.rules (name, %1$s) select $2, %1$s from jsonb_populate_record(null::tradeflow.rules, $1) e returning version',
      (select string_agg(quote_ident(c), ', ') from unnest(columns) c where earlier ? c))
    into done using earlier, revert.rule;
  end if;
  return done;
end
$$;
comment on function tradeflow.revert(text, int) is
  'Makes an earlier definition of a rule its definition again, as a new version; brings back a rule that was deleted. Its actions stay as they are (those of a deleted rule are gone). Returns the new version. Errors: 42704 no such version; whatever writing that definition would fail with.';


create function tradeflow.backfill(rule text, "where" text default null, "limit" int default null, mode text default null) returns int
language sql
as $$ select tradeflow._backfill(rule, "where", "limit", mode) $$;
comment on function tradeflow.backfill(text, text, int, text) is
  'Fires a rule for what is there already, as if each row had just become so. where: a condition over the source''s (or the view''s) columns; limit: at most so many, in the order of the key; mode: NULL as the rule''s own, shadow (only recorded), held (executed when released), live. The question is asked with the caller''s rights. More than max_firings are held. Returns how many fired. Errors: 42704 no such rule; 42501 no member of its owner; 55000 it is off, paused or invalid, or has a schedule; 54000 more than 100,000 at once.';
