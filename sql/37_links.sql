-- 37_links: what is known about our things in other systems: their ids there, and what we wrote last.

create table tradeflow.links (
  source      text not null,
  subject     text not null,
  target      text not null,
  object      text not null,
  other_id    text not null,
  outbox_id   bigint,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  primary key (source, subject, target, object)
);
create index links_other on tradeflow.links (target, object, other_id);
select pg_catalog.pg_extension_config_dump('tradeflow.links', '');
comment on table tradeflow.links is 'Our subject and the other system''s id of it. Written with the completion of the action that learned it; queries of rules may read it.';
comment on column tradeflow.links.source is 'Our table: store.quotes.';
comment on column tradeflow.links.subject is 'Who of it: the key as text.';
comment on column tradeflow.links.target is 'The target that the other system is.';
comment on column tradeflow.links.object is 'What it is there: deal, contact, invoice, …';
comment on column tradeflow.links.other_id is 'Its id there.';
comment on column tradeflow.links.outbox_id is 'The action that wrote this.';
comment on column tradeflow.links.created_at is 'When it was first known.';
comment on column tradeflow.links.updated_at is 'When it last became another id.';

create table tradeflow.pushes (
  target     text not null,
  object     text not null,
  object_id  text not null,
  hash       text not null,
  written    jsonb not null,
  outbox_id  bigint,
  pushed_at  timestamptz not null default now(),
  primary key (target, object, object_id)
);
select pg_catalog.pg_extension_config_dump('tradeflow.pushes', '');
comment on table tradeflow.pushes is 'What we last wrote to a thing in another system. Our own writes come back as changes: an action that would write the same again writes nothing, which ends the loop.';
comment on column tradeflow.pushes.target is 'The target.';
comment on column tradeflow.pushes.object is 'What it is there: deal, company, quote, …';
comment on column tradeflow.pushes.object_id is 'Its id, or the value of its unique property.';
comment on column tradeflow.pushes.hash is 'SHA-256 of the values, as the sidecar computes it.';
comment on column tradeflow.pushes.written is 'The values.';
comment on column tradeflow.pushes.outbox_id is 'The action that wrote them.';
comment on column tradeflow.pushes.pushed_at is 'When its completion was accepted.';

create function tradeflow.pushed(target text, object text, object_id text) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select p.written from tradeflow.pushes p where p.target = pushed.target and p.object = pushed.object and p.object_id = pushed.object_id $$;
comment on function tradeflow.pushed(text, text, text) is 'What we last wrote to a thing in another system. For conditions that must not answer to our own write coming back. NULL: nothing.';


-- Called by complete(), in its transaction, when a result says something about other systems: links or pushed.
create function tradeflow._remember(ids bigint[], attempts int[], results jsonb[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What is accepted here is accepted to the end: nobody else has these any more. In the order of ids, as all lock.
  perform from tradeflow.outbox o join unnest(ids, attempts) c(id, attempt) on o.id = c.id and o.attempt = c.attempt
  where o.state = 'running' order by o.id for update of o;
  insert into tradeflow.links as l (source, subject, target, object, other_id, outbox_id)
  select distinct on (1, 2, 3, 4)
    coalesce(e.link ->> 'source', o.source), coalesce(e.link ->> 'subject', o.subject), coalesce(e.link ->> 'target', o.target, ''),
    e.link ->> 'object', e.link ->> 'id', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'links') when 'array' then c.result -> 'links' else '[]' end) e(link)
  where e.link ->> 'object' <> '' and e.link ->> 'id' <> ''
  order by 1, 2, 3, 4, o.id desc
  on conflict (source, subject, target, object) do update
    set other_id = excluded.other_id, outbox_id = excluded.outbox_id,
        updated_at = case when l.other_id = excluded.other_id then l.updated_at else excluded.updated_at end;
  insert into tradeflow.pushes (target, object, object_id, hash, written, outbox_id)
  select distinct on (1, 2, 3)
    coalesce(o.target, ''), e.push ->> 'object', e.push ->> 'id', e.push ->> 'hash', e.push -> 'values', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'pushed') when 'array' then c.result -> 'pushed' else '[]' end) e(push)
  where e.push ->> 'object' <> '' and e.push ->> 'id' <> '' and e.push ? 'values' and e.push ->> 'hash' <> ''
  order by 1, 2, 3, o.id desc
  on conflict (target, object, object_id) do update
    set hash = excluded.hash, written = excluded.written, outbox_id = excluded.outbox_id, pushed_at = excluded.pushed_at;
end
$$;
comment on function tradeflow._remember(bigint[], int[], jsonb[]) is
  'Internal. Stores what results say: links [{object, id, source?, subject?, target?}] and pushed [{object, id, hash, values}].';
