-- $1 name, $2 schema, $3 the program's version
insert into tradeflow.projects (name, schema, applied_with) values ($1, $2::text::name, $3)
on conflict (name) do update
set schema = excluded.schema, applied_at = now(), applied_by = session_user, applied_with = excluded.applied_with
