//! What only time brings: the history's partitions, sweeping, counts, and that several may tick at once.

use super::{claim, jobs};

#[tokio::test]
async fn partitions_of_the_history_are_made_ahead_and_dropped_after_their_time() {
    let db = jobs().await;
    // Before anybody ticks, finished actions lie in the default partition.
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history_default").await, 1);
    // Tomorrow of the history and of the change log. Today's would refuse what is being written at that moment.
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await, 2);
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await, 0);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history_default").await, 1);
    // What has come of age goes with the first tick() of a day.
    db.sql(
        "update tradeflow.outbox_history_default set finished_at = finished_at - interval '91 days';
         do $$ begin execute 'drop table tradeflow.outbox_history_' || to_char(now() at time zone 'UTC' + interval '1 day', 'YYYYMMDD'); end $$",
    )
    .await;
    assert_eq!(db.one::<i32>("select (tradeflow.tick() ->> 'partitions')::int").await, 1);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history_default").await, 0);
    db.sql("insert into jobs values (2)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{2}', '{1}', array['{}'::jsonb]); select tradeflow.tick()").await;
    let place = "select tableoid::regclass || ' ' || id from tradeflow.outbox_history";
    assert_eq!(db.one::<String>(place).await, "tradeflow.outbox_history_default 2");
    // Days of long ago and of 30 and 100 days ago.
    db.sql("do $$ declare d date; begin
              foreach d in array array[date '2020-01-01', current_date - 30, current_date - 100] loop
                execute format('create table tradeflow.outbox_history_%s partition of tradeflow.outbox_history for values from (%L) to (%L)', to_char(d, 'YYYYMMDD'), d || ' 00:00+00', d + 1 || ' 00:00+00');
              end loop; end $$;
            select tradeflow.tick()")
        .await;
    let partitions =
        "select count(*) from pg_inherits where inhparent = 'tradeflow.outbox_history'::regclass";
    assert_eq!(db.one::<i64>(partitions).await, 3, "tomorrow, 30 days ago, default");
    db.sql(
        "insert into tradeflow.settings (name, value) values ('history_days', '7'); select tradeflow.tick()",
    )
    .await;
    assert_eq!(db.one::<i64>(partitions).await, 2);
    // A setting that is no number keeps the default, and ticks go on.
    db.sql("update tradeflow.settings set value = 'a week'; select tradeflow.tick()").await;
}

/// The history forgets; what failed is not in it until a person has seen to it.
#[tokio::test]
async fn what_needs_a_person_outlives_the_history() {
    let db = jobs().await;
    db.sql("insert into tradeflow.settings (name, value) values ('history_days', '1'); insert into jobs values (1), (2), (3), (-4)").await;
    claim(&db, 4).await;
    db.sql(
        "select tradeflow.fail(1, 1, 'no', 'dead'), tradeflow.fail(4, 1, 'who knows', 'uncertain');
         select tradeflow.complete('{3}', '{1}', array['{}'::jsonb]);
         select tradeflow.fail(2, 1, 'later', 'retry'); select tradeflow.hold('{2}');
         update tradeflow.outbox set created_at = now() - interval '400 days', run_at = now() - interval '400 days';
         update tradeflow.outbox_history_default set finished_at = now() - interval '400 days';
         select tradeflow.tick()",
    )
    .await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history").await, 0, "it forgets");
    assert_eq!(
        db.column::<String>("select id || ' ' || state from tradeflow.outbox order by id").await,
        ["1 dead", "2 held", "4 uncertain"]
    );
}

#[tokio::test]
async fn finished_firings_are_swept_into_the_history_and_stay_firings() {
    let db = jobs().await;
    db.sql("delete from tradeflow.actions; insert into jobs values (1), (2); select tradeflow.tick()").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 0);
    let firings: Vec<String> = db.column("select concat_ws(' ', rule, subject, state, actions, facts) from tradeflow.firings order by firing_id").await;
    assert_eq!(firings, [r#"job 1 done 0 {"n": null, "id": 1}"#, r#"job 2 done 0 {"n": null, "id": 2}"#]);
}

#[tokio::test]
async fn only_one_ticks_at_a_time_and_nobody_waits() {
    let db = jobs().await;
    let other = db.connect().await;
    other.batch_execute("begin; select tradeflow.tick()").await.expect("it ticks");
    db.sql("set lock_timeout = '2s'").await;
    assert_eq!(db.one::<String>("select tradeflow.tick()::text").await, r#"{"busy": true}"#);
    other.batch_execute("commit").await.expect("it ends");
    assert!(db.one::<String>("select tradeflow.tick()::text").await.contains("rescued"));
}

#[tokio::test]
async fn the_health_of_the_queue_is_told_by_state_kind_and_target() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (3), (-1); update tradeflow.outbox set run_at = now() - interval '1 hour' where subject = '2'").await;
    db.sql("select tradeflow.claim('w', 1, '1 minute', '{email}')").await;
    let rows: Vec<String> = db.column("select concat_ws(' ', state, kind, target, actions, lag between '59 minutes' and '61 minutes') from tradeflow.queue_health order by state").await;
    assert_eq!(rows, ["ready http there 3 t", "running email smtp 1"]);
}

#[tokio::test]
async fn equal_incidents_become_one_and_noted_ones_stay() {
    let db = jobs().await;
    db.sql("insert into tradeflow.rules (name, source, condition, fires) values ('bad', 'public.jobs', '1 / (new.id - new.id) = 1', 'always')").await;
    for id in 1..=3 {
        db.sql(&format!("insert into jobs values ({id}), ({id} + 10)")).await;
    }
    assert!(db.one::<bool>("select tradeflow.ack(min(id)) from tradeflow.incidents").await);
    db.sql("select tradeflow.tick()").await;
    // Each names the first row it happened for, so these are of different rows.
    let counts: Vec<String> = db
        .column("select concat_ws(' ', kind, subject, count, acked_by) from tradeflow.incidents order by id")
        .await;
    assert_eq!(counts, ["rule_error 1 2 postgres", "rule_error 2 2", "rule_error 3 2"]);
    db.sql("update jobs set n = 1 where id = 2; update jobs set n = 2 where id = 2; select tradeflow.tick()")
        .await;
    assert_eq!(db.one::<String>("select concat_ws(' ', subject, count, last_seen_at > created_at) from tradeflow.incidents where subject = '2'").await, "2 4 t");
}

/// A tick that fails for one thing must not stop the others.
#[tokio::test]
async fn a_tick_goes_on_when_a_rule_or_a_table_is_gone() {
    let db = jobs().await;
    db.sql("insert into tradeflow.rules (name, source, fire_at) values ('timer', 'public.jobs', 'tradeflow.now() + interval ''1 day''');
            insert into tradeflow.actions (rule, kind, target) values ('timer', 'http', 'there');
            select tradeflow.set_clock('2026-01-01'); insert into jobs values (1), (2)")
        .await;
    claim(&db, 2).await;
    super::end_leases(&db).await;
    db.sql("drop table jobs; select tradeflow.set_clock('2026-01-03')").await;
    let done: String = db
        .one("select (tradeflow.tick() - '{partitions,swept,incidents_merged,uncertain,paused,rechecked,scheduled}'::text[])::text")
        .await;
    assert_eq!(done, r#"{"due": 0, "rescued": 2, "cancelled": 2}"#);
}

#[tokio::test]
async fn next_steps_and_rescues_are_notified_once() {
    let db = jobs().await;
    db.sql("insert into tradeflow.actions (rule, step, kind, target) values ('job', 2, 'http', 'there'); insert into jobs values (1), (2), (3)").await;
    claim(&db, 3).await;
    let (_client, mut heard) = db.listen("tradeflow").await;
    db.sql("select tradeflow.complete('{1,2,3}', '{1,1,1}', array['{}','{}','{}']::jsonb[])").await;
    claim(&db, 3).await;
    super::end_leases(&db).await;
    db.sql("select tradeflow.tick(); select tradeflow.tick()").await;
    db.sql("notify tradeflow, 'end'").await;
    let mut payloads = Vec::new();
    while payloads.last().map(String::as_str) != Some("end") {
        payloads.push(heard.recv().await.expect("the session lives"));
    }
    assert_eq!(payloads, ["", "", "end"]);
}

/// A migration, a nightly CLUSTER: whoever reads the table waits. Its rules' timers do; nothing else does.
#[tokio::test]
async fn a_locked_table_holds_up_the_timers_of_its_rules_and_nothing_else() {
    let db = jobs().await;
    db.watch("visits", "id int primary key, at timestamptz").await;
    db.sql(
        "insert into tradeflow.rules (name, source, condition, fire_at) values
           ('visit', 'public.visits', 'new.at is not null', 'new.at'), ('soon', 'public.jobs', 'new.n = 1', 'tradeflow.now() + interval ''1 day''');
         insert into tradeflow.rules (name, schedule, query) values ('nightly', '* * * * *', 'select id as subject, at from public.visits');
         insert into tradeflow.actions (rule, kind, target, params) select r, 'http', 'there', '{\"path\": \"/\"}' from unnest('{visit,soon,nightly}'::text[]) r;
         delete from tradeflow.rules where name in ('job', 'mail');
         insert into visits values (1, now() + interval '1 day'); insert into jobs values (2, 1);
         update tradeflow.outbox set run_at = now() - interval '1 second' where state = 'waiting';
         update tradeflow.schedules set next_run_at = now() - interval '1 second'",
    )
    .await;
    let migration = db.connect().await;
    migration.batch_execute("begin; lock table visits in access exclusive mode").await.expect("it locks");
    // While the rules' part waits, the other part is done by whoever asks.
    let other = db.connect().await;
    let outbox = async {
        let waits =
            "select exists (select from pg_locks where not granted and relation = 'visits'::regclass)";
        while !other.query_one(waits, &[]).await.expect("it looks").get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
        let done = "select tradeflow.tick_outbox()::text, exists (select from pg_locks where not granted)";
        let row = other.query_one(done, &[]).await.expect("it ticks");
        (row.get::<_, String>(0), row.get::<_, bool>(1))
    };
    let rules = db.one::<String>("select (tradeflow.tick_rules() - 'incidents_merged')::text");
    let (rules, (outbox, waits_still)) = tokio::join!(rules, outbox);
    assert!(outbox.contains("rescued") && waits_still, "{outbox}");
    assert_eq!(rules, r#"{"due": 1, "paused": 0, "cancelled": 0, "rechecked": 0, "scheduled": 0}"#);
    let states = "select rule || ' ' || state from tradeflow.outbox order by rule";
    assert_eq!(db.column::<String>(states).await, ["soon ready", "visit waiting"]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.incidents").await, 0);
    let why = "select tradeflow.waits_for(id) from tradeflow.outbox where rule = 'visit'";
    assert!(db.one::<String>(why).await.starts_with("its rule to be asked again"));
    migration.batch_execute("commit").await.expect("it ends");
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.column::<String>(states).await, ["nightly ready", "soon ready", "visit ready"]);
}
