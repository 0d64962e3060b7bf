-- What a person does: cancel, retry, release, discard, acknowledge, and the test clock.
create table jobs (id int primary key, due timestamptz, note text);
select tradeflow.watch('jobs', ignore => '{note}');
insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com');
insert into tradeflow.rules (name, source, condition, fires, fire_at, max_firings) values
  ('job', 'public.jobs', null, 'always', null, 3),
  ('timer', 'public.jobs', 'new.due is not null', 'enter', 'new.due', 1000);
insert into tradeflow.actions (rule, kind, target, params) values
  ('job', 'http', 'there', '{"path": "/now"}'),
  ('timer', 'http', 'there', '{"path": "/then"}');

create view queue as select id, rule, subject, state, reason from tradeflow.outbox order by id;

-- More firings than max_firings from one statement are held, all of them.
insert into jobs (id) select generate_series(1, 4);
table queue;
select kind, rule, message, hint from tradeflow.incidents;
select tradeflow.ack(id), tradeflow.ack(id) as again from tradeflow.incidents;
select tradeflow.release_held('job', '{1}');
select tradeflow.discard_held('job', '{2}');
select tradeflow.cancel(3, 'not wanted');
select tradeflow.cancel('{4,99}'::bigint[]);
table queue;
select id, state, reason from tradeflow.outbox_history order by id;

-- A change of an ignored column alone is none.
update jobs set note = 'x';
select count(*) from tradeflow.outbox;

-- The clock: a timer waits, moves with its row, is cancelled when the answer is no, and is due when its time comes.
select tradeflow.set_clock('2026-11-22 12:00+00');
insert into jobs (id, due) values (10, '2026-11-25 12:00+00'), (11, '2026-11-25 12:00+00'), (12, '2026-11-25 12:00+00');
select subject, state, run_at from tradeflow.outbox where rule = 'timer' order by subject;
update jobs set due = '2026-11-30 12:00+00' where id = 11;
update jobs set due = null where id = 12;
select subject, state, run_at from tradeflow.outbox where rule = 'timer' order by subject;
select subject, state, reason from tradeflow.outbox_history where rule = 'timer' order by id;
select tradeflow.set_clock('2026-11-25 12:00+00');
select tradeflow.tick() - '{partitions,swept}'::text[];
select subject, state from tradeflow.outbox where rule = 'timer' order by subject;

-- Turning a rule off cancels what waits.
update tradeflow.rules set mode = 'off' where name = 'timer';
select subject, state from tradeflow.outbox where rule = 'timer' order by subject;
select tradeflow.set_clock(null) > '2026-11-22' as real_time;
