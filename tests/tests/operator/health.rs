//! Sidecars that say they are there, kinds nobody executes, figures counted once for all.

use std::time::Duration;

use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

use super::jobs;

#[tokio::test]
async fn a_sidecar_says_that_it_runs_and_that_it_leaves() {
    let db = Database::with_extension().await;
    let mut sidecar =
        Sidecar::command(&db).env("TRADEFLOW_WORKER", "one").env("TRADEFLOW_KINDS", "email").start();
    db.until("select exists (select from tradeflow.sidecars where worker = 'one' and kinds = '{email}' and concurrency = 128)").await;
    sidecar.terminate();
    assert_eq!(sidecar.wait(Duration::from_secs(10)), 0);
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.sidecars").await, 0);
}

/// Bad input: a kind no sidecar knows. It waits, and is reported, until somebody knows it.
#[tokio::test]
async fn a_kind_that_nobody_executes_is_reported_once_and_closed_when_somebody_does() {
    let db = jobs().await;
    db.sql(
        "insert into tradeflow.action_kinds (name, repeatable, description) values ('fax', true, 'sends a fax');
         insert into tradeflow.rules (name, source, condition) values ('fax', 'public.jobs', 'new.n = 7');
         insert into tradeflow.actions (rule, kind) values ('fax', 'fax');
         insert into jobs values (1, 7);
         delete from tradeflow.outbox where kind <> 'fax'",
    )
    .await;
    let open = "select count(*) from tradeflow.incidents where kind = 'unknown_kind' and acked_at is null";
    db.sql("select tradeflow.present('one', '{email,http}'); select tradeflow.tick()").await;
    assert_eq!(db.one::<i64>(open).await, 0, "it may be taken any moment");
    db.sql("update tradeflow.outbox set run_at = now() - interval '2 minutes'; select tradeflow.tick(); select tradeflow.tick()").await;
    assert_eq!(db.one::<i64>(open).await, 1);
    let message: String = db.one("select message || ' ' || hint from tradeflow.incidents").await;
    assert!(message.contains("kind \"fax\"") && message.contains("tradeflow run --kind fax"), "{message}");
    let doctor = Tradeflow::on(&db, ["doctor"]).run();
    assert_eq!(doctor.code, 1);
    assert!(doctor.stdout.contains("executes kind \"fax\""), "{}", doctor.stdout);

    // Still there, untouched, for whoever can.
    assert_eq!(db.one::<String>("select state from tradeflow.outbox").await, "ready");
    db.sql("select tradeflow.present('two', '{fax}'); select tradeflow.tick()").await;
    assert_eq!(db.one::<i64>(open).await, 0);
}

#[tokio::test]
async fn figures_are_counted_once_for_all_who_ask() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (-3)").await;
    let ready = "select (select sum((q ->> 'actions')::int)::bigint from jsonb_array_elements(tradeflow.health('1 hour') -> 'queue') q where q ->> 'state' = 'ready')";
    assert_eq!(db.one::<i64>(ready).await, 2);
    db.sql("insert into jobs values (4)").await;
    assert_eq!(db.one::<i64>(ready).await, 2, "the last answer serves for an hour");
    assert!(db.one::<bool>("select (tradeflow.health('1 hour') ->> 'age')::float8 > 0").await);
    db.sql("update tradeflow.health_snapshot set took = '0'").await;
    assert_eq!(db.one::<i64>(&ready.replace("1 hour", "0")).await, 3);

    // Counting took ten seconds: not again within the next three minutes, whatever is asked for.
    db.sql("update tradeflow.health_snapshot set took = '10 seconds'; insert into jobs values (5)").await;
    assert_eq!(db.one::<i64>(&ready.replace("1 hour", "0")).await, 3);

    // While another counts, the last answer is as good.
    db.sql("update tradeflow.health_snapshot set took = '0'").await;
    let other = db.connect().await;
    other
        .batch_execute("begin; select pg_advisory_xact_lock(hashtext('tradeflow.health'))")
        .await
        .expect("it locks");
    assert_eq!(db.one::<i64>(&ready.replace("1 hour", "0")).await, 3);
    other.batch_execute("rollback").await.expect("it ends");
    assert_eq!(db.one::<i64>(&ready.replace("1 hour", "0")).await, 4);
}
