-- 61_projects: what the files of a project have made here. `tradeflow plan` and `tradeflow apply` compare three things: the
-- files, the database as it is, and this record of the last apply; what the last two disagree about is drift.

-- The statements of a project's file, told by Postgres' own parser: no other knows this server's grammar exactly.
create function tradeflow._statements(source text) returns text
language c immutable strict as 'MODULE_PATHNAME', 'tradeflow_statements';
comment on function tradeflow._statements(text) is
  'Internal. What the statements of a text are, as JSON: {"statements": [{"tag", "at", "end", …}]} with offsets in bytes, or {"error": {"message", "hint", "sqlstate", "position"}} where it does not parse. Nothing is run.';


create table tradeflow.projects (
  name          text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  schema        name not null,
  applied_at    timestamptz not null default now(),
  applied_by    name not null default session_user,
  applied_with  text not null
);
select pg_catalog.pg_extension_config_dump('tradeflow.projects', '');
comment on table tradeflow.projects is 'A row is a project: files that define rules, written here by tradeflow apply.';
comment on column tradeflow.projects.name is 'What rules.project says.';
comment on column tradeflow.projects.schema is 'Where its views, functions and decision tables are.';
comment on column tradeflow.projects.applied_at is 'When it was applied last.';
comment on column tradeflow.projects.applied_by is 'Who did.';
comment on column tradeflow.projects.applied_with is 'The version of the program that did.';

create table tradeflow.project_objects (
  project     text not null references tradeflow.projects (name) on update cascade on delete cascade,
  kind        text not null,
  name        text not null,
  file        text not null,
  definition  jsonb not null,
  applied_at  timestamptz not null default now(),
  applied_by  name not null default session_user,
  primary key (kind, name)
);
create index project_objects_project on tradeflow.project_objects (project);
select pg_catalog.pg_extension_config_dump('tradeflow.project_objects', '');
comment on table tradeflow.project_objects is 'What a project''s files define, as the last apply left it. A difference to what is there now was made in the database; what is here and in no file any more is removed by apply --prune. One project at most defines an object.';
comment on column tradeflow.project_objects.project is 'The project.';
comment on column tradeflow.project_objects.kind is 'rule, input, action, template, setting, target, pool, pool member, row (of a decision table), view, function, table.';
comment on column tradeflow.project_objects.name is 'Which of its kind.';
comment on column tradeflow.project_objects.file is 'The file that defines it, within the project.';
comment on column tradeflow.project_objects.definition is 'What it was after the last apply that changed it.';
comment on column tradeflow.project_objects.applied_at is 'When that was.';
comment on column tradeflow.project_objects.applied_by is 'Who did it.';
