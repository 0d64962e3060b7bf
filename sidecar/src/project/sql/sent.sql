-- $1 [one action that was rendered]
with sent as (
  select * from jsonb_to_recordset($1) s(rule text, subject text, occurrence text, step int, kind text, target text, request jsonb, error text)
), mail as (
  insert into pg_temp.mails (rule, subject_key, occurrence, step, "from", "to", cc, subject, text, html, error)
  select s.rule, s.subject, s.occurrence, s.step, s.request ->> 'from',
         (select string_agg(a, ', ') from jsonb_array_elements_text(nullif(s.request -> 'to', 'null')) a),
         (select string_agg(a, ', ') from jsonb_array_elements_text(nullif(s.request -> 'cc', 'null')) a),
         s.request ->> 'subject', s.request ->> 'text', s.request ->> 'html', s.error
  from sent s where s.kind = 'email'
)
insert into pg_temp.requests (rule, subject_key, occurrence, step, kind, target, request, error)
select s.rule, s.subject, s.occurrence, s.step, s.kind, s.target, s.request, s.error from sent s where s.kind <> 'email'
