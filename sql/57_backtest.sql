-- 57_backtest: logged changes replayed through a rule, stored or not.

create function tradeflow._replay(
  definition text, source regclass, source_name text, since timestamptz, until timestamptz,
  out log_id bigint, out changed_at timestamptz, out event text, out edge text, out subject text, out occurrence text,
  out fire_at timestamptz, out facts jsonb, out error text
) returns setof record
language c as 'MODULE_PATHNAME', 'tradeflow_replay';
comment on function tradeflow._replay(text, regclass, text, timestamptz, timestamptz) is
  'Internal. Asks a definition about the logged changes of a table, as its owner, of whom the caller must be a member. Errors of the rule come as a row of their own.';


create function tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamptz, until timestamptz)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  r        tradeflow.rules;
  rel      regclass;
  unknown  text;
  logged   timestamptz;
begin
  select k into unknown from jsonb_object_keys(draft) k
  where not exists (select from pg_attribute a where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and a.attname = k)
  limit 1;
  if found then
    raise exception 'a rule has no "%"', unknown
      using errcode = 'undefined_column', hint = 'A draft has the columns of tradeflow.rules: {"source": "store.quotes", "condition": "…"}.';
  end if;
  r := jsonb_populate_record(stored, draft);
  if r.source is null or r.view is not null or r.schedule is not null then
    raise exception 'rule "%" is not about the changes of a table', coalesce(r.name, 'draft')
      using errcode = 'feature_not_supported', hint = 'A backtest replays the logged changes of one table: it needs a source.';
  end if;
  rel := to_regclass(r.source);
  if rel is null then
    raise exception 'table "%" does not exist', r.source using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  end if;
  r.source := tradeflow._qualified_name(rel);
  select w.logged_since into logged from tradeflow.watched_tables w where w.name = r.source;
  if logged is null then
    raise exception 'the changes of % are not logged', r.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L, log => true); and come back when there is something to replay.', r.source);
  end if;
  r.name := coalesce(r.name, 'draft');
  r.events := coalesce(r.events, '{insert,update}');
  r.fires := case when r.condition is null then 'always' else coalesce(r.fires, 'enter') end;
  r.max_firings := coalesce(r.max_firings, 1000);

  return query
  with answers as materialized (
    select * from tradeflow._replay(tradeflow._definition(r), rel, r.source, since, until)
  ), replayed as (
    select a.*, row_number() over (partition by a.changed_at, a.edge, a.subject, a.occurrence order by a.log_id) as n
    from (select x.*, row_number() over (partition by x.edge, x.subject, x.occurrence order by x.log_id) as nth from answers x where x.error is null) a
    -- The first answer ever: nothing before what is replayed.
    where r.fires <> 'once'
       or (a.nth = 1 and not exists (select from tradeflow.firings f where f.rule = r.name and f.subject = a.subject and f.occurrence = a.occurrence
                                     and f.edge = a.edge and f.created_at < greatest(since, logged)))
  ), fired as (
    select f.firing_id, f.created_at, f.event, f.edge, f.subject, f.occurrence, f.facts,
           row_number() over (partition by f.created_at, f.edge, f.subject, f.occurrence order by f.firing_id) as n
    from tradeflow.firings f
    where f.rule = r.name and f.event in ('insert', 'update', 'delete')
      and f.created_at >= greatest(since, logged) and f.created_at < coalesce(until, 'infinity')
  )
  select case when f.firing_id is null then 'added' when a.log_id is null then 'missing' else 'same' end,
         coalesce(a.changed_at, f.created_at), coalesce(a.event, f.event), coalesce(a.edge, f.edge), coalesce(a.subject, f.subject),
         coalesce(a.occurrence, f.occurrence), a.fire_at, coalesce(a.facts, f.facts), f.firing_id, null::text
  from replayed a
  full join fired f on (f.created_at, f.edge, f.subject, f.occurrence, f.n) = (a.changed_at, a.edge, a.subject, a.occurrence, a.n)
  union all
  select 'error', null, null, null, e.subject, null, null, null, null, e.error from answers e where e.error is not null
  order by 2, 5, 6;
end
$$;
comment on function tradeflow._backtest(jsonb, tradeflow.rules, timestamptz, timestamptz) is 'Internal. A backtest of a draft laid over a stored rule.';


create function tradeflow.backtest(rule text, since timestamptz default null, until timestamptz default null)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  stored tradeflow.rules;
begin
  select * into stored from tradeflow.rules r where r.name = backtest.rule;
  if not found then
    raise exception 'rule "%" does not exist', backtest.rule
      using errcode = 'undefined_object', hint = 'For a rule that is not stored: tradeflow.backtest(''{"source": "…", "condition": "…"}''::jsonb).';
  end if;
  perform tradeflow._require_member(stored.owner, stored.name);
  return query select * from tradeflow._backtest('{}', stored, since, until);
end
$$;
comment on function tradeflow.backtest(text, timestamptz, timestamptz) is
  'Replays the logged changes of a rule''s table (watched with log => true) through the rule as it is now, and compares with what it fired then. difference: same; added (fires in the replay only); missing (fired then, not in the replay); error. A query reads the other tables as they are now. Silent changes are left out. The caller must be a member of the rule''s owner. Errors: 42704 no such rule, 0A000 no row rule, 55000 not logged.';

-- Without a search_path of its own: a draft's names are looked up in the caller's, as if they wrote the rule.
create function tradeflow.backtest(draft jsonb, since timestamptz default null, until timestamptz default null)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language sql
as $$
  select b.*
  from (select 1) one
  left join tradeflow.rules s on s.name operator(pg_catalog.=) (draft operator(pg_catalog.->>) 'name')
  cross join lateral tradeflow._backtest(
    draft operator(pg_catalog.||) pg_catalog.jsonb_build_object(
      'owner', current_user,
      'source', coalesce(tradeflow._qualified_name(pg_catalog.to_regclass(draft operator(pg_catalog.->>) 'source')), draft operator(pg_catalog.->>) 'source', s.source),
      'search_path', coalesce(draft operator(pg_catalog.->>) 'search_path', s.search_path,
        (select pg_catalog.string_agg(pg_catalog.quote_ident(p), ', ' order by i)
         from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(p, i)), '')),
    s, since, until) b
$$;
comment on function tradeflow.backtest(jsonb, timestamptz, timestamptz) is
  'The same for a draft: {"source": "store.quotes", "condition": "…"}, with any column of tradeflow.rules. With the name of a stored rule it is laid over that one, and compared with what that one fired. Runs as the caller.';
