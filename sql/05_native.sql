-- 05_native: what the compiled library offers to SQL. Everything whose name starts with an
-- underscore is internal: not granted to anybody, and no contract.

-- Reading the changed row where it is.
--
-- A row trigger without WHEN makes Postgres queue an event for each row and fetch both versions of
-- the row again at the end of the statement: dear, when most rules say nothing about most rows.
-- A WHEN clause is evaluated at once, while both versions are still in memory; a plain function there
-- would have them copied into composite values first. A subscripting handler is handed the executor's
-- own slots. So the triggers of watched tables are
--
--     AFTER UPDATE … FOR EACH ROW WHEN ((new.tableoid::tradeflow.observer)[2]) EXECUTE FUNCTION tradeflow._flush()
--
-- and the subscript looks at old and new in place. It says true once per statement at most, when there is
-- something to answer; _flush() then runs at the statement's end. docs/decisions/0002 has the figures.
create type tradeflow.observer;

create function tradeflow.observer_in(cstring) returns tradeflow.observer
language internal immutable strict parallel safe as 'oidin';
create function tradeflow.observer_out(tradeflow.observer) returns cstring
language internal immutable strict parallel safe as 'oidout';
create function tradeflow.observer_subscript(internal) returns internal
language c immutable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_observer_subscript';

create type tradeflow.observer (
  input = tradeflow.observer_in,
  output = tradeflow.observer_out,
  internallength = 4,
  passedbyvalue,
  alignment = int4,
  subscript = tradeflow.observer_subscript
);
create cast (oid as tradeflow.observer) without function;

comment on type tradeflow.observer is
  'A table''s oid whose subscript, in the WHEN clause of a watched table''s trigger, looks at the changed row: [1] insert, [2] update, [3] delete. Of no use elsewhere.';
comment on function tradeflow.observer_in(cstring) is 'Input of tradeflow.observer: an oid.';
comment on function tradeflow.observer_out(tradeflow.observer) is 'Output of tradeflow.observer: an oid.';
comment on function tradeflow.observer_subscript(internal) is 'Subscripting handler of tradeflow.observer.';

create function tradeflow._flush() returns trigger
language c as 'MODULE_PATHNAME', 'tradeflow_flush';
comment on function tradeflow._flush() is
  'Internal. Trigger of watched tables: answers what the statement left pending and puts the firings into the outbox, in one insert.';

create function tradeflow._invalidate(source regclass) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_invalidate';
comment on function tradeflow._invalidate(regclass) is
  'Internal. Makes every backend compile the rules of this table anew at its next statement.';

create function tradeflow._compile(
  rule text, source regclass, condition text, fires text, query text, fire_at text, still text,
  columns text[], search_path text, owner regrole
) returns void
language c as 'MODULE_PATHNAME', 'tradeflow_compile';
comment on function tradeflow._compile(text, regclass, text, text, text, text, text, text[], text, regrole) is
  'Internal. Compiles a definition as its owner and forgets it. The caller must be a member of the owner. Errors carry the position in the definition''s text; TF001: a setting it names does not exist (yet).';

create function tradeflow._still(rule text, key jsonb, subject text, occurrence text) returns jsonb
language c strict as 'MODULE_PATHNAME', 'tradeflow_still';
comment on function tradeflow._still(text, jsonb, text, text) is
  'Internal. Asks a due timer''s question again on the row as it is now, as the rule''s owner: the facts, or NULL for no.';

create function tradeflow._check_template(source text, name text) returns text
language c strict immutable as 'MODULE_PATHNAME', 'tradeflow_check_template';
comment on function tradeflow._check_template(text, text) is
  'Internal. NULL when the text compiles as a template, else what is wrong with it and where.';

create function tradeflow._render(source text, context jsonb) returns text
language c strict immutable as 'MODULE_PATHNAME', 'tradeflow_render';
comment on function tradeflow._render(text, jsonb) is
  'Internal. A template rendered over the keys of an object. Errors: 22023 when it names what is not there, or does not compile.';

create function tradeflow._compile_input(
  rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole
) returns void
language c as 'MODULE_PATHNAME', 'tradeflow_compile_input';
comment on function tradeflow._compile_input(text, regclass, text, regtype, text, regrole) is
  'Internal. Compiles what maps a row of an input table to the subjects of a view rule, as its owner, and forgets it.';

create function tradeflow._check_view_query(view regclass) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_check_view';
comment on function tradeflow._check_view_query(regclass) is
  'Internal. Errors: 42P17 when the view calls a volatile function: asked twice, it would answer twice.';

create function tradeflow._settle(rules text[], subjects text[], silent boolean[]) returns int
language c as 'MODULE_PATHNAME', 'tradeflow_settle';
comment on function tradeflow._settle(text[], text[], boolean[]) is
  'Internal. Asks view rules about subjects (arrays of one length; a subject that is NULL: everybody), updates members, and fires for who entered and left unless silent. Locks the subjects until the end of the transaction, in a bounded number of advisory locks. Returns how many entered or left.';

create function tradeflow._settle_transaction() returns trigger
language c as 'MODULE_PATHNAME', 'tradeflow_settle_transaction';
comment on function tradeflow._settle_transaction() is
  'Internal. Deferred trigger of view_checks: asks about what the transaction left there, but above READ COMMITTED leaves it to tick().';

create function tradeflow._next_run(schedule text, after timestamptz) returns timestamptz
language c immutable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_next_run';
comment on function tradeflow._next_run(text, timestamptz) is
  'Internal. The first time after this one that a schedule names. Errors: 22023 for what is no schedule, or never comes.';

create function tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_check_schedule';
comment on function tradeflow._check_schedule(text, text, text, regrole) is
  'Internal. Compiles the query of a schedule rule as its owner, and forgets it. The caller must be a member of the owner.';

create function tradeflow._run_schedule(rule text) returns int
language c strict as 'MODULE_PATHNAME', 'tradeflow_run_schedule';
comment on function tradeflow._run_schedule(text) is
  'Internal. Runs the query of a schedule rule as its owner; each row is a firing. Returns how many.';

create function tradeflow._backfill(rule text, "where" text, "limit" int, mode text) returns int
language c as 'MODULE_PATHNAME', 'tradeflow_backfill';
comment on function tradeflow._backfill(text, text, int, text) is 'Internal. What tradeflow.backfill() does.';

create function tradeflow._call(owner regrole, search_path text, call text) returns jsonb
language c strict as 'MODULE_PATHNAME', 'tradeflow_call';
comment on function tradeflow._call(regrole, text, text) is
  'Internal. What the call of a function (schema.function(…)) returns, as this owner, in a security-restricted operation; its deferred constraints and triggers run before it returns. Errors: the function''s own.';
