//! Per subject first in, first out; different subjects in parallel.

use super::{claim, end_leases, jobs, OUTBOX};

#[tokio::test]
async fn two_actions_of_one_subject_are_never_out_at_once() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2); update jobs set n = 1; update jobs set n = 2").await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "2.1 2"]);
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(claim(&db, 10).await, ["3.1 1"]);
    db.sql("select tradeflow.complete('{3,2}', '{1,1}', array['{}','{}']::jsonb[])").await;
    assert_eq!(claim(&db, 10).await, ["4.1 2", "5.1 1"]);
}

#[tokio::test]
async fn a_retrying_action_blocks_its_lane_and_a_waiting_one_does_not() {
    let db = jobs().await;
    db.sql("insert into jobs values (1); update jobs set n = 1").await;
    claim(&db, 1).await;
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 1, 'busy', 'retry', '1 hour')").await, "ready");
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    assert!(db.one::<bool>("select tradeflow.retry(1)").await, "a person may hurry it");
    assert_eq!(claim(&db, 10).await, ["1.2 1"]);
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 2, 'no', 'dead')").await, "dead");
    assert!(db.one::<bool>("select tradeflow.cancel(1)").await);
    assert_eq!(claim(&db, 10).await, ["2.1 1"]);
    // Waiting for a far day.
    db.sql("insert into tradeflow.outbox (firing_id, rule, rule_version, source, event, subject, step, action, kind, target, lane, state, facts, run_at)
            values (99, 'job', 1, 'public.jobs', 'insert', '1', 1, 'call', 'http', 'there', 'public.jobs:1', 'waiting', '{}', now() + interval '1 day'); insert into jobs values (5); select tradeflow.complete('{2}', '{1}', array['{}'::jsonb]); update jobs set n = 7 where id = 1")
        .await;
    assert_eq!(claim(&db, 10).await.len(), 2);
}

/// A timer's id is older than what runs in its lane; being due does not put it beside it.
#[tokio::test]
async fn what_becomes_ready_late_waits_for_what_runs() {
    let db = jobs().await;
    db.sql(
        "update tradeflow.rules set fire_at = 'tradeflow.now() + interval ''1 day''', fires = 'enter' where name = 'job';
         insert into tradeflow.rules (name, source, condition) values ('second', 'public.jobs', 'new.n = 2');
         insert into tradeflow.actions (rule, kind, target) values ('second', 'http', 'there');
         insert into jobs values (1, 1);
         update jobs set n = 2",
    )
    .await;
    let ready: Vec<String> = db.column("select rule || ' ' || state from tradeflow.outbox order by id").await;
    assert_eq!(ready[0], "job waiting");
    let out = claim(&db, 1).await;
    assert_eq!(out.len(), 1);
    let running: i64 = db.one("select id from tradeflow.outbox where state = 'running'").await;
    db.sql("update tradeflow.outbox set state = 'ready', run_at = now() where state = 'waiting'").await;
    assert_eq!(claim(&db, 10).await, Vec::<String>::new(), "one of the lane is out");
    db.sql(&format!("select tradeflow.complete('{{{running}}}', '{{1}}', array['{{}}'::jsonb])")).await;
    assert_eq!(claim(&db, 10).await.len(), 1);
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
}

#[tokio::test]
async fn claims_in_the_order_of_their_time_and_no_more_than_asked() {
    let db = jobs().await;
    db.sql("insert into jobs select generate_series(1, 5); update tradeflow.outbox set run_at = now() - id * interval '1 minute'").await;
    assert_eq!(claim(&db, 2).await, ["5.1 5", "4.1 4"]);
    assert_eq!(claim(&db, 10).await, ["3.1 3", "2.1 2", "1.1 1"]);
}

#[tokio::test]
async fn kinds_that_a_worker_does_not_know_are_left_to_others() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1)").await;
    let of = |kinds: &'static str| {
        let db = &db;
        async move {
            db.column::<String>(&format!("select kind from tradeflow.claim('w', 10, '1 minute', '{kinds}')"))
                .await
        }
    };
    assert_eq!(of("{}").await, Vec::<String>::new());
    assert_eq!(of("{fax,email}").await, ["email"]);
    assert_eq!(of("{fax,http}").await, ["http"]);
}

#[tokio::test]
async fn a_lane_is_its_table_and_subject() {
    let db = jobs().await;
    db.watch("other", "id int primary key").await;
    db.sql("insert into tradeflow.rules (name, source) values ('other', 'public.other');
            insert into tradeflow.rules (name, source, query) values ('by_n', 'public.jobs', 'select new.n as subject');
            insert into tradeflow.actions (rule, kind, target) values ('other', 'http', 'there'), ('by_n', 'http', 'there');
            insert into other values (1); insert into jobs values (1, 7), (2, 7)")
        .await;
    let lanes: Vec<String> = db.column("select rule || ' ' || lane from tradeflow.outbox order by id").await;
    assert_eq!(
        lanes,
        [
            "other public.other:1",
            "job public.jobs:1",
            "job public.jobs:2",
            "by_n public.jobs:7",
            "by_n public.jobs:7"
        ]
    );
    assert_eq!(claim(&db, 10).await.len(), 4);
    end_leases(&db).await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.column::<String>(OUTBOX).await.iter().filter(|s| s.ends_with("ready 1")).count(), 4);
}

#[tokio::test]
async fn an_action_may_have_a_lane_of_its_own() {
    let db = jobs().await;
    db.sql("update tradeflow.actions set lane = 'n {{ facts.n }}' where rule = 'job';
            insert into tradeflow.actions (rule, step, kind, target, lane) values ('job', 2, 'http', 'there', '{{ rule.name }}/{{ source }}/{{ subject }}/{{ event }}');
            insert into jobs values (1, 7), (2, 7), (3, 8)")
        .await;
    assert_eq!(
        db.column::<String>("select lane from tradeflow.outbox order by id").await,
        ["n 7", "n 7", "n 8"]
    );
    assert_eq!(claim(&db, 10).await, ["1.1 1", "3.1 3"]);
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(
        db.one::<String>("select lane from tradeflow.outbox where step = 2").await,
        "job/public.jobs/1/insert"
    );
    assert_eq!(claim(&db, 10).await, ["2.1 2", "4.1 1"]);
}

#[tokio::test]
async fn a_lane_that_cannot_be_rendered_is_an_incident_and_costs_no_firing() {
    let db = jobs().await;
    db.sql("update tradeflow.actions set lane = '{{ facts.m }}' where rule = 'job'; insert into jobs values (1, 7)").await;
    db.sql("update tradeflow.actions set lane = '{% if facts.n == 1 %}x{% endif %}' where rule = 'job'; insert into jobs values (2, 7)").await;
    assert_eq!(
        db.column::<String>("select lane from tradeflow.outbox order by id").await,
        ["public.jobs:1", "public.jobs:2"]
    );
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 2
            && incidents[0].starts_with("lane_error job 1")
            && incidents[0].contains("undefined"),
        "{incidents:?}"
    );
    assert!(incidents[1].contains("0 characters"), "{incidents:?}");
    let error = db.error("update tradeflow.actions set lane = '{{ facts.n' where rule = 'job'").await;
    assert_eq!(error.code, "42601", "{error:?}");
}

/// Bad input: the longest names there may be are lanes, and longer ones are refused with a reason; neither fails the statement.
#[tokio::test]
async fn a_subject_too_long_to_be_one_is_an_incident_and_the_longest_is_a_lane() {
    let db = jobs().await;
    // Incompressible: an index cannot make it shorter.
    let noise = |bytes: usize| {
        format!("(select left(string_agg(md5(x::text), ''), {bytes}) from generate_series(1, 200) x)")
    };
    db.sql(
        "create table long (key text, n int);
         select tradeflow.watch('long', key => '{key}');
         insert into tradeflow.rules (name, source) values ('long', 'public.long');
         insert into tradeflow.actions (rule, kind, target, params) values ('long', 'http', 'there', '{\"path\": \"/\"}')",
    )
    .await;
    db.sql(&format!(
        "insert into long values ({}, 1), ({}, 2), ({}, 3)",
        noise(1000),
        noise(1001),
        noise(3000)
    ))
    .await;
    assert_eq!(db.one::<i64>("select count(*) from long").await, 3);
    assert_eq!(
        db.column::<i32>("select length(lane) from tradeflow.outbox").await,
        [1000 + "public.long:".len() as i32]
    );
    let incidents = db.incidents().await;
    assert!(incidents.len() == 1 && incidents[0].contains("longer than 1000 bytes"), "{incidents:?}");
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history").await, 1);

    // A lane of its own: 500 characters of four bytes each.
    db.sql(
        "update tradeflow.actions set lane = '{% for _ in range(facts.n) %}{{ facts.key }}{% endfor %}' where rule = 'long';
         insert into long values ((select string_agg(chr(128512 + (x * 7919) % 79), '') from generate_series(1, 250) x), 2), ('x', 501)",
    )
    .await;
    assert_eq!(
        db.column::<String>(
            "select length(lane) || ' ' || octet_length(lane) from tradeflow.outbox order by id"
        )
        .await,
        ["500 2000", "13 13"]
    );
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 1 && incidents[0].contains("a lane of 501 characters; it must have 1 to 500"),
        "{incidents:?}"
    );
}

#[tokio::test]
async fn a_dead_action_blocks_its_lane_until_a_person_acts() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2); update jobs set n = 1; update jobs set n = 2").await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "2.1 2"]);
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 1, 'no', 'dead')").await, "dead");
    assert_eq!(db.one::<String>("select tradeflow.fail(2, 1, 'who knows', 'uncertain')").await, "uncertain");
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    let incidents = db.incidents().await;
    assert!(
        incidents.iter().all(|i| i.contains("2 later actions of its lane wait behind it")),
        "{incidents:?}"
    );
    assert!(db.one::<bool>("select tradeflow.retry(1)").await);
    assert_eq!(claim(&db, 10).await, ["1.2 1"], "it is tried again before the others");
    db.sql("select tradeflow.complete('{1}', '{2}', array['{}'::jsonb])").await;
    assert_eq!(claim(&db, 10).await, ["3.1 1"]);
    assert!(db.one::<bool>("select tradeflow.cancel(2, 'it arrived')").await);
    assert_eq!(claim(&db, 10).await, ["4.1 2"]);
}

#[tokio::test]
async fn a_dead_action_lets_its_lane_go_on_where_it_says_so() {
    let db = jobs().await;
    db.sql("update tradeflow.actions set on_dead = 'continue'; insert into jobs values (1), (-2); update jobs set n = 1").await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "2.1 -2"]);
    db.sql("select tradeflow.fail(1, 1, 'no', 'dead'), tradeflow.fail(2, 1, 'who knows', 'uncertain')").await;
    assert_eq!(claim(&db, 10).await, ["3.1 1", "4.1 -2"]);
    assert!(!db.incidents().await.iter().any(|i| i.contains("wait behind it")));
}

/// Many that wait for their lane are put aside once, and come back one by one, in their order.
#[tokio::test]
async fn a_lane_with_a_long_tail_keeps_its_order_and_holds_up_nobody() {
    let db = jobs().await;
    db.sql("update tradeflow.rules set max_per_subject = 100000; insert into jobs values (1); do $$ begin for i in 1..300 loop update jobs set n = i where id = 1; end loop; end $$; insert into jobs values (2)")
        .await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "302.1 2"]);
    let parked = "select count(*) from tradeflow.outbox where parked = 'lane'";
    assert_eq!(db.one::<i64>(parked).await, 300);
    let next = |id: i64, attempt: i32| {
        let db = &db;
        async move {
            db.sql(&format!("select tradeflow.complete('{{{id}}}', '{{{attempt}}}', array['{{}}'::jsonb])"))
                .await;
            claim(db, 10).await
        }
    };
    assert_eq!(next(1, 1).await, ["2.1 1"]);
    assert_eq!(next(2, 1).await, ["3.1 1"]);
    // Whatever ends the turn of the one before: a person who cancels, holds or discards it, a lost worker, a deleted rule.
    db.sql("select tradeflow.fail(3, 1, 'no', 'dead')").await;
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    db.sql("select tradeflow.cancel(3)").await;
    assert_eq!(db.one::<i64>(parked).await, 297, "the next one is free");
    assert_eq!(db.one::<i32>("select tradeflow.hold('{4}')").await, 1);
    assert_eq!(claim(&db, 10).await, ["5.1 1"]);
    super::end_leases(&db).await;
    db.sql("select tradeflow.tick()").await;
    // Which lane comes first is promised to nobody.
    let mut again = claim(&db, 10).await;
    again.sort();
    assert_eq!(again, ["302.2 2", "5.2 1"]);
    assert_eq!(db.one::<i32>("select tradeflow.release_held(ids => '{4}')").await, 1);
    assert_eq!(claim(&db, 10).await, Vec::<String>::new(), "5 runs");
    assert_eq!(next(5, 2).await, ["4.1 1"], "it is older than the others");
    // What was changed by hand is healed.
    db.sql("delete from tradeflow.outbox where id = 4; update tradeflow.upkeep set done_at = null; select tradeflow.tick()").await;
    assert_eq!(claim(&db, 10).await, ["6.1 1"]);
}

#[tokio::test]
async fn the_actions_of_a_paused_rule_are_put_aside_and_come_back() {
    let db = jobs().await;
    db.sql("insert into jobs select generate_series(1, 200); select tradeflow.pause('job'); insert into jobs values (-1)").await;
    assert_eq!(claim(&db, 10).await, ["201.1 -1"]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where parked = 'rule'").await, 200);
    db.sql("select tradeflow.resume('job')").await;
    assert_eq!(claim(&db, 3).await, ["1.1 1", "2.1 2", "3.1 3"]);
}

/// Two claims at the same moment, each of which sees an action of the lane that the other one does not: the index refuses
/// the second, and its claim looks again.
#[tokio::test]
async fn one_that_becomes_ready_while_another_of_its_lane_is_claimed_waits() {
    for outcome in ["commit", "rollback"] {
        let db = jobs().await;
        db.sql("insert into jobs values (1); update jobs set n = 1; update tradeflow.outbox set state = 'waiting', run_at = now() + interval '1 hour' where id = 1")
            .await;
        let first = db.connect().await;
        first.batch_execute("begin").await.expect("it begins");
        let rows = first
            .query("select id from tradeflow.claim('first', 10, '1 minute')", &[])
            .await
            .expect("it claims");
        assert_eq!(rows.iter().map(|r| r.get::<_, i64>(0)).collect::<Vec<_>>(), [2]);
        // The older one is due now, and what runs is not yet to be seen.
        db.sql("update tradeflow.outbox set state = 'ready', run_at = now() where id = 1").await;
        let second = db.connect().await;
        let pid: i32 = second.query_one("select pg_backend_pid()", &[]).await.expect("it says").get(0);
        let claiming = tokio::spawn(async move {
            second
                .query("select id from tradeflow.claim('second', 10, '1 minute')", &[])
                .await
                .expect("it claims")
                .len()
        });
        db.until(&format!(
            "select exists (select from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock')"
        ))
        .await;
        first.batch_execute(outcome).await.expect("it ends");
        let claimed = claiming.await.expect("it ends");
        let running: Vec<i64> = db.column("select id from tradeflow.outbox where state = 'running'").await;
        match outcome {
            "commit" => assert_eq!((claimed, running), (0, vec![2])),
            _ => assert_eq!((claimed, running), (1, vec![1])),
        }
    }
}

/// However it is raced: several claimers, lanes whose older actions become ready late, and never two of one lane.
#[tokio::test]
async fn never_two_of_a_lane_whatever_comes_late() {
    let db = jobs().await;
    db.sql(
        "update tradeflow.rules set max_per_subject = 100000;
         insert into jobs select generate_series(1, 8);
         do $$ begin for i in 1..60 loop update jobs set n = i; end loop; end $$;
         update tradeflow.outbox set state = 'waiting', run_at = now() + random() * interval '1 second' where id % 3 = 0",
    )
    .await;
    let worker = |name: &'static str| {
        let db = &db;
        async move {
            let client = db.connect().await;
            loop {
                let statement = format!("select id, attempt from tradeflow.claim('{name}', 3, '1 minute')");
                let rows = client.query(&statement, &[]).await.expect("it claims");
                // The index refuses it; this is for the day when somebody drops the index.
                let doubles = "select count(*) from (select from tradeflow.outbox where state = 'running' group by lane having count(*) > 1) x";
                assert_eq!(client.query_one(doubles, &[]).await.expect("it counts").get::<_, i64>(0), 0);
                for row in &rows {
                    let (id, attempt): (i64, i32) = (row.get(0), row.get(1));
                    let done = format!(
                        "select tradeflow.complete('{{{id}}}', '{{{attempt}}}', array['{{}}'::jsonb])"
                    );
                    client.batch_execute(&done).await.expect("it completes");
                }
                client.batch_execute("update tradeflow.outbox set state = 'ready', run_at = clock_timestamp() where state = 'waiting' and run_at < clock_timestamp() and id in (select id from tradeflow.outbox where state = 'waiting' for update skip locked)").await.expect("timers");
                if client
                    .query_one("select count(*) from tradeflow.outbox", &[])
                    .await
                    .expect("it counts")
                    .get::<_, i64>(0)
                    == 0
                {
                    return;
                }
            }
        }
    };
    tokio::join!(worker("a"), worker("b"), worker("c"), worker("d"));
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox_history where state = 'done'").await,
        8 * 61
    );
}

/// Strict order with steps: of two firings about one subject neither step overtakes its like, and only one is out at a time.
#[tokio::test]
async fn a_later_step_has_its_place_from_the_moment_the_step_before_is_done() {
    let db = jobs().await;
    db.sql("insert into tradeflow.actions (rule, step, name, kind, target, params) values ('job', 2, 'then', 'http', 'there', '{\"path\": \"/then\"}');
            insert into jobs values (1, 1); update jobs set n = 2")
        .await;
    let mut order = Vec::new();
    for _ in 0..4 {
        let taken: Vec<String> = db
            .column("select concat_ws(' ', id, attempt, facts ->> 'n', coalesce(action, '')) from tradeflow.claim('w', 10, '1 minute')")
            .await;
        let [one] = &taken[..] else { panic!("one at a time: {taken:?}") };
        let words: Vec<&str> = one.split(' ').collect();
        order.push(format!("{} of {}", words[3], words[2]));
        let (id, attempt) = (words[0], words[1]);
        db.sql(&format!("select tradeflow.complete('{{{id}}}', '{{{attempt}}}', array['{{}}'::jsonb])"))
            .await;
    }
    assert_eq!(order, ["call of 1", "call of 2", "then of 1", "then of 2"]);
}
