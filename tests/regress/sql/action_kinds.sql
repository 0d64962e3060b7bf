-- Parameters are checked against the kind's JSON Schema when an action is written: which one, what is allowed, what stands there.
create table jobs (id int primary key, n int);
select tradeflow.watch('jobs');
insert into tradeflow.rules (name, source) values ('job', 'public.jobs');

-- The example of every kind is one that it takes.
insert into tradeflow.actions (rule, step, kind, params)
  select 'job', row_number() over (order by k.name), k.name, k.params -> 'examples' -> 0 from tradeflow.action_kinds k;
select kind from tradeflow.actions where rule = 'job' except select name from tradeflow.action_kinds;
select count(*) = (select count(*) from tradeflow.action_kinds) as every_kind_has_one from tradeflow.actions where params <> '{}' or kind = 'noop';
select name, system, delivery, repeatable from tradeflow.action_kinds order by name;
delete from tradeflow.actions;

-- What is wrong is named.
insert into tradeflow.actions (rule, kind, params) values ('job', 'http', '{"expect": 42}');
insert into tradeflow.actions (rule, kind, params) values ('job', 'http', '{"expect": "2xx"}');
insert into tradeflow.actions (rule, kind, params) values ('job', 'http', '{"method": "FETCH"}');
insert into tradeflow.actions (rule, kind, params) values ('job', 'http', '{"headers": {"x-a": ["b"]}}');
insert into tradeflow.actions (rule, kind, params) values ('job', 'email', '{"to": 7, "text": "x"}');
insert into tradeflow.actions (rule, kind, params) values ('job', 'email', '{"to": "a@example.com"}');
-- What a template will be is not known yet.
insert into tradeflow.actions (rule, kind, params) values ('job', 'http', '{"expect": "{{ facts.n }}", "method": "{{ facts.n }}", "headers": {"x-a": "{{ facts.n }}"}}');

-- A target of another system will never do; one that is not there yet makes the rule wait for it.
insert into tradeflow.targets (name, system, base_url) values ('mail', 'smtp', 'smtp://mail.example.com');
update tradeflow.actions set target = 'mail';
update tradeflow.actions set target = 'later';
select invalid from tradeflow.rules;

-- Own kinds bring their own schema, of keywords that are obeyed.
insert into tradeflow.action_kinds (name, repeatable, description, params) values
  ('fax', false, 'Sends a fax.', '{"type": "object", "properties": {"number": {"type": "string", "format": "phone"}}}');
insert into tradeflow.action_kinds (name, repeatable, description, params) values
  ('fax', false, 'Sends a fax.', '{"type": "object", "required": ["number"], "properties": {
     "number": {"type": "string", "pattern": "^[+][0-9]+$", "description": "with the country: +49…"},
     "pages": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
     "copies": {"type": "integer", "minimum": 1, "maximum": 9}, "header": {"type": "string", "literal": true}}}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "0123"}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "pages": ["a", "b", "c"]}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "pages": ["a", 7]}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "copies": 1.5}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "copies": 10}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "header": "{{ facts.n }}"}');
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'fax', '{"number": "+49123", "pages": ["a"], "copies": 2, "more": true}');
