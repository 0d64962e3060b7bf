-- What the connected user may do: the functions a sidecar calls, and the tables it reads.
select
  current_user::text as "user",
  array(
    select f::text from unnest('{
      "tradeflow.claim(text,integer,interval,text[],jsonb)", "tradeflow.started(bigint,integer)",
      "tradeflow.complete(bigint[],integer[],jsonb[])", "tradeflow.fail(bigint,integer,text,text,interval,boolean)",
      "tradeflow.extend(bigint[],integer[],interval)", "tradeflow.tick_outbox()", "tradeflow.tick_rules()",
      "tradeflow.present(text,text[],text,integer)", "tradeflow.absent(text)", "tradeflow.health(interval)"}'::text[]) f
    where not coalesce(has_function_privilege(f, 'execute'), false)
  ) as missing_functions,
  array(
    select t::text from unnest('{tradeflow.targets,tradeflow.templates,tradeflow.settings,tradeflow.actions,tradeflow.rules,tradeflow.watched_tables,tradeflow.incidents,tradeflow.outbox}'::text[]) t
    where not coalesce(has_table_privilege(t, 'select'), false)
  ) as missing_tables
