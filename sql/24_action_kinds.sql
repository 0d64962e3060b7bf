-- 24_action_kinds: what a sidecar can execute, and the parameters of each kind.

create table tradeflow.action_kinds (
  name         text primary key,
  repeatable   boolean not null,
  required     text[] not null default '{}',
  optional     text[] not null default '{}',
  description  text not null,
  builtin      boolean not null default false,
  paused_at    timestamptz,
  paused_reason text
);
select pg_catalog.pg_extension_config_dump('tradeflow.action_kinds', 'where not builtin');
comment on table tradeflow.action_kinds is 'The kinds of action that a sidecar can execute. Own kinds of an own client are added here.';
comment on column tradeflow.action_kinds.name is 'What actions.kind says.';
comment on column tradeflow.action_kinds.repeatable is 'Whether an execution whose outcome is unknown may be repeated. If not, it becomes uncertain and waits for a person.';
comment on column tradeflow.action_kinds.required is 'Parameters that must be given; a|b means one of the two.';
comment on column tradeflow.action_kinds.optional is 'Parameters that may be given.';
comment on column tradeflow.action_kinds.description is 'What executing it does.';
comment on column tradeflow.action_kinds.builtin is 'Comes with the extension; not dumped.';
comment on column tradeflow.action_kinds.paused_at is 'Since when no action of the kind is executed; see tradeflow.pause_kind(). NULL: it is not paused.';
comment on column tradeflow.action_kinds.paused_reason is 'Why it was paused.';

insert into tradeflow.action_kinds (name, repeatable, required, optional, description, builtin) values
  ('email', false, '{to,template|text}', '{cc,bcc,reply_to,from,subject,html,headers}',
   'Sends a mail through the target''s SMTP server: a template by name, or subject and text.', true),
  ('http', true, '{}', '{method,url,path,headers,query,body,expect,timeout}',
   'Sends an HTTP request to the target, with an idempotency key; the response is the result.', true);
