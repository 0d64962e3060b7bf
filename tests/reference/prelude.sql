-- What the pages share, for this session.
-- A comment as Markdown: what it says is text, not markup.
create function pg_temp.prose(given text) returns text
language sql
as $$ select coalesce(regexp_replace(replace(replace(given, '<', '&lt;'), E'\n', ' '), '([|*])', '\\\1', 'g'), '') $$;

-- Code within a cell of a table.
create function pg_temp.cell(given text) returns text
language sql
as $$ select replace(given, '|', '\|') $$;
