//! What is lost, repeated or held when a sidecar or Postgres dies: nothing, what may be, and what may not.

use std::time::Duration;

use tradeflow_tests::database::Database;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::jobs::{watch_jobs, Target, MAIL, POST};
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

/// A sidecar whose leases end soon.
fn short_leases(db: &Database) -> Tradeflow {
    Sidecar::command(db).env("TRADEFLOW_LEASE", "2s")
}

/// A lock that stops every `started()` until it is released, so that a test can act between claim and send.
const HOLD_STARTED: &str = "
    create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(42); return new; end $$;
    create trigger hold before update of started_at on tradeflow.outbox
      for each row when (new.started_at is not null and old.started_at is null) execute function hold();";

#[tokio::test]
async fn killed_after_the_claim_and_before_the_send_the_mail_goes_out_once_the_lease_ends() {
    let db = Database::with_extension().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    db.sql(HOLD_STARTED).await;
    let holder = db.connect().await;
    holder.batch_execute("select pg_advisory_lock(42)").await.expect("nobody else has it");

    let mut first = short_leases(&db).start();
    db.sql("insert into jobs (id, recipient) values (1, 'ada@example.com')").await;
    db.until("select exists (select from pg_stat_activity where wait_event = 'advisory' and datname = current_database())").await;
    let (id, attempt): (i64, i32) = {
        let row = db.rows("select id, attempt from tradeflow.outbox where state = 'running'").await;
        (row[0].get(0), row[0].get(1))
    };
    first.kill();
    // The dead worker's statement must not come through later, as it would not when its host had died.
    db.sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'advisory'").await;
    holder.batch_execute("select pg_advisory_unlock(42)").await.expect("it was ours");
    assert!(sink.mails().is_empty());

    let _second = short_leases(&db).start();
    let mails = sink.wait_for(1).await;
    assert_eq!(mails[0].to, ["ada@example.com"]);
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox_history").await, attempt + 1);
    let late = format!(
        "select accepted from tradeflow.complete(array[{id}], array[{attempt}], array['{{}}'::jsonb])"
    );
    assert!(!db.one::<bool>(&late).await, "the dead attempt's completion is refused");
    assert!(!db.one::<bool>(&format!("select tradeflow.started({id}, {attempt})")).await);
    let failed: Option<String> =
        db.one(&format!("select tradeflow.fail({id}, {attempt}, 'late', 'dead')")).await;
    assert_eq!(failed, None, "so is its failure");
    assert_eq!(sink.settled(Duration::from_millis(500)).await.len(), 1);
}

#[tokio::test]
async fn killed_after_a_mails_send_began_it_is_uncertain_and_not_sent_again() {
    let db = Database::with_extension().await;
    let mut sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    sink.mode_for("hang", 1);
    let mut first = short_leases(&db).start();
    db.sql("insert into jobs (id, recipient) values (1, 'ada@example.com')").await;
    sink.wait_for_body("ada@example.com");
    first.kill();

    let _second = short_leases(&db).start();
    db.until("select count(*) = 1 from tradeflow.outbox where state = 'uncertain'").await;
    let hint: String = db.one("select hint from tradeflow.incidents where kind = 'uncertain_action'").await;
    assert!(hint.contains("retry("), "{hint}");
    // The rest of the queue goes on.
    db.sql("insert into jobs (id, recipient) values (2, 'bob@example.com')").await;
    sink.wait_for(2).await;
    let mails = sink.settled(Duration::from_millis(700)).await;
    assert_eq!(mails.iter().filter(|mail| mail.to == ["ada@example.com"]).count(), 1);

    // A person decides; then it goes out again, under the same Message-ID.
    assert!(
        db.one::<bool>("select tradeflow.retry(id) from tradeflow.outbox where state = 'uncertain'").await
    );
    let mails = sink.wait_for(3).await;
    assert_eq!(mails[0].message_id, mails[2].message_id);
}

#[tokio::test]
async fn killed_in_the_middle_of_an_http_call_it_is_repeated_under_the_same_key() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.script([Answer::status(200).after(Duration::from_secs(60))]);
    watch_jobs(&db, &Target { timeout: 60.0, ..Target::http(sink.url()) }, "http", POST).await;
    let mut first = short_leases(&db).start();
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    first.kill();
    let _second = short_leases(&db).start();
    let requests = sink.wait_for(2).await;
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
}

/// The last of the three moments: the other side has answered, and the database is being told. A call is repeated under its key;
/// a mail has arrived, and nobody noted it: that is for a person to find out.
#[tokio::test]
async fn killed_after_the_answer_and_before_the_completion_a_call_is_repeated_and_a_mail_is_not() {
    let db = Database::with_extension().await;
    let (http, smtp) = (HttpSink::start(), MailSink::start());
    watch_jobs(&db, &Target::http(http.url()), "http", POST).await;
    Target::smtp(smtp.url()).insert(&db, "mail").await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('mail', 'public.jobs', 'new.recipient is not null');
            create function hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$;
            create trigger hold before insert on tradeflow.outbox_history for each row execute function hold()")
        .await;
    db.execute("insert into tradeflow.actions (rule, kind, target, params, lane) values ('mail', 'email', 'mail', $1::text::jsonb, 'mail')", &[&MAIL]).await;
    let holder = db.connect().await;
    holder.batch_execute("select pg_advisory_lock(42)").await.expect("nobody else has it");

    let mut first = short_leases(&db).start();
    db.sql("insert into jobs (id, n, recipient) values (1, 1, 'ada@example.com')").await;
    http.wait_for(1).await;
    smtp.wait_for(1).await;
    let completing =
        "select pid from pg_stat_activity where wait_event = 'advisory' and datname = current_database()";
    db.until(&format!("select exists ({completing})")).await;
    first.kill();
    // What it was saying must not come through later, as it would not when its host had died.
    db.sql(&format!("select pg_terminate_backend(pid) from ({completing}) x")).await;
    holder.batch_execute("select pg_advisory_unlock(42)").await.expect("it was ours");

    let _second = short_leases(&db).start();
    db.until("select count(*) = 1 from tradeflow.outbox_history where kind = 'http' and state = 'done' and attempt = 2").await;
    db.until("select count(*) = 1 from tradeflow.outbox where kind = 'email' and state = 'uncertain'").await;
    let calls = http.wait_for(2).await;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].header("idempotency-key"), calls[1].header("idempotency-key"));
    assert_eq!(
        smtp.settled(Duration::from_millis(500)).await.len(),
        1,
        "the mail is not sent again by itself"
    );
}

#[tokio::test]
async fn a_sidecar_that_slept_over_its_lease_spoils_nothing() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.script([
        Answer::json(200, r#"{"answer": "first"}"#).after(Duration::from_secs(1)),
        Answer::json(200, r#"{"answer": "second"}"#),
    ]);
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let sleeper = short_leases(&db).start();
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    sleeper.pause();
    let _other = short_leases(&db).start();
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    sleeper.resume();
    // It wakes, finds its answer, and is refused; then it goes on working.
    db.sql("update jobs set n = 2").await;
    sink.wait_for(3).await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
    let answer: String = db
        .one("select result -> 'body' ->> 'answer' from tradeflow.outbox_history order by id limit 1")
        .await;
    assert_eq!(answer, "second", "the attempt that held the lease decides");
}

#[tokio::test]
async fn a_long_call_keeps_its_lease() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.script([Answer::status(200).after(Duration::from_secs(6))]);
    watch_jobs(&db, &Target { timeout: 30.0, ..Target::http(sink.url()) }, "http", POST).await;
    let _one = short_leases(&db).start();
    let _two = short_leases(&db).start();
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    assert_eq!(sink.requests().len(), 1, "nobody took it over");
    assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox_history").await, 1);
}

#[tokio::test]
async fn sigterm_finishes_what_runs_and_leaves_the_rest_ready() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.usually(Answer::status(200).after(Duration::from_secs(2)));
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let mut sidecar = Sidecar::command(&db).env("TRADEFLOW_CONCURRENCY", "3").start();
    db.sql("insert into jobs (id, n) select i, i from generate_series(1, 20) i").await;
    sink.wait_for(3).await;
    sidecar.terminate();
    assert_eq!(sidecar.wait(Duration::from_secs(15)), 0, "{}", sidecar.log());
    let sent = i64::try_from(sink.requests().len()).expect("a small number");
    assert!(sent < 20);
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.outbox_history where state = 'done'").await,
        sent
    );
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox where state = 'ready'").await, 20 - sent);
    // What was given back is claimed at once, not when a lease ends.
    sink.usually(Answer::status(200));
    let _next = Sidecar::start(&db);
    sink.wait_for(20).await;
    db.until("select count(*) = 20 from tradeflow.outbox_history where state = 'done'").await;
    assert_eq!(sink.requests().len(), 20, "each exactly once");
}

#[tokio::test]
async fn two_sidecars_deliver_500_actions_once_each_and_in_order_within_a_lane() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    // 25 lanes are more than one of them has room for, and no answer comes before both have looked.
    sink.usually(Answer::status(200).after(Duration::from_millis(20)));
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let start = || Sidecar::command(&db).env("TRADEFLOW_CONCURRENCY", "8").start();
    let (mut one, mut two) = (start(), start());
    one.wait_for_log("sidecar is running");
    two.wait_for_log("sidecar is running");
    db.sql("insert into jobs (id, n) select i, 1 from generate_series(1, 25) i").await;
    for n in 2..=20 {
        db.execute("update jobs set n = $1", &[&n]).await;
    }
    db.until("select count(*) = 500 from tradeflow.outbox_history where state = 'done'").await;
    let requests = sink.requests();
    assert_eq!(requests.len(), 500);
    for id in 1..=25 {
        let order: Vec<i64> = requests
            .iter()
            .map(|request| request.json())
            .filter(|body| body["id"].as_i64() == Some(id))
            .filter_map(|body| body["n"].as_i64())
            .collect();
        assert_eq!(order, (1..=20).collect::<Vec<_>>(), "row {id}");
    }
    let workers: i64 = db.one("select count(distinct worker) from tradeflow.outbox_history").await;
    assert_eq!(workers, 2, "both took part");
}

#[tokio::test]
async fn a_retrying_action_holds_up_its_lane_and_no_other() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.script([Answer::status(503).header("retry-after", "2")]);
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let _sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    db.sql("update jobs set n = 2").await;
    db.sql("insert into jobs (id, n) values (2, 9)").await;
    let requests = sink.wait_for(4).await;
    let numbers: Vec<Option<i64>> = requests.iter().map(|request| request.json()["n"].as_i64()).collect();
    assert_eq!(numbers, [Some(1), Some(9), Some(1), Some(2)]);
}

#[tokio::test]
async fn work_goes_on_after_postgres_was_away() {
    let mut db = Database::with_store_on_own_server().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let mut sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history").await;

    db.cluster_mut().crash();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(sidecar.is_running(), "it waits: {}", sidecar.log());
    db.cluster_mut().restart();
    db.reconnect().await;
    db.sql("insert into jobs (id, n) values (2, 2)").await;
    sink.wait_for(2).await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
}

#[tokio::test]
async fn an_answer_that_comes_while_postgres_is_away_is_not_lost() {
    let mut db = Database::with_store_on_own_server().await;
    let sink = HttpSink::start();
    sink.script([Answer::json(200, r#"{"answer": "only"}"#).after(Duration::from_secs(1))]);
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let _sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    db.cluster_mut().crash();
    tokio::time::sleep(Duration::from_secs(2)).await;
    db.cluster_mut().restart();
    db.reconnect().await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    assert_eq!(
        sink.requests().len(),
        1,
        "its completion was written when Postgres came back: not called again"
    );
}

/// A constraint that has nothing to do with a result is no reason to throw the result away, and holds up nobody else.
#[tokio::test]
async fn a_completion_that_meets_a_constraint_waits_with_its_result() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    sink.usually(Answer::json(200, r#"{"answer": "kept"}"#));
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    db.sql("alter table tradeflow.outbox_history_default add constraint not_now check (subject <> '1')")
        .await;
    let mut sidecar = Sidecar::command(&db).env("TRADEFLOW_LEASE", "3s").start();
    db.sql("insert into jobs (id, n) values (1, 1), (2, 2), (3, 3)").await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
    sidecar.wait_for_log("not_now");
    // Its lease is prolonged while it is tried.
    db.until(
        "select lease_until > created_at + interval '5 seconds' from tradeflow.outbox where subject = '1'",
    )
    .await;
    db.sql("alter table tradeflow.outbox_history_default drop constraint not_now").await;
    db.until("select count(*) = 3 from tradeflow.outbox_history where state = 'done'").await;
    let result: String =
        db.one("select result ->> 'body' from tradeflow.outbox_history where subject = '1'").await;
    assert!(result.contains("kept"), "{result}");
    assert_eq!(sink.requests().len(), 3, "each was sent once");
}

#[tokio::test]
async fn polling_alone_works_too() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let _sidecar = Sidecar::command(&db).env("TRADEFLOW_LISTEN", "false").start();
    eventually("a session", || async {
        let sessions = "select count(*) > 0 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        db.one::<bool>(sessions).await.then_some(())
    })
    .await;
    db.sql("insert into jobs (id, n) values (1, 1)").await;
    sink.wait_for(1).await;
    let listening: i64 = db
        .one("select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'")
        .await;
    assert_eq!(listening, 0);
}

#[tokio::test]
async fn a_rolled_back_change_sends_nothing() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    watch_jobs(&db, &Target::http(sink.url()), "http", POST).await;
    let _sidecar = Sidecar::start(&db);
    db.sql("begin; insert into jobs (id, n) values (1, 1); rollback").await;
    db.sql("insert into jobs (id, n) values (2, 2)").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history").await;
    assert_eq!(sink.requests().len(), 1);
    assert_eq!(sink.requests()[0].json()["id"].as_i64(), Some(2));
}

#[tokio::test]
async fn begun_while_the_database_is_away_it_waits_for_it() {
    let mut db = Database::with_store_on_own_server().await;
    db.cluster_mut().stop();
    let mut stopped = Sidecar::command(&db).start();
    let mut waiting = Sidecar::command(&db).start();
    for sidecar in [&mut stopped, &mut waiting] {
        sidecar.wait_for_log("the database does not answer yet");
    }
    stopped.terminate();
    assert_eq!(stopped.wait(Duration::from_secs(10)), 0, "{}", stopped.log());

    db.cluster_mut().restart();
    waiting.wait_for_log("sidecar is running");
    waiting.terminate();
    assert_eq!(waiting.wait(Duration::from_secs(10)), 0, "{}", waiting.log());
}
