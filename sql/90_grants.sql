-- 90_grants: who may do what. A sync job needs nothing here: rights on its own tables are enough.

grant usage on schema tradeflow to public;

-- Functions are PUBLIC's by default; ours are not, but for those anybody's statement needs.
revoke execute on all functions in schema tradeflow from public;
grant execute on function
  tradeflow.observer_in(cstring), tradeflow.observer_out(tradeflow.observer), tradeflow.observer_subscript(internal),
  tradeflow._flush(), tradeflow.now(), tradeflow.version()
to public;

-- Authors: rules, their actions, templates and settings.
grant select, insert, update, delete on tradeflow.rules, tradeflow.actions, tradeflow.templates, tradeflow.settings to tradeflow_author;
grant select, insert, update, delete on tradeflow.watched_tables, tradeflow.rule_inputs to tradeflow_author;
grant select on tradeflow.rule_versions, tradeflow.action_kinds, tradeflow.targets, tradeflow.outbox, tradeflow.outbox_history,
  tradeflow.incidents, tradeflow.firings, tradeflow.queue_health, tradeflow.target_health, tradeflow.rule_stats, tradeflow.sidecars,
  tradeflow.clock, tradeflow.members to tradeflow_author;
grant execute on function
  tradeflow.setting(text), tradeflow.watch(regclass, text[], text[], boolean), tradeflow.unwatch(regclass),
  tradeflow._qualified_name(regclass), tradeflow._require_columns(regclass, text[], text), tradeflow._invalidate(regclass),
  tradeflow._refuse_value(text, text),
  tradeflow._install_triggers(regclass), tradeflow._check_watch(text), tradeflow._restoring(),
  tradeflow._compile(text, regclass, text, text, text, text, text, text[], text, regrole),
  tradeflow._rule_missing(tradeflow.rules), tradeflow._require_member(name, text), tradeflow._check_source(text, text),
  tradeflow._is_asked(tradeflow.rules), tradeflow._as_written(text), tradeflow._check_view(text, text), tradeflow._check_view_query(regclass),
  tradeflow._view_subject_type(text), tradeflow._compile_input(text, regclass, text, regtype, text, regrole),
  tradeflow._next_run(text, timestamptz), tradeflow._check_schedule(text, text, text, regrole),
  tradeflow.pause(text, text), tradeflow.resume(text), tradeflow.revert(text, int), tradeflow.backfill(text, text, int, text), tradeflow._backfill(text, text, int, text),
  tradeflow._check_template(text, text), tradeflow._check_params(jsonb, text), tradeflow._check_value(jsonb, jsonb, text), tradeflow._targets_of(text)
to tradeflow_author;
grant select on tradeflow.schedules to tradeflow_author;

-- Explanations, simulations, backtests. An explanation and a backtest check further who may see what.
grant select on tradeflow.dependencies, tradeflow.members, tradeflow.rule_inputs to tradeflow_author;
grant execute on function
  tradeflow.explain(text, text), tradeflow.explain(text, bigint), tradeflow.explain(text, jsonb),
  tradeflow.simulate(text), tradeflow._before_simulation(), tradeflow._simulated(bigint, bigint),
  tradeflow.backtest(text, timestamptz, timestamptz), tradeflow.backtest(jsonb, timestamptz, timestamptz),
  tradeflow._backtest(jsonb, tradeflow.rules, timestamptz, timestamptz), tradeflow._definition(tradeflow.rules),
  tradeflow._replay(text, regclass, text, timestamptz, timestamptz)
to tradeflow_author;
grant execute on function tradeflow.explain(text, text), tradeflow.explain(text, bigint), tradeflow.explain(text, jsonb) to tradeflow_operator;

-- Projects: what apply keeps, decision tables, pools.
grant select, insert, update, delete on tradeflow.projects, tradeflow.project_objects, tradeflow.pools, tradeflow.pool_members,
  tradeflow.assignments to tradeflow_author;
grant execute on function
  tradeflow._statements(text), tradeflow.pick(text, text, text[]), tradeflow.release(text, text)
to tradeflow_author;
-- Criteria of decision tables, in anybody's statement.
grant execute on function
  tradeflow.matches(anycompatible, anycompatible), tradeflow.matches(anycompatiblearray, anycompatible),
  tradeflow.matches(anycompatiblerange, anycompatible)
to public;

-- Sidecars: the executor API, and what rendering and delivering needs to read.
grant select on tradeflow.targets, tradeflow.templates, tradeflow.settings, tradeflow.action_kinds, tradeflow.actions,
  tradeflow.rules, tradeflow.watched_tables, tradeflow.incidents, tradeflow.queue_health, tradeflow.outbox, tradeflow.outbox_history,
  tradeflow.clock, tradeflow.sidecars, tradeflow.target_health to tradeflow_executor;
grant execute on function
  tradeflow.claim(text, int, interval, text[], jsonb), tradeflow.next_due(text[]), tradeflow.started(bigint, int), tradeflow.complete(bigint[], int[], jsonb[]),
  tradeflow.fail(bigint, int, text, text, interval, boolean), tradeflow.extend(bigint[], int[], interval), tradeflow.tick(), tradeflow.tick_outbox(), tradeflow.tick_rules(), tradeflow.setting(text),
  tradeflow.present(text, text[], text, int), tradeflow.absent(text), tradeflow.health(interval)
to tradeflow_executor;

-- Operators: targets, incidents, what becomes of actions, the clock.
grant select on all tables in schema tradeflow to tradeflow_operator;
grant insert, update, delete on tradeflow.targets, tradeflow.settings, tradeflow.clock, tradeflow.action_kinds to tradeflow_operator;
grant update (paused_at, paused_reason) on tradeflow.rules to tradeflow_operator;
-- The rule is looked up as it is written.
grant execute on function tradeflow.pause(text, text), tradeflow.resume(text), tradeflow._as_written(text), tradeflow._refuse_value(text, text) to tradeflow_operator;
grant execute on function tradeflow._check_schema(jsonb, text) to tradeflow_operator;
grant execute on function
  tradeflow.hold(bigint[], text), tradeflow.health(interval),
  tradeflow.cancel(bigint[], text), tradeflow.cancel(bigint, text), tradeflow.retry(bigint[]), tradeflow.retry(bigint),
  tradeflow.release_held(text, bigint[]), tradeflow.discard_held(text, bigint[]), tradeflow.ack(bigint),
  tradeflow.set_clock(timestamptz), tradeflow.setting(text), tradeflow.tick(),
  tradeflow.pause_target(text, text), tradeflow.resume_target(text), tradeflow._require_target(text), tradeflow._try_again(text), tradeflow.pause_kind(text, text), tradeflow.resume_kind(text),
  tradeflow.release(text, text)
to tradeflow_operator;

-- Whoever may read the outbox may ask about it.
grant execute on function tradeflow.inspect(bigint), tradeflow.waits_for(bigint), tradeflow._kinds_executed() to tradeflow_author, tradeflow_operator;
