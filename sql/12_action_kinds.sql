-- 12_action_kinds: what a sidecar can execute, and the parameters of each kind as a JSON Schema. The kinds themselves are
-- in *_kinds_*.sql, one file a system.

create table tradeflow.action_kinds (
  name         text primary key,
  system       text,
  delivery     text,
  repeatable   boolean not null,
  params       jsonb not null default '{"type": "object"}',
  description  text not null,
  builtin      boolean not null default false,
  paused_at    timestamptz,
  paused_reason text
);
select pg_catalog.pg_extension_config_dump('tradeflow.action_kinds', 'where not builtin or paused_at is not null');
comment on table tradeflow.action_kinds is 'The kinds of action that a sidecar can execute. Own kinds of an own client are added here.';
comment on column tradeflow.action_kinds.name is 'What actions.kind says.';
comment on column tradeflow.action_kinds.system is 'The system its target must be of. none: it has no target. NULL: it may have one, of any system.';
comment on column tradeflow.action_kinds.delivery is
  'How a repeated execution is kept from harming: claim_once, idempotency_key, upsert_by_key, absolute_set, look_up_first, deterministic_id, in_database. docs/actions/README.md says what each means.';
comment on column tradeflow.action_kinds.repeatable is 'Whether an execution whose outcome is unknown may be repeated. If not, it becomes uncertain and waits for a person.';
comment on column tradeflow.action_kinds.params is
  'JSON Schema of actions.params, checked when an action is written. Understood: type, properties, required, additionalProperties, items, enum, anyOf, pattern, minimum, maximum, minItems, maxItems, minProperties; description and examples are quoted in errors. A string with a template in it passes, since what it will be is known later; "literal": true forbids templates.';
comment on column tradeflow.action_kinds.description is 'What executing it does.';
comment on column tradeflow.action_kinds.builtin is 'Comes with the extension; dumped only while it is paused.';
comment on column tradeflow.action_kinds.paused_at is 'Since when no action of the kind is executed; see tradeflow.pause_kind(). NULL: it is not paused.';
comment on column tradeflow.action_kinds.paused_reason is 'Why it was paused.';


-- The first keyword of a schema that _check_value would not obey: a check that is silently left out is worse than none.
create function tradeflow._check_schema(schema jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  part     record;
  problem  text;
begin
  if jsonb_typeof(schema) = 'boolean' then
    return null;
  elsif jsonb_typeof(schema) is distinct from 'object' then
    return format('%s: a schema is an object, not %s', path, coalesce(schema::text, 'NULL'));
  end if;
  for part in select e.key, e.value, jsonb_typeof(e.value) as type from jsonb_each(schema) e loop
    problem := case
      when part.key in ('title', 'description', 'examples', 'default', '$schema', '$comment', 'enum', 'const') then null
      when part.key in ('type') then
        (select format('%s.type: there is no type %s', path, t) from jsonb_array_elements(case part.type when 'array' then part.value else jsonb_build_array(part.value) end) t
         where not '["object", "array", "string", "number", "integer", "boolean", "null"]' @> t limit 1)
      when part.key in ('minimum', 'maximum', 'minItems', 'maxItems', 'minProperties') and part.type = 'number' then null
      when part.key = 'pattern' and part.type = 'string' then null
      when part.key = 'literal' and part.type = 'boolean' then null
      when part.key = 'required' and part.type = 'array' then null
      when part.key in ('items', 'additionalProperties') then tradeflow._check_schema(part.value, format('%s.%s', path, part.key))
      when part.key = 'properties' and part.type = 'object' then
        (select p from jsonb_each(part.value) e, tradeflow._check_schema(e.value, format('%s.properties.%s', path, e.key)) p where p is not null limit 1)
      when part.key = 'anyOf' and part.type = 'array' then
        (select p from jsonb_array_elements(part.value) with ordinality e(value, n), tradeflow._check_schema(e.value, format('%s.anyOf[%s]', path, n - 1)) p
         where p is not null limit 1)
      else format('%s: %s is not understood here', path, part.key)
    end;
    if problem is not null then
      return problem;
    end if;
  end loop;
  return null;
end
$$;
comment on function tradeflow._check_schema(jsonb, text) is 'Internal. NULL when _check_value understands every keyword of this schema, else where and which it does not.';


-- What is wrong with a value, in the words of its author; NULL when nothing is.
create function tradeflow._check_value(given jsonb, schema jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  its_type text := jsonb_typeof(given);
  its_text text := given #>> '{}';
  allowed  text := coalesce(' (' || (schema ->> 'description') || ')', '');
  shown    text := left(given::text, 80) || case when length(given::text) > 80 then '…' else '' end;
  names    text[];
  part     record;
  problem  text;
begin
  if schema = 'true' or schema is null then
    return null;
  elsif schema = 'false' then
    return format('%s: nothing is allowed here', path);
  elsif its_type = 'string' and its_text ~ '\{[{%]' then
    -- What a template makes is known when it is rendered, and then the sidecar checks it.
    return case when schema ->> 'literal' = 'true' then format('%s: no template is possible here%s', path, allowed) end;
  end if;

  if schema ? 'type' then
    names := array(select jsonb_array_elements_text(case jsonb_typeof(schema -> 'type') when 'array' then schema -> 'type' else jsonb_build_array(schema -> 'type') end));
    if not (its_type = any (names) or its_type = 'number' and 'integer' = any (names) and its_text::numeric = trunc(its_text::numeric)) then
      return format('%s: %s, not %s%s', path,
        (select string_agg(case n when 'array' then 'a list' when 'object' then 'an object' when 'integer' then 'a whole number' when 'number' then 'a number'
                                  when 'string' then 'text' when 'boolean' then 'true or false' else n end, ' or ' order by o)
         from unnest(names) with ordinality u(n, o)), shown, allowed);
    end if;
  end if;
  if schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') e where e.value = given) then
    return format('%s: %s is none of %s%s', path, shown, (select string_agg(e.value::text, ', ') from jsonb_array_elements(schema -> 'enum') e), allowed);
  elsif schema ? 'const' and schema -> 'const' <> given then
    return format('%s: %s, not %s%s', path, schema -> 'const', shown, allowed);
  end if;

  if its_type = 'string' and schema ? 'pattern' and its_text !~ (schema ->> 'pattern') then
    return format('%s: %s does not look as it must%s', path, shown, coalesce(nullif(allowed, ''), ' (pattern ' || (schema ->> 'pattern') || ')'));
  elsif its_type = 'number' and (its_text::numeric < (schema ->> 'minimum')::numeric or its_text::numeric > (schema ->> 'maximum')::numeric) then
    return format('%s: %s is not %s%s', path, shown,
      concat_ws(' and ', 'at least ' || (schema ->> 'minimum'), 'at most ' || (schema ->> 'maximum')), allowed);
  elsif its_type = 'array' then
    if jsonb_array_length(given) < (schema ->> 'minItems')::int or jsonb_array_length(given) > (schema ->> 'maxItems')::int then
      return format('%s: %s items are not %s%s', path, jsonb_array_length(given),
        concat_ws(' and ', 'at least ' || (schema ->> 'minItems'), 'at most ' || (schema ->> 'maxItems')), allowed);
    end if;
    for part in select format('%s[%s]', path, e.n - 1) as path, e.value from jsonb_array_elements(given) with ordinality e(value, n) loop
      problem := tradeflow._check_value(part.value, schema -> 'items', part.path);
      exit when problem is not null;
    end loop;
  elsif its_type = 'object' then
    select format('%s: "%s" is missing%s', path, r, allowed) into problem
    from jsonb_array_elements_text(schema -> 'required') r where not given ? r limit 1;
    if problem is null and (select count(*) from jsonb_object_keys(given)) < (schema ->> 'minProperties')::int then
      problem := format('%s: at least %s names are needed%s', path, schema ->> 'minProperties', allowed);
    end if;
    for part in
      select e.key, e.value, schema -> 'properties' -> e.key as schema from jsonb_each(given) e
    loop
      exit when problem is not null;
      if part.schema is null and schema -> 'additionalProperties' = 'false' then
        problem := format('%s: there is no "%s"; there is %s', path, part.key,
          coalesce((select string_agg(k, ', ' order by k) from jsonb_object_keys(schema -> 'properties') k), 'nothing to name'));
      else
        problem := tradeflow._check_value(part.value, coalesce(part.schema, schema -> 'additionalProperties'), format('%s.%s', path, part.key));
      end if;
    end loop;
  end if;
  if problem is null and schema ? 'anyOf' then
    if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where tradeflow._check_value(given, a.value, path) is null) then
      if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where a.value - 'required' <> '{}') then
        problem := format('%s: %s is missing', path,
          (select string_agg((select string_agg(format('"%s"', r), ' and ') from jsonb_array_elements_text(a.value -> 'required') r), ' or ')
           from jsonb_array_elements(schema -> 'anyOf') a));
      else
        problem := (select string_agg(distinct tradeflow._check_value(given, a.value, path), '; or ') from jsonb_array_elements(schema -> 'anyOf') a);
      end if;
    end if;
  end if;
  return problem;
end
$$;
comment on function tradeflow._check_value(jsonb, jsonb, text) is 'Internal. NULL when a value is what a JSON Schema says, else where it is not, what is allowed, and what stands there.';


create function tradeflow._action_kinds_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text := tradeflow._check_schema(new.params, 'params');
begin
  if problem is not null then
    raise exception 'kind "%": %', new.name, problem
      using errcode = 'invalid_parameter_value', hint = 'params is the JSON Schema of the kind''s parameters: {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}';
  end if;
  return new;
end
$$;
comment on function tradeflow._action_kinds_before_write() is 'Internal. Refuses a schema that would not be obeyed. Errors: 22023.';
create trigger action_kinds_check before insert or update on tradeflow.action_kinds
  for each row execute function tradeflow._action_kinds_before_write();
