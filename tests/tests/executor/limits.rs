//! What a target lets through: rate, concurrency, circuit breaker; all claimers together, and the others undisturbed.

use tradeflow_tests::database::Database;

use super::{claim, end_leases, jobs};

/// So many jobs, each in a lane of its own, and limits of their target.
async fn limited(jobs_wanted: u32, limits: &str) -> Database {
    let db = jobs().await;
    db.sql(&format!(
        "update tradeflow.targets set {limits} where name = 'there'; insert into jobs select generate_series(1, {jobs_wanted})"
    ))
    .await;
    db
}

async fn fail_all(db: &Database, outcome: &str) {
    db.sql(&format!("select tradeflow.fail(id, attempt, 'down', '{outcome}') from tradeflow.outbox where state = 'running'"))
        .await;
}

async fn complete_all(db: &Database) {
    db.sql("select tradeflow.complete(array_agg(id), array_agg(attempt), array_agg('{}'::jsonb)) from tradeflow.outbox where state = 'running'")
        .await;
}

const BREAKER: &str = "select breaker || ' ' || failures from tradeflow.target_states where target = 'there'";

#[tokio::test]
async fn a_rate_is_a_bucket_that_fills_evenly() {
    let db = limited(20, "rate_limit = 6, rate_period = '1 hour', burst = 3").await;
    assert_eq!(claim(&db, 10).await.len(), 3, "the burst");
    assert_eq!(claim(&db, 10).await.len(), 0);
    assert!(
        db.one::<bool>("select tradeflow.next_due() between '9 minutes' and '10 minutes'").await,
        "the next token comes after a sixth of an hour"
    );
    // 25 minutes are two tokens and a half.
    db.sql("update tradeflow.target_states set refilled_at = refilled_at - interval '25 minutes'").await;
    assert_eq!(claim(&db, 10).await.len(), 2);
    db.sql("update tradeflow.target_states set refilled_at = refilled_at - interval '6 minutes'").await;
    assert_eq!(claim(&db, 10).await.len(), 1, "the half was kept");
    db.sql("update tradeflow.target_states set refilled_at = refilled_at - interval '1 day'").await;
    assert_eq!(claim(&db, 10).await.len(), 3, "no more than the burst");
    // A retry is a request too.
    fail_all(&db, "retry").await;
    db.sql("update tradeflow.outbox set run_at = now()").await;
    assert_eq!(claim(&db, 10).await.len(), 0);
}

#[tokio::test]
async fn a_rate_holds_for_all_claimers_together() {
    let db = limited(100, "rate_limit = 30, rate_period = '1 hour'").await;
    let worker = |name: &'static str| {
        let db = &db;
        async move {
            let client = db.connect().await;
            let mut mine = 0;
            for _ in 0..20 {
                mine += client
                    .query(&format!("select id from tradeflow.claim('{name}', 7, '1 minute')"), &[])
                    .await
                    .expect("it claims")
                    .len();
            }
            mine
        }
    };
    let (a, b, c, d) = tokio::join!(worker("a"), worker("b"), worker("c"), worker("d"));
    assert_eq!(a + b + c + d, 30);
}

#[tokio::test]
async fn no_more_run_at_the_same_time_than_a_target_takes() {
    let db = limited(20, "concurrency = 3").await;
    assert_eq!(claim(&db, 10).await, ["1.1 1", "2.1 2", "3.1 3"]);
    assert_eq!(claim(&db, 10).await.len(), 0);
    db.sql("select tradeflow.complete('{1}', '{1}', array['{}'::jsonb])").await;
    assert_eq!(claim(&db, 10).await, ["4.1 4"]);
    db.sql("select tradeflow.fail(2, 1, 'no', 'dead')").await;
    assert_eq!(claim(&db, 10).await, ["5.1 5"]);
    db.sql("select tradeflow.fail(3, 1, 'busy', 'retry', '1 hour')").await;
    assert_eq!(claim(&db, 10).await, ["6.1 6"]);
    // Lost workers free their places too.
    end_leases(&db).await;
    db.sql("select tradeflow.tick()").await;
    assert_eq!(db.one::<i32>("select running from tradeflow.target_states where target = 'there'").await, 0);
    assert_eq!(claim(&db, 10).await.len(), 3);
    // A limit that comes while some run counts them.
    db.sql("update tradeflow.targets set concurrency = null where name = 'there'").await;
    assert_eq!(claim(&db, 10).await.len(), 10);
    db.sql("update tradeflow.targets set concurrency = 13 where name = 'there'").await;
    assert_eq!(claim(&db, 10).await.len(), 0);
}

#[tokio::test]
async fn concurrent_claimers_never_exceed_a_concurrency() {
    let db = limited(200, "concurrency = 5").await;
    let worker = |name: &'static str| {
        let db = &db;
        async move {
            let client = db.connect().await;
            let mut done = 0;
            let mut most = 0;
            while done < 50 {
                let rows = client
                    .query(&format!("select id, attempt from tradeflow.claim('{name}', 3, '1 minute')"), &[])
                    .await
                    .expect("it claims");
                let running = client
                    .query_one("select count(*) from tradeflow.outbox where state = 'running'", &[])
                    .await
                    .expect("it counts");
                most = most.max(running.get::<_, i64>(0));
                for row in &rows {
                    let (id, attempt): (i64, i32) = (row.get(0), row.get(1));
                    let statement = format!(
                        "select tradeflow.complete('{{{id}}}', '{{{attempt}}}', array['{{}}'::jsonb])"
                    );
                    client.batch_execute(&statement).await.expect("it completes");
                }
                done += rows.len();
                if rows.is_empty() {
                    let left = client
                        .query_one("select count(*) from tradeflow.outbox", &[])
                        .await
                        .expect("it counts");
                    if left.get::<_, i64>(0) == 0 {
                        break;
                    }
                }
            }
            most
        }
    };
    let (a, b, c, d) = tokio::join!(worker("a"), worker("b"), worker("c"), worker("d"));
    let most = a.max(b).max(c).max(d);
    assert!((1..=5).contains(&most), "{most} ran at once");
}

#[tokio::test]
async fn a_breaker_opens_after_failures_in_a_row_and_lets_one_try() {
    let db = limited(20, "breaker_failures = 3, breaker_cooldown = '1 hour'").await;
    assert_eq!(claim(&db, 2).await.len(), 2);
    fail_all(&db, "retry").await;
    assert_eq!(claim(&db, 1).await.len(), 1);
    complete_all(&db).await;
    assert_eq!(db.one::<String>(BREAKER).await, "closed 0", "a success begins the count anew");
    assert_eq!(claim(&db, 5).await.len(), 5);
    fail_all(&db, "retry").await;
    assert_eq!(db.one::<String>(BREAKER).await, "open 5");
    let incidents = db.incidents().await;
    assert!(
        incidents.len() == 1 && incidents[0].contains("target \"there\" failed 3 times in a row"),
        "{incidents:?}"
    );
    assert_eq!(claim(&db, 10).await.len(), 0);
    assert!(db.one::<bool>("select tradeflow.next_due() between '59 minutes' and '1 hour'").await);

    let cooled = "update tradeflow.target_states set retry_at = clock_timestamp()";
    db.sql(cooled).await;
    assert_eq!(claim(&db, 10).await.len(), 1, "one tries");
    assert_eq!(claim(&db, 10).await.len(), 0, "and the others wait for it");
    assert_eq!(db.one::<String>(BREAKER).await, "half_open 5");
    fail_all(&db, "retry").await;
    assert_eq!(db.one::<String>(BREAKER).await, "open 6");
    assert_eq!(db.incidents().await.len(), 0, "it was said once");

    db.sql(cooled).await;
    assert_eq!(claim(&db, 10).await.len(), 1);
    complete_all(&db).await;
    assert_eq!(db.one::<String>(BREAKER).await, "closed 0");
    assert_eq!(claim(&db, 10).await.len(), 10);
}

#[tokio::test]
async fn a_half_open_breaker_tries_again_when_its_trial_is_lost_or_says_nothing() {
    let db = limited(20, "breaker_failures = 1, breaker_cooldown = '1 hour'").await;
    claim(&db, 1).await;
    fail_all(&db, "retry").await;
    db.sql("update tradeflow.target_states set retry_at = clock_timestamp()").await;
    assert_eq!(claim(&db, 10).await.len(), 1);
    // Nobody hears of it again: after its lease another may try.
    db.sql("update tradeflow.target_states set retry_at = clock_timestamp() where retry_at between clock_timestamp() + '59 s' and clock_timestamp() + '60 s'").await;
    assert_eq!(claim(&db, 10).await.len(), 1);
    // A template that does not render says nothing about the destination.
    db.sql("select tradeflow.fail(max(id), 1, 'no such fact', 'dead') from tradeflow.outbox where state = 'running'").await;
    assert_eq!(db.one::<String>(BREAKER).await, "half_open 1");
    assert_eq!(claim(&db, 10).await.len(), 1);
}

#[tokio::test]
async fn what_is_not_there_yet_is_tried_again_and_no_fault_of_the_target() {
    let db = limited(20, "breaker_failures = 3, breaker_cooldown = '1 hour'").await;
    assert_eq!(claim(&db, 10).await.len(), 10);
    fail_all(&db, "not_yet").await;
    assert_eq!(db.one::<String>(BREAKER).await, "closed 0");
    let waiting = "select count(*) from tradeflow.outbox where state = 'ready' and attempt = 1 and run_at > clock_timestamp()";
    assert_eq!(db.one::<i64>(waiting).await, 10, "after their backoff");
    assert_eq!(claim(&db, 10).await.len(), 10, "others go on meanwhile");

    // Nor does it wait for ever.
    db.sql("update tradeflow.outbox set max_attempts = 1 where state = 'running'").await;
    fail_all(&db, "not_yet").await;
    let dead = "select count(*) from tradeflow.outbox where state = 'dead' and error like 'gave up after 1 attempts: %'";
    assert_eq!(db.one::<i64>(dead).await, 10);
    assert_eq!(db.one::<String>(BREAKER).await, "closed 0");
}

#[tokio::test]
async fn a_target_without_a_breaker_never_opens_and_throttling_is_no_failure() {
    let db = limited(20, "breaker_failures = 0").await;
    assert_eq!(claim(&db, 10).await.len(), 10);
    fail_all(&db, "retry").await;
    assert_eq!(db.one::<String>(BREAKER).await, "closed 10");
    assert_eq!(claim(&db, 5).await.len(), 5);
    db.sql("update tradeflow.targets set breaker_failures = 11 where name = 'there'").await;
    db.sql("select tradeflow.fail(id, attempt, '429', 'retry', '1 hour', true) from tradeflow.outbox where state = 'running'").await;
    assert_eq!(db.one::<String>(BREAKER).await, "closed 10");
    assert_eq!(claim(&db, 5).await.len(), 0);
}

#[tokio::test]
async fn targets_without_limits_pay_nothing() {
    let db = limited(5, "breaker_failures = 10").await;
    let version = "select xmin::text || ctid::text from tradeflow.target_states where target = 'there'";
    let before: String = db.one(version).await;
    claim(&db, 5).await;
    // Another session may hold the state: nobody asks for it.
    let other = db.connect().await;
    other.batch_execute("begin; select from tradeflow.target_states for update").await.expect("it locks");
    db.sql("set lock_timeout = '2s'").await;
    complete_all(&db).await;
    db.sql("insert into jobs values (6)").await;
    assert_eq!(claim(&db, 5).await.len(), 1);
    other.batch_execute("rollback").await.expect("it unlocks");
    let after: String = db.one(version).await;
    assert_eq!(before.split('(').nth(1), after.split('(').nth(1), "the row was never written");
}

#[tokio::test]
async fn a_worker_says_how_many_of_which_target_it_takes() {
    let db = limited(5, "breaker_failures = 10").await;
    db.sql("insert into jobs select -generate_series(1, 5)").await;
    let claimed = |room: &'static str| {
        let db = &db;
        async move {
            let query = format!("select coalesce(target, '') || ' ' || count(*) from tradeflow.claim('w', 100, '1 minute', room => '{room}') group by target order by 1");
            let rows: Vec<String> = db.column(&query).await;
            rows
        }
    };
    assert_eq!(claimed(r#"{"there": 0, "*": 2}"#).await, ["smtp 2"]);
    assert_eq!(claimed(r#"{"there": 1, "smtp": 1}"#).await, ["smtp 1", "there 1"]);
    assert_eq!(claimed(r#"{"*": 100}"#).await, ["smtp 2", "there 4"]);
}

/// What stands in front of the others and cannot go on: stopped, throttled, cut off, of a kind nobody asks for.
#[tokio::test]
async fn what_one_target_has_in_front_is_not_read_on_the_way_to_another() {
    let db = limited(20_000, "paused_at = now()").await;
    db.sql("insert into jobs values (-1)").await;
    let read = |what: &'static str| {
        let db = &db;
        async move {
            let client = db.connect().await;
            let count = "select pg_stat_get_xact_tuples_returned('tradeflow.outbox_ready'::regclass)";
            client.batch_execute("begin").await.expect("it begins");
            let rows = client.query(what, &[]).await.expect("it claims").len();
            let entries: i64 = client.query_one(count, &[]).await.expect("it counts").get(0);
            client.batch_execute("rollback").await.expect("it ends");
            (rows, entries)
        }
    };
    for stopped in [
        "update tradeflow.targets set paused_at = now()",
        "update tradeflow.targets set paused_at = null; update tradeflow.target_states set throttled_until = now() + interval '1 hour' where target = 'there'",
        "update tradeflow.target_states set throttled_until = null, breaker = 'open', retry_at = now() + interval '1 hour' where target = 'there'",
        "update tradeflow.target_states set breaker = 'closed'; update tradeflow.action_kinds set paused_at = now() where name = 'http'",
    ] {
        db.sql(stopped).await;
        db.sql("update tradeflow.targets set paused_at = null where name = 'smtp'").await;
        let (rows, entries) = read("select id from tradeflow.claim('w', 100, '1 minute')").await;
        assert_eq!(rows, 1, "{stopped}");
        assert!(entries < 100, "{stopped}: {entries} entries of the index were read");
    }
    db.sql("update tradeflow.action_kinds set paused_at = null").await;
    let (rows, entries) = read("select id from tradeflow.claim('w', 100, '1 minute', '{email}')").await;
    assert!(rows == 1 && entries < 100, "{rows} rows, {entries} entries");
}

/// A dump brings no states, and rows that come while triggers are off make none: limits hold all the same.
#[tokio::test]
async fn the_state_of_a_target_is_made_again_where_it_is_missing() {
    let db = limited(9, "concurrency = 3").await;
    assert_eq!(claim(&db, 10).await.len(), 3);
    db.sql("delete from tradeflow.target_states").await;
    assert_eq!(claim(&db, 10).await.len(), 0, "what runs counts");
    db.sql("delete from tradeflow.target_states; update tradeflow.targets set breaker_failures = 3").await;
    fail_all(&db, "retry").await;
    assert_eq!(db.one::<String>(BREAKER).await, "open 3");
    assert_eq!(claim(&db, 10).await.len(), 0);
}
