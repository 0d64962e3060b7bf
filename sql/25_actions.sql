-- 25_actions: what follows from a firing: targets, templates, and the actions themselves.

create table tradeflow.targets (
  name            text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  system          text not null check (system in ('smtp', 'http', 'bigcommerce', 'hubspot', 'google')),
  base_url        text not null check (base_url !~ '^[a-z]+://[^/]*@'),
  secret          text check (secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  username        text,
  auth            text not null default 'none' check (auth ~ '^(none|bearer|basic|oauth2|header:[A-Za-z0-9-]+)$'),
  sender          text,
  signing_secret  text check (signing_secret ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  token_url       text check (token_url ~ '^https?://' and token_url !~ '^[a-z]+://[^/]*@'),
  scope           text,
  headers         jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  allow_private   boolean not null default false,
  timeout         interval not null default '30 seconds' check (timeout > '0'),
  rate_limit      int check (rate_limit > 0),
  rate_period     interval not null default '1 second' check (rate_period > '0'),
  burst           int check (burst > 0),
  concurrency     int check (concurrency > 0),
  breaker_failures int not null default 10 check (breaker_failures >= 0),
  breaker_cooldown interval not null default '30 seconds' check (breaker_cooldown > '0'),
  paused_at       timestamptz,
  paused_reason   text,
  description     text,
  check (case system when 'smtp' then base_url ~ '^smtps?://' else base_url ~ '^https?://' end),
  check (system = 'http' or auth in ('none', 'basic'))
);
select pg_catalog.pg_extension_config_dump('tradeflow.targets', '');
comment on table tradeflow.targets is 'A row is a destination of actions. Secrets are named here, never held: the sidecar reads them.';
comment on column tradeflow.targets.name is 'What actions.target says.';
comment on column tradeflow.targets.system is 'smtp, http, bigcommerce, hubspot or google.';
comment on column tradeflow.targets.base_url is 'http(s)://host/path: requests go nowhere else. smtp://host:port (plain), smtp://host:port?tls=starttls (required), smtps://host:port. Without user or password.';
comment on column tradeflow.targets.secret is 'Where the password or token is: env:NAME or file:/path.';
comment on column tradeflow.targets.username is 'User name for auth basic; the client''s id for oauth2.';
comment on column tradeflow.targets.auth is 'none, bearer, basic, oauth2 (client credentials: username is the client''s id, secret its secret), or header:<Name> (the secret is that header''s value). The vendors'' systems have ways of their own: leave it none.';
comment on column tradeflow.targets.token_url is 'Where tokens are fetched for auth oauth2.';
comment on column tradeflow.targets.scope is 'The scope to ask for with auth oauth2.';
comment on column tradeflow.targets.sender is 'Sender of mails: "Name <address>".';
comment on column tradeflow.targets.signing_secret is 'Where the Standard Webhooks secret is; requests are signed with it.';
comment on column tradeflow.targets.headers is 'Headers of every request. Not for secrets.';
comment on column tradeflow.targets.allow_private is 'Whether the host may be a private or loopback address.';
comment on column tradeflow.targets.timeout is 'How long one execution may take.';
comment on column tradeflow.targets.rate_limit is 'At most so many executions per rate_period, all sidecars together: a token bucket. NULL: no limit.';
comment on column tradeflow.targets.rate_period is 'The time that rate_limit is about.';
comment on column tradeflow.targets.burst is 'Tokens the bucket holds: how many executions may come at once after a quiet time. NULL: as many as rate_limit.';
comment on column tradeflow.targets.concurrency is 'At most so many executions at the same time, all sidecars together. NULL: no limit.';
comment on column tradeflow.targets.breaker_failures is 'So many transient failures in a row open the circuit breaker: nothing is sent until breaker_cooldown has passed, then one execution tries. 0: there is no breaker.';
comment on column tradeflow.targets.breaker_cooldown is 'How long an open breaker lets nothing through.';
comment on column tradeflow.targets.paused_at is 'Since when nothing is sent there; see tradeflow.pause_target(). NULL: it is not paused.';
comment on column tradeflow.targets.paused_reason is 'Why it was paused.';
comment on column tradeflow.targets.description is 'For people.';


create table tradeflow.templates (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  subject      text not null,
  text         text not null,
  html         text,
  description  text,
  updated_at   timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.templates', '');
comment on table tradeflow.templates is 'Mail templates (Jinja): rendered over facts, steps, settings and rule.';
comment on column tradeflow.templates.name is 'What the parameter template of an email action says.';
comment on column tradeflow.templates.subject is 'Template of the subject line.';
comment on column tradeflow.templates.text is 'Template of the plain text.';
comment on column tradeflow.templates.html is 'Template of the HTML part; values are escaped. NULL: text only.';
comment on column tradeflow.templates.description is 'For people.';
comment on column tradeflow.templates.updated_at is 'When it was last written.';

create function tradeflow._templates_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  part     record;
  problem  text;
begin
  for part in values ('subject', new.subject), ('text', new.text), ('html', new.html) loop
    problem := tradeflow._check_template(part.column2, part.column1);
    if problem is not null then
      raise exception 'template "%" does not compile: %', new.name, problem using errcode = 'syntax_error';
    end if;
  end loop;
  if tg_op = 'UPDATE' then
    new.updated_at := now();
  end if;
  return new;
end
$$;
comment on function tradeflow._templates_before_write() is 'Internal. Rejects a mail template that does not compile. Errors: 42601.';
create trigger templates_check before insert or update on tradeflow.templates
  for each row execute function tradeflow._templates_before_write();


create table tradeflow.actions (
  rule          text not null references tradeflow.rules (name) on update cascade on delete cascade,
  step          int not null default 1 check (step > 0),
  name          text check (name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
  edge          text not null default 'enter' check (edge in ('enter', 'leave')),
  kind          text not null,
  target        text,
  params        jsonb not null default '{}' check (jsonb_typeof(params) = 'object'),
  delay         interval not null default '0',
  if_late       text not null default 'run' check (if_late in ('run', 'skip')),
  lane          text,
  max_attempts  int not null default 20 check (max_attempts between 1 and 100),
  on_failure    text not null default 'stop' check (on_failure in ('stop', 'continue')),
  on_dead       text not null default 'block' check (on_dead in ('block', 'continue')),
  recheck       boolean not null default false,
  primary key (rule, edge, step),
  unique (rule, edge, name)
);
select pg_catalog.pg_extension_config_dump('tradeflow.actions', '');
comment on table tradeflow.actions is 'Step n of what a rule''s firing causes. Steps run one after another.';
comment on column tradeflow.actions.rule is 'The rule.';
comment on column tradeflow.actions.step is 'Order among the rule''s actions; gaps are fine.';
comment on column tradeflow.actions.name is 'Later steps read its result as steps.<name>.';
comment on column tradeflow.actions.edge is 'enter: the answer became yes. leave: it is yes no longer; the facts are those of the last yes.';
comment on column tradeflow.actions.kind is 'One of action_kinds.';
comment on column tradeflow.actions.target is 'One of targets.';
comment on column tradeflow.actions.params is 'JSON whose strings are templates over facts, steps, settings and rule. A string that is one {{ expression }} keeps its JSON type. when, which every kind has: whether the step is wanted; where it is false, the step is done without anything being done.';
comment on column tradeflow.actions.delay is 'Added to fire_at, or to now. May be negative: -7 days.';
comment on column tradeflow.actions.if_late is 'When the due time has passed already at the firing: run at once, or skip.';
comment on column tradeflow.actions.lane is 'Template (over facts, source, event, subject, occurrence, key, rule, action) of the lane: actions of one lane are executed one after another, in the order of their ids. NULL: source:subject. One that cannot be rendered is an incident, and the action takes the default lane.';
comment on column tradeflow.actions.max_attempts is 'Executions before the action is dead. With the backoff of fail(), 20 last about an hour.';
comment on column tradeflow.actions.on_failure is 'When this action is dead: stop, or continue with the next step.';
comment on column tradeflow.actions.on_dead is 'What a dead or uncertain action does to the later ones of its lane: block (they wait until a person retries or cancels it) or continue (they are executed without it, as they are where on_failure is continue).';
comment on column tradeflow.actions.recheck is 'Ask the rule''s question again before every execution, retries too: a no cancels the action, a yes brings fresh facts. Answers over old, and deletes, are not asked again unless the rule has still.';


-- The path of the first string of a JSON value that is no template, with what is wrong; NULL if all are.
create function tradeflow._check_params(params jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  item     record;
  problem  text;
begin
  case jsonb_typeof(params)
    when 'string' then
      return tradeflow._check_template(params #>> '{}', path);
    when 'object' then
      for item in select path || '.' || e.key as path, e.value from jsonb_each(params) e loop
        problem := tradeflow._check_params(item.value, item.path);
        exit when problem is not null;
      end loop;
    when 'array' then
      for item in select format('%s[%s]', path, e.ord - 1) as path, e.value from jsonb_array_elements(params) with ordinality e(value, ord) loop
        problem := tradeflow._check_params(item.value, item.path);
        exit when problem is not null;
      end loop;
    else
      null;
  end case;
  return problem;
end
$$;
comment on function tradeflow._check_params(jsonb, text) is 'Internal. NULL when every string of the parameters compiles as a template, else where and why not.';


create function tradeflow._targets_of(system text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce('there is ' || string_agg(format('"%s"', t.name), ', ' order by t.name),
                  format('insert one into tradeflow.targets with system ''%s''.', _targets_of.system))
  from tradeflow.targets t where t.system = _targets_of.system
$$;
comment on function tradeflow._targets_of(text) is 'Internal. The hint of an action without the target it needs: which there are, or what to insert.';


create function tradeflow._actions_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  kind     tradeflow.action_kinds;
  problem  text;
  the_rule tradeflow.rules;
  its_system text;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if found then
    perform tradeflow._require_member(the_rule.owner, the_rule.name);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if tg_op = 'UPDATE' and old.rule <> new.rule then
    perform tradeflow._require_member(r.owner, r.name) from tradeflow.rules r where r.name = old.rule;
  end if;

  select * into kind from tradeflow.action_kinds k where k.name = new.kind;
  if not found then
    raise exception 'action % of rule "%": there is no kind "%"', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value',
            hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  if jsonb_typeof(new.params) <> 'object' then
    raise exception 'action % of rule "%": params is a JSON %, not an object', new.step, new.rule, jsonb_typeof(new.params)
      using errcode = 'invalid_parameter_value', hint = 'params names each parameter: {"to": "…", "template": "…"}';
  end if;
  -- when is every kind's: whether the step is wanted at all.
  problem := coalesce(tradeflow._check_value(new.params - 'when', kind.params, 'params'),
                      case when new.params ? 'when' then tradeflow._check_value(
                        new.params -> 'when', '{"type": ["boolean", "string"], "pattern": "^(true|false)$"}', 'params.when') end);
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'invalid_parameter_value',
            hint = coalesce(format('kind "%s" looks like this: ', kind.name) || (kind.params -> 'examples' -> 0)::text, format('see action_kinds.params of kind "%s"', kind.name));
  end if;
  -- A target that is not there yet makes the rule invalid until it comes; one of another system will never do.
  select t.system into its_system from tradeflow.targets t where t.name = new.target;
  if kind.system = 'none' and new.target is not null then
    raise exception 'action % of rule "%": kind "%" has no target', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value', hint = 'leave target NULL.';
  elsif kind.system <> 'none' and new.target is null then
    raise exception 'action % of rule "%": kind "%" needs a target of system %', new.step, new.rule, new.kind, kind.system
      using errcode = 'invalid_parameter_value', hint = tradeflow._targets_of(kind.system);
  elsif its_system is not null and kind.system is not null and its_system <> kind.system then
    raise exception 'action % of rule "%": target "%" is of system %, but kind "%" needs one of system %', new.step, new.rule, new.target, its_system, new.kind, kind.system
      using errcode = 'invalid_parameter_value',
            hint = tradeflow._targets_of(kind.system);
  end if;
  problem := tradeflow._check_params(new.params, 'params');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'Strings of params are Jinja templates: {{ facts.quote_number }}.';
  end if;
  problem := tradeflow._check_template(new.lane, 'lane');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'lane is a Jinja template: company {{ facts.company_id }}.';
  end if;
  return new;
end
$$;
comment on function tradeflow._actions_before_write() is
  'Internal. Checks kind, target, parameters and templates of an action. Errors: 22023 unknown kind or parameter, no target or one of another system, 42601 a string that is no template, 42501 no member of the rule''s owner.';

create function tradeflow._actions_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  the_rule  tradeflow.rules;
  missing   text;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if not found then
    return null;
  end if;
  missing := tradeflow._rule_missing(the_rule);
  if missing is distinct from the_rule.invalid then
    update tradeflow.rules set invalid = missing where name = the_rule.name;
  end if;
  perform tradeflow._invalidate(to_regclass(coalesce(the_rule.source, the_rule.view)));
  return null;
end
$$;
comment on function tradeflow._actions_after_write() is 'Internal. Has the rule compiled again with its actions.';

create trigger actions_check before insert or update or delete on tradeflow.actions
  for each row execute function tradeflow._actions_before_write();
create trigger actions_after_write after insert or update or delete on tradeflow.actions
  for each row execute function tradeflow._actions_after_write();

create view tradeflow._first_actions as
select f.rule, jsonb_object_agg(f.edge, to_jsonb(f) - '{rule,edge}'::text[]) as actions
from (select distinct on (a.rule, a.edge) a.rule, a.edge, a.step, a.name, a.kind, a.target, a.max_attempts,
             a.delay <> '0' or a.lane is not null as special
      from tradeflow.actions a
      order by a.rule, a.edge, a.step) f
group by f.rule;
comment on view tradeflow._first_actions is 'Internal. What a firing becomes, as compiled rules have it.';
comment on column tradeflow._first_actions.rule is 'The rule.';
comment on column tradeflow._first_actions.actions is 'By edge, the first action; special: it has a delay or a lane of its own.';


create function tradeflow._targets_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text;
begin
  if tg_op <> 'DELETE' then
    select format('action %s of rule "%s" is of kind "%s", and needs one of system %s', a.step, a.rule, a.kind, k.system) into problem
    from tradeflow.actions a join tradeflow.action_kinds k on k.name = a.kind
    where a.target = new.name and k.system <> new.system and not tradeflow._restoring()
    order by a.rule, a.step limit 1;
    if found then
      raise exception 'target "%" is of system %, but %', new.name, new.system, problem
        using errcode = 'invalid_parameter_value', hint = 'Give the target another name, or change the action first.';
    end if;
    insert into tradeflow.target_states (target) values (new.name) on conflict do nothing;
    perform tradeflow._revalidate(array[new.name], format('target "%s"', new.name));
  end if;
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.name <> new.name) then
    perform tradeflow._revalidate(array[old.name], format('the loss of target "%s"', old.name));
  end if;
  return null;
end
$$;
comment on function tradeflow._targets_after_write() is 'Internal. A rule whose action waited for this target starts; one that needs it refuses its loss, or another system under its name. Errors: 22023.';
create trigger targets_after_write after insert or update of name, system or delete on tradeflow.targets
  for each row execute function tradeflow._targets_after_write();
