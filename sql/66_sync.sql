-- 66_sync: how far the copies of remote systems are, and what their webhooks told. The rows are written by `tradeflow sync` and
-- by the sidecar's /hooks, as members of tradeflow_sync.

create table tradeflow.sync_state (
  resource     text primary key,
  watermark    timestamptz,
  position     jsonb not null default '{}',
  started_at   timestamptz,
  finished_at  timestamptz,
  caught_up_at timestamptz,
  swept_at     timestamptz,
  last_error   text,
  failures     int not null default 0,
  read         bigint not null default 0,
  inserted     bigint not null default 0,
  updated      bigint not null default 0,
  unchanged    bigint not null default 0,
  deleted      bigint not null default 0,
  rejected     bigint not null default 0,
  requests     bigint not null default 0
);
select pg_catalog.pg_extension_config_dump('tradeflow.sync_state', '');
comment on table tradeflow.sync_state is 'How far the copy of each resource is, and what its last run did. Deleting a row makes the next run a first load.';
comment on column tradeflow.sync_state.resource is 'Name of the resource, as `tradeflow sync` spells it.';
comment on column tradeflow.sync_state.watermark is 'Everything that changed at the source before this (by the source''s clock) is stored. NULL: nothing yet, or the resource tells no times.';
comment on column tradeflow.sync_state.position is 'Where a resource without times goes on: {"after": id}.';
comment on column tradeflow.sync_state.started_at is 'When the last run began.';
comment on column tradeflow.sync_state.finished_at is 'When a run last ended well.';
comment on column tradeflow.sync_state.caught_up_at is 'The copy has what the source had at this time: the beginning of the last run that reached the end.';
comment on column tradeflow.sync_state.swept_at is 'When all rows were last compared, so that those gone at the source are gone here.';
comment on column tradeflow.sync_state.last_error is 'Why the last run failed. NULL: it did not.';
comment on column tradeflow.sync_state.failures is 'How many runs have failed since one ended well.';
comment on column tradeflow.sync_state.read is 'Rows read by the last run.';
comment on column tradeflow.sync_state.inserted is 'Rows inserted by the last run.';
comment on column tradeflow.sync_state.updated is 'Rows changed by the last run.';
comment on column tradeflow.sync_state.unchanged is 'Rows the last run found as they were.';
comment on column tradeflow.sync_state.deleted is 'Rows deleted by the last run.';
comment on column tradeflow.sync_state.rejected is 'Payloads the last run could not store; each is an incident.';
comment on column tradeflow.sync_state.requests is 'Requests the last run made.';

create view tradeflow.sync_status as
select resource, watermark, pg_catalog.now() - caught_up_at as lag, started_at, finished_at, swept_at, last_error, failures,
       read, inserted, updated, unchanged, deleted, rejected, requests
from tradeflow.sync_state;
comment on view tradeflow.sync_status is 'tradeflow.sync_state with the lag: how old the state of the source is that the copy shows.';
comment on column tradeflow.sync_status.resource is 'Name of the resource.';
comment on column tradeflow.sync_status.watermark is 'Everything that changed at the source before this is stored.';
comment on column tradeflow.sync_status.lag is 'How old the state of the source is that the copy shows. NULL: the first load is not over.';
comment on column tradeflow.sync_status.started_at is 'When the last run began.';
comment on column tradeflow.sync_status.finished_at is 'When a run last ended well.';
comment on column tradeflow.sync_status.swept_at is 'When all rows were last compared.';
comment on column tradeflow.sync_status.last_error is 'Why the last run failed.';
comment on column tradeflow.sync_status.failures is 'How many runs have failed in a row.';
comment on column tradeflow.sync_status.read is 'Rows read by the last run.';
comment on column tradeflow.sync_status.inserted is 'Rows inserted by the last run.';
comment on column tradeflow.sync_status.updated is 'Rows changed by the last run.';
comment on column tradeflow.sync_status.unchanged is 'Rows the last run found as they were.';
comment on column tradeflow.sync_status.deleted is 'Rows deleted by the last run.';
comment on column tradeflow.sync_status.rejected is 'Payloads the last run could not store.';
comment on column tradeflow.sync_status.requests is 'Requests the last run made.';

create table tradeflow.sync_events (
  event_id    text primary key,
  source      text not null,
  scope       text not null,
  data        jsonb not null,
  received_at timestamptz not null default now(),
  due_at      timestamptz not null default now(),
  attempts    int not null default 0,
  done_at     timestamptz,
  error       text
);
create index sync_events_waiting on tradeflow.sync_events (due_at) where done_at is null;
create index sync_events_done on tradeflow.sync_events (done_at) where done_at is not null;
comment on table tradeflow.sync_events is 'What webhooks told. A row is written before the webhook is answered, so none is lost, and kept for a while, so none counts twice.';
comment on column tradeflow.sync_events.event_id is 'The sender''s id of the message (webhook-id), the same at every attempt to deliver it.';
comment on column tradeflow.sync_events.source is 'Which system: bigcommerce.';
comment on column tradeflow.sync_events.scope is 'What happened, in the sender''s words: store/quote/updated.';
comment on column tradeflow.sync_events.data is 'Which thing it happened to. Ids only: the thing itself is fetched.';
comment on column tradeflow.sync_events.received_at is 'When it came.';
comment on column tradeflow.sync_events.due_at is 'When it is to be worked on (again); moved ahead while somebody does.';
comment on column tradeflow.sync_events.attempts is 'How often it was begun.';
comment on column tradeflow.sync_events.done_at is 'When what it told was stored. NULL: waiting.';
comment on column tradeflow.sync_events.error is 'Why the last attempt failed.';

create function tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text default null, hint text default null)
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
  if sync_incident.kind not in ('sync_error', 'sync_rejected', 'sync_held', 'hook_refused') then
    raise invalid_parameter_value using message = format('a sync reports no incident of kind "%s"', sync_incident.kind);
  end if;
  -- What is open already and says the same is counted, not told again: a sync repeats its failures every minute.
  update tradeflow.incidents i
  set count = i.count + 1, last_seen_at = now(), detail = sync_incident.detail
  where i.id = (
    select o.id from tradeflow.incidents o
    where o.kind = sync_incident.kind and o.source = sync_incident.resource and o.acked_at is null
      and o.subject is not distinct from sync_incident.subject and o.message = sync_incident.message
    order by o.id limit 1);
  if not found then
    insert into tradeflow.incidents (kind, source, subject, message, detail, hint)
    values (sync_incident.kind, sync_incident.resource, sync_incident.subject, sync_incident.message, sync_incident.detail, sync_incident.hint);
  end if;
end
$$;
comment on function tradeflow.sync_incident(text, text, text, text, text, text) is
  'Notes an incident of a sync: its kind (sync_error, sync_rejected, sync_held, hook_refused), the resource, the row''s key. One that is open and says the same is counted.';

revoke execute on function tradeflow.sync_incident(text, text, text, text, text, text) from public;
grant execute on function tradeflow.sync_incident(text, text, text, text, text, text) to tradeflow_sync;
grant select, insert, update, delete on tradeflow.sync_state, tradeflow.sync_events to tradeflow_sync;
grant select on tradeflow.sync_status to tradeflow_sync;
