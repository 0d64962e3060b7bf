//! The sidecar's part in limits: a slow destination fills its own share of the slots, and what only waits is given back.

use std::time::Duration;

use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::sidecar::Sidecar;

/// Rows with `slow` go to a target that answers after a minute, the others to one that answers at once.
async fn two_targets(slow: &HttpSink, quick: &HttpSink) -> Database {
    slow.usually(Answer::status(200).after(Duration::from_secs(60)));
    let db = Database::with_extension().await;
    db.watch("jobs", "id int primary key, slow boolean").await;
    db.sql(&format!(
        "insert into tradeflow.targets (name, system, base_url, allow_private, timeout) values
           ('slow', 'http', '{}', true, '2 minutes'), ('quick', 'http', '{}', true, '2 minutes');
         insert into tradeflow.rules (name, source, condition, fires, max_firings) values
           ('slow', 'public.jobs', 'new.slow', 'always', 100000), ('quick', 'public.jobs', 'not new.slow', 'always', 100000);
         insert into tradeflow.actions (rule, kind, target) values ('slow', 'http', 'slow'), ('quick', 'http', 'quick')",
        slow.url(),
        quick.url()
    ))
    .await;
    db
}

#[tokio::test]
async fn a_slow_destination_leaves_the_others_their_slots() {
    let (slow, quick) = (HttpSink::start(), HttpSink::start());
    let db = two_targets(&slow, &quick).await;
    db.sql("insert into jobs select g, true from generate_series(1, 500) g").await;
    let _sidecar = Sidecar::start(&db);
    slow.wait_for(32).await;
    db.sql("insert into jobs select g, false from generate_series(1001, 1300) g").await;
    quick.wait_for(300).await;
    db.until("select count(*) = 300 from tradeflow.outbox_history where target = 'quick'").await;
    assert_eq!(slow.requests().len(), 32, "its own share, and no more");
    assert!(
        db.one::<bool>("select count(*) <= 64 from tradeflow.outbox where state = 'running'").await,
        "what is slow is not claimed ahead"
    );
}

#[tokio::test]
async fn what_only_waits_for_a_slot_is_given_back_when_the_sidecar_leaves() {
    let (slow, quick) = (HttpSink::start(), HttpSink::start());
    let db = two_targets(&slow, &quick).await;
    db.sql("insert into jobs select g, true from generate_series(1, 20) g").await;
    let mut sidecar = Sidecar::command(&db).config("concurrency = 2\nlease = \"10m\"\n").start();
    slow.wait_for(2).await;
    db.sql("insert into jobs select g, false from generate_series(1001, 1020) g").await;
    db.until("select exists (select from tradeflow.outbox where state = 'running' and target = 'quick')")
        .await;
    assert_eq!(quick.requests().len(), 0, "both slots are taken");
    sidecar.terminate();
    db.until("select not exists (select from tradeflow.outbox where target = 'quick' and lease_until > clock_timestamp() + interval '1 minute')").await;
    assert!(sidecar.is_running(), "it finishes what it began");
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where target = 'slow' and lease_until > clock_timestamp() + interval '1 minute'").await, 2);
    sidecar.kill();
}
