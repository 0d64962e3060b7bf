-- 27_dependencies: which rules read which tables, columns and functions.

-- Noted when a rule is written: when something it needs has been dropped, it is too late to ask.
create table tradeflow.rule_dependencies (
  rule         text not null references tradeflow.rules (name) on update cascade on delete cascade,
  part         text not null,
  table_name   text,
  column_name  text,
  function     text,
  check (num_nonnulls(table_name, function) = 1)
);
create index rule_dependencies_rule on tradeflow.rule_dependencies (rule);
create index rule_dependencies_table on tradeflow.rule_dependencies (table_name);
select pg_catalog.pg_extension_config_dump('tradeflow.rule_dependencies', '');
comment on table tradeflow.rule_dependencies is 'What each rule reads, noted when it is written; read it through the view dependencies.';
comment on column tradeflow.rule_dependencies.rule is 'The rule.';
comment on column tradeflow.rule_dependencies.part is 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';
comment on column tradeflow.rule_dependencies.table_name is 'A table or view that is read: schema and name.';
comment on column tradeflow.rule_dependencies.column_name is 'The column of it; NULL: the row as a whole.';
comment on column tradeflow.rule_dependencies.function is 'A function that is called, with its argument types; Postgres'' own ones are left out.';

create function tradeflow._reads(query text, search_path text, owner regrole) returns text
language c strict as 'MODULE_PATHNAME', 'tradeflow_reads';
comment on function tradeflow._reads(text, text, regrole) is
  'Internal. What a SELECT reads: a JSON text with columns [[table''s oid, attribute number; 0 the row, -1 nothing of it]] and functions [oid]. Parsed as this role, not run.';


create function tradeflow._note_dependencies(the_rule text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  r      tradeflow.rules;
  part   record;
  reads  jsonb;
begin
  delete from tradeflow.rule_dependencies d where d.rule = the_rule;
  select * into r from tradeflow.rules x where x.name = the_rule;
  if not found or to_regrole(quote_ident(r.owner)) is null then
    return;
  end if;
  insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
  select r.name, 'source', r.source, null where r.source is not null
  union all
  select r.name, 'key', w.name, k from tradeflow.watched_tables w, unnest(w.key) k where w.name = r.source
  union all
  select r.name, 'columns', r.source, c from unnest(r.columns) c;

  -- Each part as a statement of its own; a question about changes is one over two rows of the table.
  for part in
    select p.name, p.query
    from (values
      ('condition', format(E'select (\n%s\n) from %s as new, %s as old', r.condition, r.source, r.source)),
      ('fire_at', format(E'select (\n%s\n) from %s as new, %s as old', r.fire_at, r.source, r.source)),
      ('still', format(E'select (\n%s\n) from %s as new', r.still, r.source)),
      ('query', case when r.source is null then r.query
                else format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', r.source, r.source,
                            rtrim(rtrim(r.query, E' \n\t'), ';')) end),
      ('view', format('select * from %s', r.view))) p(name, query)
    where case p.name when 'condition' then r.condition when 'fire_at' then r.fire_at when 'still' then r.still
                      when 'query' then r.query else r.view end is not null
    union all
    select 'input', case when i.subject ~* '^\s*(select|with)\M'
                         then format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', i.source, i.source, rtrim(i.subject, E'; \n\t'))
                         else format(E'select (\n%s\n) from %s as new', i.subject, i.source) end
    from tradeflow.rule_inputs i where i.rule = r.name
  loop
    begin
      reads := tradeflow._reads(part.query, r.search_path, to_regrole(quote_ident(r.owner)))::jsonb;
    exception when others then
      continue;  -- the rule waits for something that is missing, and is noted again when that has come
    end;
    insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
    select distinct r.name, part.name, tradeflow._qualified_name(c.oid), a.attname::text
    from jsonb_array_elements(reads -> 'columns') x
    join pg_class c on c.oid = (x ->> 0)::oid
    join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = (x ->> 1)::int and a.attnum > 0
    -- A table of which no column is read (count(*), exists, an old that is not mentioned) is named if nothing else names it.
    where (x ->> 1)::int >= 0
       or not exists (select from jsonb_array_elements(reads -> 'columns') y where y ->> 0 = x ->> 0 and (y ->> 1)::int >= 0);
    insert into tradeflow.rule_dependencies (rule, part, function)
    select distinct r.name, part.name, f::text::oid::regprocedure::text
    from jsonb_array_elements(reads -> 'functions') f;
  end loop;
end
$$;
comment on function tradeflow._note_dependencies(text) is 'Internal. Notes anew what a rule reads.';


create function tradeflow._dependencies_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name = 'rules' then
    perform tradeflow._note_dependencies(new.name);
  else
    perform tradeflow._note_dependencies(coalesce(new.rule, old.rule));
  end if;
  return null;
end
$$;
comment on function tradeflow._dependencies_after_write() is 'Internal. Notes what the written rule reads.';
create trigger rules_d_dependencies after insert or update on tradeflow.rules
  for each row execute function tradeflow._dependencies_after_write();
create trigger rule_inputs_d_dependencies after insert or update or delete on tradeflow.rule_inputs
  for each row execute function tradeflow._dependencies_after_write();


create view tradeflow.dependencies as
select d.rule, d.part, d.table_name, d.column_name, d.function
from tradeflow.rule_dependencies d;
comment on view tradeflow.dependencies is 'Which rules read which tables, columns and functions; views are followed to their tables, functions are not looked into.';
comment on column tradeflow.dependencies.rule is 'The rule.';
comment on column tradeflow.dependencies.part is 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';
comment on column tradeflow.dependencies.table_name is 'A table or view that is read: schema and name.';
comment on column tradeflow.dependencies.column_name is 'The column of it; NULL: the row as a whole.';
comment on column tradeflow.dependencies.function is 'A function that is called, with its argument types; Postgres'' own ones are left out.';
