-- Parameters are checked against the kind's JSON Schema when an action is written: which one, what is allowed, what stands there.
create table jobs (id int primary key, n int);
select tradeflow.watch('jobs');
insert into tradeflow.rules (name, source) values ('job', 'public.jobs');

-- The example of every kind is one that it takes. The targets may still come: the rule waits for them.
insert into tradeflow.actions (rule, step, kind, target, params)
  select 'job', row_number() over (order by k.name), k.name, nullif(k.system, 'none'), k.params -> 'examples' -> 0 from tradeflow.action_kinds k;
select kind from tradeflow.actions where rule = 'job' except select name from tradeflow.action_kinds;
select count(*) = (select count(*) from tradeflow.action_kinds) as every_kind_has_one from tradeflow.actions where params <> '{}' or kind = 'noop';
select name, system, delivery, repeatable from tradeflow.action_kinds order by name;
delete from tradeflow.actions;

-- What is wrong is named.
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'http', 'later', '{"expect": 42}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'http', 'later', '{"expect": "2xx"}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'http', 'later', '{"method": "FETCH"}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'http', 'later', '{"headers": {"x-a": ["b"]}}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'email', 'mail', '{"to": 7, "text": "x"}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'email', 'mail', '{"to": "a@example.com"}');
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'email', 'mail', '{"to": [{"name": "A"}], "text": "x"}');
-- What a template will be is not known yet.
insert into tradeflow.actions (rule, kind, target, params) values ('job', 'http', 'later', '{"expect": "{{ facts.n }}", "method": "{{ facts.n }}", "headers": {"x-a": "{{ facts.n }}"}}');

-- A target of another system will never do, nor will none; one that is not there yet makes the rule wait for it.
insert into tradeflow.targets (name, system, base_url) values ('mail', 'smtp', 'smtp://mail.example.com');
update tradeflow.actions set target = 'mail';
update tradeflow.actions set target = null;
insert into tradeflow.actions (rule, step, kind, params) values ('job', 2, 'email', '{"to": "a@example.com", "text": "x"}');
insert into tradeflow.actions (rule, step, kind, target, params) values ('job', 2, 'sql', 'mail', '{"function": "f"}');
update tradeflow.actions set target = 'later';
select invalid from tradeflow.rules;
-- What comes under its name must do, and stay so.
insert into tradeflow.targets (name, system, base_url) values ('later', 'smtp', 'smtp://mail.example.com');
insert into tradeflow.targets (name, system, base_url) values ('later', 'http', 'https://api.example.com');
update tradeflow.targets set system = 'hubspot' where name = 'later';
-- A kind that is of no system has one or none.
insert into tradeflow.actions (rule, step, kind, target) values ('job', 2, 'noop', 'mail'), ('job', 3, 'noop', null);
delete from tradeflow.actions where kind = 'noop';

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
