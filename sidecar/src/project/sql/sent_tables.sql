create temporary table mails (
  rule text, subject_key text, occurrence text, step int, "from" text, "to" text, cc text, subject text, text text, html text, error text
) on commit drop;
create temporary table requests (
  rule text, subject_key text, occurrence text, step int, kind text, target text, request jsonb, error text
) on commit drop;
