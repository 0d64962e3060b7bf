-- 56_simulate: what a statement would fire.

-- What this transaction has put into the outbox and among the incidents since then. Only rows of transactions still
-- under way can be its own, whatever others commit meanwhile.
create function tradeflow._simulated(firing bigint, incident bigint) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with own as materialized (select (pg_current_xact_id()::text::numeric::bigint >> 32) << 32 as epoch)
  select jsonb_build_object(
    'firings', (
      select coalesce(jsonb_agg(jsonb_build_object(
          'rule', f.rule, 'source', f.source, 'event', f.event, 'edge', f.edge, 'subject', f.subject, 'occurrence', f.occurrence,
          'state', f.state, 'run_at', f.run_at, 'facts', f.facts,
          'actions', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                          'step', a.step, 'name', a.name, 'kind', a.kind, 'target', a.target, 'params', a.params,
                          'delay', nullif(a.delay, '0'))) order by a.step), '[]')
                      from tradeflow.actions a where a.rule = f.rule and a.edge = f.edge)) order by f.firing_id), '[]')
      from own, tradeflow.outbox f
      where f.firing_id > firing and pg_xact_status((own.epoch + f.xmin::text::bigint)::text::xid8) = 'in progress'),
    'incidents', (
      select coalesce(jsonb_agg(i.message order by i.id), '[]')
      from own, tradeflow.incidents i
      where i.id > incident and pg_xact_status((own.epoch + i.xmin::text::bigint)::text::xid8) = 'in progress'))
$$;
comment on function tradeflow._simulated(bigint, bigint) is 'Internal. What the current transaction has fired since these numbers, as JSON.';

create function tradeflow._before_simulation(out firing bigint, out incident bigint)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select (select case when is_called then last_value else 0 end from tradeflow.firing_id),
         (select case when is_called then last_value else 0 end from tradeflow.incidents_id_seq)
$$;
comment on function tradeflow._before_simulation() is 'Internal. The last numbers given so far.';

-- Without a search_path of its own: the statement means what it means to the caller.
create function tradeflow.simulate(sql text)
returns table (rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at timestamptz, facts jsonb, actions jsonb)
language plpgsql
as $$
declare
  before   record;
  result   jsonb;  -- variables outlive the rollback
  message  text;
begin
  select * into before from tradeflow._before_simulation();
  begin
    execute simulate.sql;
    -- What is asked at the end of the transaction is asked now.
    set constraints all immediate;
    result := tradeflow._simulated(before.firing, before.incident);
    raise sqlstate 'TF002' using message = 'a simulation ends';
  exception when sqlstate 'TF002' then
    if result is null then
      raise;
    end if;
  end;
  for message in select pg_catalog.jsonb_array_elements_text(result operator(pg_catalog.->) 'incidents') loop
    raise warning '%', message using detail = 'It would be an incident.';
  end loop;
  return query
    select * from pg_catalog.jsonb_to_recordset(result operator(pg_catalog.->) 'firings') f(
      rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at pg_catalog.timestamptz, facts jsonb, actions jsonb);
end
$$;
comment on function tradeflow.simulate(text) is
  'Runs a statement as the caller, returns the firings it would cause with their actions, and rolls everything back: nothing is kept, nothing is sent. What rules fail with comes as warnings. Sequences do advance. Errors: those of the statement.';
