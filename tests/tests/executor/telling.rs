//! Who fires tells those who rest, and spares himself that while somebody looks without being told.
//! docs/decisions/0026; every order of these steps is searched in `tests/model/src/wake.rs`.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::Client;
use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::{watch_jobs, Target};
use tradeflow_tests::sidecar::Sidecar;

use super::jobs;

/// The locks, as extension/src/outbox/tell.rs numbers them.
const WRITING: &str = "1953654380, 1";
const RESTING: &str = "1953654380, 2";
const AWAKE: &str = "1953654380, 3";

async fn holding(db: &Database, lock: &str) -> Client {
    let client = db.connect().await;
    client.batch_execute(lock).await.expect("a lock that nobody holds");
    client
}

/// How often something was told while a statement was executed.
async fn told(db: &Database, heard: &mut UnboundedReceiver<String>, statement: &str) -> usize {
    db.sql(statement).await;
    db.sql("notify tradeflow, 'end'").await;
    let mut times = 0;
    while heard.recv().await.expect("the session lives") != "end" {
        times += 1;
    }
    times
}

#[tokio::test]
async fn nobody_is_told_while_one_looks_by_himself_and_none_rests() {
    let db = jobs().await;
    db.sql(
        "update tradeflow.rules set fire_at = 'tradeflow.now() - interval ''1 minute''' where name = 'mail'",
    )
    .await;
    let (_listener, mut heard) = db.listen("tradeflow").await;
    // One that is written without a statement, and one by a statement.
    for id in [1, -1] {
        let fire = |n: i32| format!("insert into jobs values ({})", id * n);
        assert_eq!(told(&db, &mut heard, &fire(1)).await, 1, "nobody is there who looks");
        let many = format!("begin; {}; {}; {}; commit", fire(10), fire(11), fire(12));
        assert_eq!(told(&db, &mut heard, &many).await, 1, "once a transaction");
        let awake = holding(&db, &format!("select pg_advisory_lock({AWAKE})")).await;
        assert_eq!(told(&db, &mut heard, &fire(2)).await, 0, "somebody looks");
        let resting = holding(&db, &format!("select pg_advisory_lock_shared({RESTING})")).await;
        assert_eq!(told(&db, &mut heard, &fire(3)).await, 1, "somebody else rests");
        drop(resting);
        db.until("select not exists (select from pg_locks where locktype = 'advisory' and objid = 2 and database = (select oid from pg_database where datname = current_database()))").await;
        let asking = holding(&db, &format!("select pg_advisory_lock({WRITING})")).await;
        assert_eq!(told(&db, &mut heard, &fire(4)).await, 1, "somebody is about to rest");
        drop((asking, awake));
        db.until("select not exists (select from pg_locks where locktype = 'advisory' and classid = 1953654380 and database = (select oid from pg_database where datname = current_database()))").await;
    }
}

/// Whoever tells nobody says so until it can be seen.
#[tokio::test]
async fn who_wants_to_rest_sees_those_who_told_nobody() {
    let db = jobs().await;
    let _awake = holding(&db, &format!("select pg_advisory_lock({AWAKE})")).await;
    let writer = db.connect().await;
    let settled = format!("select pg_try_advisory_lock({WRITING}) and pg_advisory_unlock({WRITING})");
    writer.batch_execute("begin; insert into jobs values (1)").await.expect("it fires");
    assert!(!db.one::<bool>(&settled).await, "it has not committed");
    writer
        .batch_execute("savepoint s; insert into jobs values (2); rollback to s")
        .await
        .expect("it takes one back");
    assert!(!db.one::<bool>(&settled).await, "the first is still there");
    writer.batch_execute("commit").await.expect("it commits");
    assert!(db.one::<bool>(&settled).await);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 1);
}

/// A sidecar that never polls, and writers in bursts, alone, and slow ones: it goes to rest and is woken all the time, and
/// nothing is left lying.
#[tokio::test]
async fn nothing_is_left_lying_by_a_sidecar_that_only_listens() {
    let db = Database::with_extension().await;
    watch_jobs(&db, &Target::http("http://localhost".into()), "noop", "{}").await;
    db.sql("update tradeflow.rules set max_firings = 100000").await;
    let mut sidecar = Sidecar::command(&db)
        .env("TRADEFLOW_POLL_INTERVAL", "1h")
        .env("TRADEFLOW_TICK_INTERVAL", "1h")
        .start();
    sidecar.wait_for_log("resting until something is told");
    let writer = |number: usize| {
        let db = &db;
        async move {
            let client = db.connect().await;
            for n in 0..40 {
                let id = number * 1000 + n;
                let insert = format!("insert into jobs (id) values ({id})");
                match (number, n % 10) {
                    // Slow ones: what they wrote comes to light long after they saw whether somebody rests.
                    (0, _) => {
                        client.batch_execute(&format!("begin; {insert}; select pg_sleep(0.05); commit")).await
                    }
                    // A pause in which it may go to rest.
                    (_, 9) => client.batch_execute(&format!("select pg_sleep(0.13); {insert}")).await,
                    _ => client.batch_execute(&insert).await,
                }
                .expect("it fires");
            }
        }
    };
    let writers: Vec<_> = (0..6).map(writer).collect();
    futures_util::future::join_all(writers).await;
    db.until("select count(*) = 240 from tradeflow.outbox_history where state = 'done'").await;
    sidecar.wait_for_log("looking without being told");
    // Alone, and long after: it rests again.
    for id in 1..=3 {
        tokio::time::timeout(Duration::from_secs(30), async {
            db.sql(&format!("insert into jobs (id) values (-{id})")).await;
            db.until(&format!(
                "select count(*) = {} from tradeflow.outbox_history where state = 'done'",
                240 + id
            ))
            .await;
        })
        .await
        .expect("it is told");
    }
}
