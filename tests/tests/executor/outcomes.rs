//! What becomes of an attempt: done, retried, dead, uncertain; and the steps after it.

use super::{claim, jobs, OUTBOX};

#[tokio::test]
async fn a_result_and_the_request_are_kept_in_the_history() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql(r#"select tradeflow.complete('{1}', '{1}', array['{"request": {"url": "x"}, "status": 200, "amount": 12345678901234567.89}'::jsonb])"#).await;
    let row: String = db.one("select concat_ws('|', state, result, request, kind, rule, finished_at >= created_at) from tradeflow.outbox_history").await;
    assert_eq!(row, r#"done|{"amount": 12345678901234567.89, "status": 200}|{"url": "x"}|http|job|t"#);
    assert_eq!(
        db.one::<String>(
            "select concat_ws(' ', state, actions, finished_at is not null) from tradeflow.firings"
        )
        .await,
        "done 1 t"
    );
}

#[tokio::test]
async fn retries_back_off_within_bounds_and_end_dead() {
    let db = jobs().await;
    // Full jitter: 0 to 2 s after the first attempt, doubling, never over 10 minutes.
    for (attempt, most) in
        [(1, 2.0), (2, 4.0), (5, 32.0), (9, 512.0), (10, 600.0), (30, 600.0), (2_000_000, 600.0)]
    {
        let (low, high): (f64, f64) = {
            let row = &db
                .rows(&format!("select min(extract(epoch from b))::float8, max(extract(epoch from b))::float8 from (select tradeflow._backoff({attempt}) b from generate_series(1, 300)) x"))
                .await[0];
            (row.get(0), row.get(1))
        };
        assert!(
            low >= 0.0 && high <= most && high > most * 0.8 && low < most * 0.2,
            "{attempt}: {low} to {high}"
        );
    }
    db.sql("insert into jobs values (1)").await;
    for attempt in 1..=2 {
        claim(&db, 1).await;
        assert_eq!(
            db.one::<String>(&format!("select tradeflow.fail(1, {attempt}, 'try {attempt}', 'retry')")).await,
            "ready"
        );
        assert!(db.one::<bool>("select run_at <= clock_timestamp() + interval '4 s' and worker is null and lease_until is null from tradeflow.outbox").await);
        db.sql("update tradeflow.outbox set run_at = now()").await;
    }
    claim(&db, 1).await;
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 3, 'try 3', 'retry')").await, "dead");
    assert_eq!(
        db.incidents().await,
        ["dead_action job 1 - 1: action call of rule \"job\" for 1: gave up after 3 attempts: try 3"]
    );
    // A person grants one more.
    assert!(db.one::<bool>("select tradeflow.retry(1)").await);
    assert_eq!(claim(&db, 1).await, ["1.4 1"]);
    assert_eq!(db.one::<String>("select tradeflow.fail(1, 4, 'again', 'retry')").await, "dead");
}

#[tokio::test]
async fn retry_after_is_a_lower_bound() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.fail(1, 1, 'slow down', 'retry', '2 hours')").await;
    assert!(db.one::<bool>("select run_at between clock_timestamp() + interval '119 minutes' and clock_timestamp() + interval '121 minutes' from tradeflow.outbox").await);
    assert_eq!(claim(&db, 1).await, Vec::<String>::new());
    db.sql("update tradeflow.outbox set run_at = now()").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.fail(1, 2, 'odd', 'retry', '-2 hours')").await;
    assert!(
        db.one::<bool>("select run_at >= clock_timestamp() - interval '1 second' from tradeflow.outbox")
            .await
    );
}

#[tokio::test]
async fn a_permanent_error_is_dead_at_once_and_an_unknown_outcome_uncertain() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (-1)").await;
    claim(&db, 2).await;
    let ids: Vec<i64> = db.column("select id from tradeflow.outbox order by subject desc").await;
    assert_eq!(
        db.one::<String>(&format!("select tradeflow.fail({}, 1, '404', 'dead')", ids[0])).await,
        "dead"
    );
    assert_eq!(
        db.one::<String>(&format!("select tradeflow.fail({}, 1, 'lost', 'uncertain')", ids[1])).await,
        "uncertain"
    );
    assert_eq!(
        db.column::<String>("select kind from tradeflow.incidents order by 1").await,
        ["dead_action", "uncertain_action"]
    );
    db.sql("select tradeflow.tick()").await;
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox where state in ('dead', 'uncertain')").await,
        2
    );
    assert_eq!(
        db.one::<i32>(&format!("select tradeflow.cancel(array[{}, {}]::bigint[], 'looked')", ids[0], ids[1]))
            .await,
        2
    );
    assert_eq!(
        db.column::<String>("select distinct state || ' ' || reason from tradeflow.outbox_history").await,
        ["cancelled looked"]
    );
}

#[tokio::test]
async fn running_actions_cannot_be_cancelled_and_ended_ones_not_retried() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    assert!(!db.one::<bool>("select tradeflow.cancel(1)").await);
    assert!(!db.one::<bool>("select tradeflow.retry(1)").await);
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert!(!db.one::<bool>("select tradeflow.cancel(1)").await);
    assert!(!db.one::<bool>("select tradeflow.retry(1)").await);
}

#[tokio::test]
async fn steps_follow_one_another_and_read_the_results_before_them() {
    let db = jobs().await;
    db.sql(r#"insert into tradeflow.actions (rule, step, name, kind, target, params) values
                ('job', 3, null, 'http', 'there', '{"path": "/{{ steps.call.id }}"}'), ('job', 7, 'last', 'email', 'smtp', '{"to": "x@example.com", "text": "{{ steps[3].ok }}"}');
              insert into jobs values (1)"#)
        .await;
    assert_eq!(claim(&db, 10).await, ["1.1 1"]);
    db.sql(
        r#"select tradeflow.complete('{1}', '{1}', array['{"id": 42, "request": {"secret": "no"}}'::jsonb])"#,
    )
    .await;
    let steps: String = db.one("select steps::text from tradeflow.claim('w', 10, '1 minute')").await;
    assert_eq!(
        steps, r#"{"1": {"id": 42}, "call": {"id": 42}}"#,
        "the rendered request is not what later steps read"
    );
    let second: i64 = db.one("select id from tradeflow.outbox").await;
    db.sql(&format!(r#"select tradeflow.complete('{{{second}}}', '{{1}}', array['{{"ok": true}}'::jsonb])"#))
        .await;
    let row: String = db
        .one("select concat_ws('|', step, action, kind, steps) from tradeflow.claim('w', 10, '1 minute')")
        .await;
    assert_eq!(row, r#"7|last|email|{"1": {"id": 42}, "3": {"ok": true}, "call": {"id": 42}}"#);
    let third: i64 = db.one("select id from tradeflow.outbox").await;
    db.sql(&format!("select tradeflow.complete('{{{third}}}', '{{1}}', array[null::jsonb])")).await;
    assert_eq!(
        db.one::<String>("select concat_ws(' ', state, actions) from tradeflow.firings").await,
        "done 3"
    );
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 0);
}

/// The same action named twice in one call is one completion.
#[tokio::test]
async fn an_action_completed_twice_in_one_call_has_one_next_step() {
    let db = jobs().await;
    db.sql("insert into tradeflow.actions (rule, step, kind, target) values ('job', 2, 'http', 'there'); insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1,1}', '{1,1}', array['{}', '{}']::jsonb[])").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["2 ready 0"]);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox_history").await, 1);
}

#[tokio::test]
async fn a_dead_step_stops_the_firing_or_lets_it_go_on_with_its_error() {
    let db = jobs().await;
    db.sql("insert into tradeflow.actions (rule, step, name, kind, target, on_failure) values ('job', 2, 'then', 'http', 'there', 'continue'), ('job', 3, null, 'http', 'there', 'stop'), ('job', 4, null, 'http', 'there', 'stop');
            insert into jobs values (1)")
        .await;
    let fail = |outcome: &'static str| {
        let db = &db;
        async move {
            claim(db, 1).await;
            db.sql(&format!("select tradeflow.fail(id, attempt, 'broken', '{outcome}') from tradeflow.outbox where state = 'running'")).await;
        }
    };
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    fail("dead").await;
    let steps: String = db.one("select steps ->> 'then' from tradeflow.outbox where step = 3").await;
    assert_eq!(steps, r#"{"error": "broken"}"#);
    fail("dead").await;
    assert_eq!(
        db.column::<String>("select step || ' ' || state from tradeflow.outbox order by step").await,
        ["2 dead", "3 dead"]
    );
}

/// A step that is retried by a person after its successor was begun must not begin it a second time.
#[tokio::test]
async fn a_dead_step_that_succeeds_later_does_not_repeat_the_steps_after_it() {
    let db = jobs().await;
    db.sql("update tradeflow.actions set on_failure = 'continue' where rule = 'job'; insert into tradeflow.actions (rule, step, kind, target) values ('job', 2, 'http', 'there');
            insert into jobs values (1)")
        .await;
    claim(&db, 1).await;
    db.sql("select tradeflow.fail(1, 1, 'broken', 'dead')").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 dead 1", "2 ready 0"]);
    db.sql("select tradeflow.retry(1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1}', '{2}', array['{}'::jsonb])").await;
    assert_eq!(db.column::<String>(OUTBOX).await, ["2 ready 0"]);
}

#[tokio::test]
async fn a_delayed_step_waits_and_its_rule_may_change_meanwhile() {
    let db = jobs().await;
    db.sql("insert into tradeflow.actions (rule, step, kind, target, delay) values ('job', 2, 'http', 'there', '2 days'); select tradeflow.set_clock('2026-01-01 00:00+00'); insert into jobs values (1)").await;
    claim(&db, 1).await;
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(
        db.one::<String>("select concat_ws(' ', state, run_at at time zone 'UTC') from tradeflow.outbox")
            .await,
        "waiting 2026-01-03 00:00:00"
    );
    db.sql("select tradeflow.set_clock('2026-01-03 00:00+00'); select tradeflow.tick()").await;
    assert_eq!(db.one::<String>("select state from tradeflow.outbox where step = 2").await, "ready");
    // An action that was deleted meanwhile is claimed with no parameters: the worker says so.
    db.sql("delete from tradeflow.actions where step = 2").await;
    assert!(
        db.one::<bool>("select params is null from tradeflow.claim('w', 10, '1 minute') where step = 2")
            .await
    );
}

#[tokio::test]
async fn wrong_calls_are_refused_and_change_nothing() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    claim(&db, 1).await;
    for statement in [
        "select from tradeflow.claim(null, 1, '1 minute')",
        "select from tradeflow.claim('', 1, '1 minute')",
        "select from tradeflow.claim('w', 0, '1 minute')",
        "select from tradeflow.claim('w', 10001, '1 minute')",
        "select from tradeflow.claim('w', null, '1 minute')",
        "select from tradeflow.claim('w', 1, '0.5 seconds')",
        "select from tradeflow.claim('w', 1, '2 days')",
        "select from tradeflow.claim('w', 1, null)",
        "select tradeflow.complete('{1}', '{1,1}', array['{}'::jsonb])",
        "select tradeflow.complete('{1}', '{1}', '{}')",
        "select tradeflow.complete('{1}', '{1}', array['[]'::jsonb])",
        "select tradeflow.complete('{1}', '{1}', array['1'::jsonb])",
        "select tradeflow.complete('{1}', '{1}', array[jsonb_build_object('x', repeat(md5(random()::text), 200000))])",
        "select tradeflow.complete('{1}', '{1}', array[jsonb_build_object('x', repeat('x', 50000000))])",
        "select from tradeflow.claim('w', 1, '0')",
        "select from tradeflow.claim('w', 1, '1 year')",
        "select tradeflow.fail(1, 1, 'x', 'perhaps')",
        "select tradeflow.fail(1, 1, 'x', null)",
        "select tradeflow.extend('{1}', '{}', '1 minute')",
        "select tradeflow.extend('{1}', '{1}', '3 days')",
        "select tradeflow.extend('{1}', '{1}', null)",
    ] {
        let error = db.error(statement).await;
        assert_eq!(error.code, "22023", "{statement}: {error:?}");
    }
    let error = db.error("select tradeflow.complete('{7,1}', '{1,1}', array['{}', '[]']::jsonb[])").await;
    assert_eq!(
        error.message,
        "the result of action 1 is of type array; it must be a JSON object of at most 4 MB"
    );
    let error = db.error("select tradeflow.complete('{1}', '{1}', array['no JSON']::jsonb[])").await;
    assert_eq!(error.code, "22P02", "{error:?}");
    assert_eq!(db.column::<String>(OUTBOX).await, ["1 running 1"]);
}

/// A client of another make may say anything; what it says is kept in three places, and a time decides when it is tried again.
#[tokio::test]
async fn what_a_failure_says_is_kept_within_bounds() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (3)").await;
    claim(&db, 3).await;
    db.sql("select tradeflow.fail(1, 1, repeat('x', 50000000), 'retry', '5000 years')").await;
    assert!(
        db.one::<bool>("select run_at <= clock_timestamp() + interval '1 day' and length(error) = 10000 from tradeflow.outbox where id = 1").await
    );
    db.sql("select tradeflow.fail(2, 1, repeat('x', 50000000), 'dead'), tradeflow.fail(3, 1, null, 'dead')")
        .await;
    assert!(
        db.one::<bool>("select max(length(message)) between 10000 and 11000 from tradeflow.incidents").await
    );
    let said = "select error from tradeflow.outbox where id = 3";
    assert_eq!(db.one::<String>(said).await, "no reason was given");
}
