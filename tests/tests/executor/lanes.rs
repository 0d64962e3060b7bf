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
async fn a_retrying_action_blocks_its_lane_and_a_dead_or_waiting_one_does_not() {
    let db = jobs().await;
    db.sql("insert into jobs values (1); update jobs set n = 1").await;
    claim(&db, 1).await;
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 1, 'busy', 'retry', '1 hour')").await, "ready");
    assert_eq!(claim(&db, 10).await, Vec::<String>::new());
    assert!(db.one::<bool>("select tradeflow.retry(1)").await, "a person may hurry it");
    assert_eq!(claim(&db, 10).await, ["1.2 1"]);
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 2, 'no', 'dead')").await, "dead");
    assert_eq!(claim(&db, 10).await, ["2.1 1"]);
    // Waiting for a far day.
    db.sql("update tradeflow.outbox set state = 'waiting', run_at = now() + interval '1 day' where id = 1; insert into jobs values (5); select tradeflow.complete('{2}', '{1}', array['{}'::jsonb]); update jobs set n = 7 where id = 1")
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
