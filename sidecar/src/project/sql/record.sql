-- $1 project, $2 kind, $3 name, $4 file, $5 definition
insert into tradeflow.project_objects (project, kind, name, file, definition) values ($1, $2, $3, $4, $5)
on conflict (kind, name) do update
set project = excluded.project, file = excluded.file, definition = excluded.definition, applied_at = now(), applied_by = session_user
