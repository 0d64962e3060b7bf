-- 55_explain: why a rule did or did not fire for a row.

create function tradeflow._condition_parts(condition text) returns text[]
language c immutable strict as 'MODULE_PATHNAME', 'tradeflow_condition_parts';
comment on function tradeflow._condition_parts(text) is 'Internal. What AND joins at the top of a condition, as written.';

create function tradeflow._ask_parts(definition text, source regclass, parts text[], old jsonb, new jsonb, at timestamptz default null) returns text
language c as 'MODULE_PATHNAME', 'tradeflow_ask_parts';
comment on function tradeflow._ask_parts(text, regclass, text[], jsonb, jsonb, timestamptz) is
  'Internal. Evaluates parts of a condition over a row given as JSON, as the definition''s owner, at this time (NULL: now): a JSON array of {part, value, reads_old, error}.';

create function tradeflow._read_as(query text, search_path text, owner regrole) returns text
language c strict as 'MODULE_PATHNAME', 'tradeflow_read_as';
comment on function tradeflow._read_as(text, text, regrole) is
  'Internal. The first column of the first row of a SELECT, run as this role, read-only.';


-- What the library compiles a definition from.
create function tradeflow._definition(r tradeflow.rules) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'name', r.name, 'events', r.events, 'condition', r.condition, 'fires', r.fires, 'still', r.still, 'columns', r.columns,
    'query', r.query, 'fire_at', r.fire_at, 'max_firings', r.max_firings, 'search_path', r.search_path,
    'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
    'delayed', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'enter' and a.delay <> '0'),
    'leaves', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'leave'))::text
$$;
comment on function tradeflow._definition(tradeflow.rules) is 'Internal. A rule as the library takes it: JSON.';


-- The user who called, also where a function runs as its owner in between.
create function tradeflow._caller() returns name
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select coalesce(nullif(current_setting('role'), 'none'), session_user)::name $$;
comment on function tradeflow._caller() is 'Internal. The role that the session acts as.';


-- Who may have a rule explained: who may write it, who may read what it is about, and operators.
create function tradeflow._require_reader(r tradeflow.rules) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  caller name := tradeflow._caller();
begin
  if not pg_has_role(caller, 'tradeflow_operator', 'member')
     and not exists (select from pg_roles where rolname = r.owner and pg_has_role(caller, rolname, 'member'))
     and not coalesce(has_table_privilege(caller, to_regclass(coalesce(r.source, r.view)), 'select'), false) then
    raise exception 'permission denied to explain rule "%"', r.name
      using errcode = 'insufficient_privilege',
            hint = format('An explanation shows values of %s: it takes SELECT there, membership in role %I, or tradeflow_operator.',
                          coalesce(r.source, r.view, 'the rows its query reads'), r.owner);
  end if;
end
$$;
comment on function tradeflow._require_reader(tradeflow.rules) is 'Internal. Errors: 42501 unless the caller may see what the rule sees.';


-- A key as its columns: from JSON, from the text of one column, from the text array of several.
create function tradeflow._key_of(source text, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = source);
  found    jsonb;
begin
  if key ~ '^\s*\{\s*"' then
    begin
      found := key::jsonb;
      if jsonb_typeof(found) = 'object' and found ?& columns then
        return found;
      end if;
    exception when invalid_text_representation then
      null;  -- a text array
    end;
  end if;
  if cardinality(columns) = 1 then
    return jsonb_build_object(columns[1], key);
  elsif key ~ '^\{.*\}$' and cardinality(key::text[]) = cardinality(columns) then
    return jsonb_object(columns, key::text[]);
  end if;
  raise exception 'the key of % is (%), which "%" is not', source, array_to_string(columns, ', '), key
    using errcode = 'invalid_parameter_value',
          hint = format('as JSON: %s', (select jsonb_object_agg(c, '…') from unnest(columns) c));
end
$$;
comment on function tradeflow._key_of(text, text) is 'Internal. A key as JSON. Errors: 22023.';


-- The firings about these subjects, newest first, with what became of each action.
create function tradeflow._firings_of(the_rule text, subjects text[]) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with acts as (
    select o.firing_id, o.rule_version, o.event, o.edge, o.subject, o.occurrence, o.created_at, o.id, o.step, o.action, o.kind, o.target, o.state,
           o.reason, o.error, o.attempt, o.run_at, null::timestamptz as finished_at
    from tradeflow.outbox o where o.rule = the_rule and o.subject = any (subjects)
    union all
    select h.firing_id, h.rule_version, h.event, h.edge, h.subject, h.occurrence, h.created_at, h.id, h.step, h.action, h.kind, h.target, h.state,
           h.reason, h.error, h.attempt, h.run_at, h.finished_at
    from tradeflow.outbox_history h where h.rule = the_rule and h.subject = any (subjects)
  ), fired as (
    select a.firing_id,
           jsonb_build_object(
             'firing_id', a.firing_id, 'fired_at', min(a.created_at), 'event', min(a.event), 'edge', min(a.edge),
             'subject', min(a.subject), 'occurrence', min(a.occurrence), 'rule_version', min(a.rule_version),
             'actions', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'id', a.id, 'step', a.step, 'action', a.action, 'kind', a.kind, 'target', a.target, 'state', a.state, 'reason', a.reason,
               'error', a.error, 'attempt', a.attempt, 'run_at', a.run_at, 'finished_at', a.finished_at)) order by a.step, a.id)) as firing
    from acts a group by a.firing_id order by a.firing_id desc limit 20
  )
  select coalesce(jsonb_agg(f.firing order by f.firing_id desc), '[]') from fired f
$$;
comment on function tradeflow._firings_of(text, text[]) is 'Internal. The last 20 firings about these subjects, as JSON.';


-- The part that answers for the whole: the first that is not true. NULL: all are, or it is not known.
create function tradeflow._first_no(parts jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select p.value ->> 'part' from jsonb_array_elements(parts) with ordinality p(value, n)
  where p.value -> 'value' is distinct from 'true'::jsonb
  order by p.n limit 1
$$;
comment on function tradeflow._first_no(jsonb) is 'Internal. The first part of a condition that is not true.';


-- A row rule about one row: the parts over the row as it is, and over its last logged change.
create function tradeflow._explain_row(r tradeflow.rules, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner        regrole := to_regrole(quote_ident(r.owner));
  the_key      jsonb := tradeflow._key_of(r.source, key);
  key_columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = r.source);
  where_key    text := (select string_agg(format('new.%I = %L', k, the_key ->> k), ' and ') from unnest(key_columns) k);
  parts        text[] := tradeflow._condition_parts(r.condition);
  found        jsonb;
  the_subject  text;
  last         tradeflow.change_log;
  now_parts    jsonb;
  last_parts   jsonb;
  answers      jsonb;
  subjects     text[];
  -- Who owns the rule may be allowed some of the columns only.
  whole        boolean := has_table_privilege(owner, to_regclass(r.source), 'select');
begin
  found := tradeflow._read_as(format('select to_jsonb(new) from %s as new where %s', r.source, where_key), r.search_path, owner)::jsonb;
  the_subject := case when cardinality(key_columns) > 1 then (select array_agg(coalesce(found, the_key) ->> k order by i)::text from unnest(key_columns) with ordinality u(k, i))
                  else coalesce(found, the_key) ->> key_columns[1] end;
  if found is not null and parts is not null then
    now_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, null, found, tradeflow.now());
    -- What reads old is about a change, not about the row: nothing can be said about it now.
    now_parts := (select jsonb_agg(case when p.value @> '{"reads_old": true}' then p.value || '{"value": null}' else p.value end order by p.n)
                  from jsonb_array_elements(now_parts) with ordinality p(value, n));
  end if;
  select * into last from tradeflow.change_log l where l.source = r.source and l.subject = the_subject
  order by l.changed_at desc, l.id desc limit 1;
  if last.id is not null and parts is not null then
    last_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, last.old, last.new, coalesce(last.clock, last.changed_at));
  end if;
  subjects := array[the_subject];
  if found is not null and r.query is not null then
    answers := tradeflow._read_as(format(
      E'select coalesce(jsonb_agg(to_jsonb(answer)), ''[]'') from %1$s as new cross join lateral (select (null::%1$s).*) as old cross join lateral (\n%2$s\n) as answer where %3$s',
      r.source, rtrim(r.query, E'; \n\t'), where_key), r.search_path, owner);
    subjects := subjects || array(select distinct a ->> 'subject' from jsonb_array_elements(answers) a where a ->> 'subject' is not null);
  end if;
  return jsonb_build_object(
    'subject', the_subject,
    'row', found,
    'parts', now_parts,
    'first_no', tradeflow._first_no((select jsonb_agg(p) from jsonb_array_elements(now_parts) p where not p @> '{"reads_old": true}')),
    'last_change', case when last.id is not null then jsonb_build_object(
        'changed_at', last.changed_at, 'event', last.event, 'silent', last.silent,
        'old', case when whole then last.old end, 'new', case when whole then last.new end,
        'parts', last_parts, 'first_no', tradeflow._first_no(last_parts)) end,
    'query_rows', answers,
    'firings', tradeflow._firings_of(r.name, subjects));
end
$$;
comment on function tradeflow._explain_row(tradeflow.rules, text) is 'Internal. What explain() says about a row rule.';


-- A view rule about one subject: what the view says now, and what was answered last.
create function tradeflow._explain_subject(r tradeflow.rules, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rows  jsonb;
begin
  rows := tradeflow._read_as(format('select coalesce(jsonb_agg(to_jsonb(v)), ''[]'') from %s as v where v.subject = %L', r.view, key),
                             r.search_path, to_regrole(quote_ident(r.owner)));
  return jsonb_build_object(
    'subject', key,
    'in_view', rows <> '[]',
    'view_rows', rows,
    'members', (select coalesce(jsonb_agg(to_jsonb(m) - '{rule}'::text[] order by m.occurrence), '[]')
                from tradeflow.members m where m.rule = r.name and m.subject = key),
    'inputs', (select coalesce(jsonb_object_agg(i.source, i.subject), '{}') from tradeflow.rule_inputs i where i.rule = r.name),
    'firings', tradeflow._firings_of(r.name, array[key]));
end
$$;
comment on function tradeflow._explain_subject(tradeflow.rules, text) is 'Internal. What explain() says about a view rule.';


create function tradeflow.explain(rule text, key text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  r      tradeflow.rules;
  said   jsonb;
  last   jsonb;
  fired  text;
begin
  select * into r from tradeflow.rules x where x.name = explain.rule;
  if not found then
    raise exception 'rule "%" does not exist', explain.rule using errcode = 'undefined_object';
  end if;
  perform tradeflow._require_reader(r);
  said := case when r.source is not null then tradeflow._explain_row(r, key)
               when r.view is not null then tradeflow._explain_subject(r, key)
               else jsonb_build_object('subject', key, 'firings', tradeflow._firings_of(r.name, array[key])) end;
  last := nullif(said -> 'last_change', 'null');
  fired := said #>> '{firings,0,fired_at}';

  said := said || jsonb_build_object('verdict', case
    when fired is not null then format('It fired %s time(s), last at %s.', jsonb_array_length(said -> 'firings'), fired)
    when r.mode = 'off' then 'The rule is off.'
    when r.invalid is not null then 'The rule is not asked: ' || r.invalid
    when r.paused_at is not null then 'The rule is paused: ' || coalesce(r.paused_reason, 'it failed too often')
    when r.schedule is not null then 'Its query has not returned this subject yet.'
    when r.view is not null and (said ->> 'in_view')::boolean and said -> 'members' = '[]' then 'It is in the view, and the rule was not asked about it yet: does rule_inputs name every table the view reads?'
    when r.view is not null and (said ->> 'in_view')::boolean then format('It is in the view, and a member without a firing: it was there when the rule was written, or its time has not come. tradeflow.backfill(%L) fires for such.', r.name)
    when r.view is not null then 'It is not in the view.'
    when said ->> 'row' is null and last is null then 'There is no such row.'
    when said ->> 'first_no' is not null then format('It does not hold for the row: %s is not true.', said ->> 'first_no')
    when last ->> 'first_no' is not null then format('The last change did not fulfil it: %s was not true.', last ->> 'first_no')
    when last @> '{"silent": true}' then 'The last change was made in silent mode.'
    when said ->> 'row' is null then 'There is no such row any more.'
    when said -> 'query_rows' = '[]' then 'Its condition holds, and its query returns no row.'
    when exists (select from jsonb_array_elements(said -> 'parts') p where p @> '{"reads_old": true}')
      then 'What it asks about the row holds. The rest is about a change: watch the table with log => true to have the last one explained.'
    else format('It holds, and no change since the rule was written made it so: a rule fires when the answer becomes yes. tradeflow.backfill(%L) fires for rows that were there before.', r.name)
  end);
  return jsonb_build_object(
    'rule', r.name, 'version', r.version, 'mode', r.mode, 'condition', r.condition, 'fires', r.fires, 'events', r.events)
    || jsonb_strip_nulls(jsonb_build_object('invalid', r.invalid, 'paused_at', r.paused_at, 'paused_reason', r.paused_reason, 'columns', r.columns,
                                            'view', r.view, 'schedule', r.schedule))
    || said
    || jsonb_build_object('incidents', (
         select coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'kind', i.kind, 'message', i.message, 'count', i.count, 'last_seen_at', i.last_seen_at) order by i.id desc), '[]')
         from (select * from tradeflow.incidents x
               where x.rule = r.name and x.acked_at is null and (x.subject is null or x.subject = said ->> 'subject')
               order by x.id desc limit 5) i));
end
$$;
comment on function tradeflow.explain(text, text) is
  'Why a rule did or did not fire for a row: each part of its condition with its value for the row as it is and for its last logged change, the first part that said no, the firings with what became of each action, open incidents; for a view rule the subject''s membership. key: the row''s key as text, several columns as text array or JSON object. Errors: 42704 no such rule, 22023 no such key, 42501.';

create function tradeflow.explain(rule text, key bigint) returns jsonb
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.explain(rule, key::text) $$;
comment on function tradeflow.explain(text, bigint) is 'As explain(text, text).';

create function tradeflow.explain(rule text, key jsonb) returns jsonb
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.explain(rule, key #>> '{}') $$;
comment on function tradeflow.explain(text, jsonb) is 'As explain(text, text), with the key as {"column": value, …}.';
