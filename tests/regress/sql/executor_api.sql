-- What a sidecar calls, in psql: leases, attempts, retries, steps. Times and random parts are not printed.
create table jobs (id int primary key, n int);
select tradeflow.watch('jobs');
insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com');
insert into tradeflow.rules (name, source) values ('job', 'public.jobs');
insert into tradeflow.actions (rule, step, name, kind, target, params, max_attempts, on_failure) values
  ('job', 1, 'create', 'http', 'there', '{"path": "/jobs"}', 2, 'continue'),
  ('job', 2, 'confirm', 'http', 'there', '{"path": "/jobs/{{ steps.create.id }}"}', 8, 'stop');

create view queue as
  select id, subject, step, state, attempt, worker, error, lease_until is not null as leased, steps from tradeflow.outbox order by id;

-- One action for each row, the first of each lane.
insert into jobs select i, 0 from generate_series(1, 3) i;
update jobs set n = 1 where id = 1;
table queue;
select id, attempt, rule, source, event, subject, step, action, kind, target, params, facts, steps from tradeflow.claim('w1', 2, '1 minute');
-- Rows 1 and 2 are leased; the second action of row 1 waits for the first.
select id from tradeflow.claim('w2', 10, '1 minute');
select id from tradeflow.claim('w2', 10, '1 minute', '{email}');

-- Completions count for the attempt that holds the lease, once.
select * from tradeflow.complete('{1,2}', '{1,9}', array['{"id": 7, "request": {"path": "/jobs"}}', '{}']::jsonb[]);
select * from tradeflow.complete('{1}', '{1}', '{null}');
select id, state, attempt, result, request from tradeflow.outbox_history;
table queue;

-- Failures: again later, or for good.
select tradeflow.fail(2, 9, 'an attempt of long ago', 'retry');
select tradeflow.fail(2, 1, 'HTTP 503', 'retry', '1 hour');
select state, error, run_at > now() + interval '59 minutes' as later from tradeflow.outbox where id = 2;
select tradeflow.retry(2);
select id, attempt from tradeflow.claim('w1', 10, '1 minute');
select tradeflow.fail(2, 2, 'HTTP 503', 'retry');
-- It was the last attempt; the step says on_failure: continue.
select kind, rule, subject, outbox_id, message, hint from tradeflow.incidents;
table queue;

-- A lease is prolonged, and refused to who does not hold it.
select * from tradeflow.extend('{3,2}', '{1,1}', '2 minutes');
select tradeflow.started(3, 1), tradeflow.started(3, 2);

-- A worker dies: before it began, its action is anybody's; a mail after it began is nobody's.
update tradeflow.outbox set lease_until = clock_timestamp() - interval '1 second' where id = 3;
select tradeflow.tick() -> 'rescued' as rescued;
update tradeflow.outbox set kind = 'email' where id = 3;
-- Of a kind and target that no action names claim() learns from tick(), within seconds.
update tradeflow.upkeep set done_at = null;
select tradeflow.tick() is not null as ticked;
select id, attempt from tradeflow.claim('w3', 1, '1 minute', '{email}');
select tradeflow.started(3, 2);
update tradeflow.outbox set lease_until = clock_timestamp() - interval '1 second' where id = 3;
select tradeflow.tick() -> 'uncertain' as uncertain;
select id, state, error from tradeflow.outbox where id = 3;

-- Wrong calls.
select tradeflow.claim('', 1, '1 minute');
select tradeflow.claim('w', 0, '1 minute');
select tradeflow.claim('w', 1, '0');
select tradeflow.complete('{1}', '{1,2}', '{null}');
select tradeflow.complete('{1}', '{1}', '{"[]"}');
select tradeflow.fail(1, 1, 'x', 'perhaps');
