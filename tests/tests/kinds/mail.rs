//! Kind `email`: who gets none, and what is attached.

use serde_json::json;
use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::jobs::{watch_jobs, Target};
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::Sidecar;

async fn done(db: &Database, count: i64) {
    db.until(&format!("select count(*) = {count} from tradeflow.outbox_history where state = 'done'")).await;
}

#[tokio::test]
async fn suppressed_addresses_and_those_who_had_enough_get_none() {
    let (db, mut sink) = (Database::with_extension().await, MailSink::start());
    let params = json!({"to": "{{ facts.recipient }}", "cc": "Boss@example.com", "subject": "s", "text": "t", "topic": "reminders",
        "at_most": {"count": 2, "within": "1 day"}, "unsubscribe": "https://shop.example.com/bye"});
    watch_jobs(&db, &Target::smtp(sink.url()), "email", &params.to_string()).await;
    db.sql("select tradeflow.suppress('boss@example.com', 'asked for it')").await;
    let _sidecar = Sidecar::start(&db);
    for n in 1..=4 {
        db.sql(&format!("insert into jobs (id, recipient) values ({n}, 'A <a@example.com>')")).await;
        done(&db, n).await;
    }
    let mails = sink.wait_for(2).await;
    assert_eq!(mails.len(), 2, "the third and fourth of a day are not sent");
    assert_eq!(mails[0].headers["List-Unsubscribe"], "<https://shop.example.com/bye>");
    assert_eq!(mails[0].headers["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click");
    let skipped: Vec<String> = db
        .column("select result -> 'skipped' ->> 'a@example.com' from tradeflow.outbox_history where result ? 'skipped' order by id")
        .await;
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].contains("had 2 within"), "{skipped:?}");
    let refused: String = db.one("select result -> 'refused' ->> 'boss@example.com' from tradeflow.outbox_history order by id limit 1").await;
    assert_eq!(refused, "suppressed: asked for it");
    // Another day; and a mail that must arrive.
    db.sql("select tradeflow.set_clock(now() + interval '25 hours')").await;
    db.sql("insert into jobs (id, recipient) values (5, 'a@example.com')").await;
    done(&db, 5).await;
    assert_eq!(sink.wait_for(3).await.len(), 3);
    // One that the server refused for good was not sent: it takes nobody's place.
    sink.mode_for("permanent", 1);
    db.sql("insert into jobs (id, recipient) values (7, 'b@example.com')").await;
    db.until("select exists (select from tradeflow.outbox where state = 'dead')").await;
    for n in 8..=9 {
        db.sql(&format!("insert into jobs (id, recipient) values ({n}, 'b@example.com')")).await;
        done(&db, n - 2).await;
    }
    assert_eq!(sink.wait_for(5).await.len(), 5);
    // Six at the same moment.
    db.sql("insert into jobs (id, recipient) select i, 'd@example.com' from generate_series(10, 15) i").await;
    done(&db, 13).await;
    assert_eq!(sink.wait_for(7).await.len(), 7);
    db.sql("select tradeflow.suppress('a@example.com'); update tradeflow.actions set params = params || '{\"transactional\": true}'").await;
    db.sql("insert into jobs (id, recipient) values (6, 'a@example.com')").await;
    sink.wait_for(8).await;
}

#[tokio::test]
async fn files_are_attached_from_allowed_hosts_only() {
    let (db, sink, files) = (Database::with_extension().await, MailSink::start(), HttpSink::start());
    files.usually(
        Answer::status(200).header("content-type", "application/pdf").body("%PDF-1.4 of an invoice"),
    );
    let params = json!({"to": "a@example.com", "subject": "s", "text": "t",
        "attachments": [{"url": format!("{}/invoice.pdf?x=1", files.url())}]});
    watch_jobs(&db, &Target::smtp(sink.url()), "email", &params.to_string()).await;
    let sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id) values (1)").await;
    db.until("select exists (select from tradeflow.outbox where state = 'dead' and error like '%email.attachment_hosts%')").await;
    assert!(files.requests().is_empty());
    drop(sidecar);
    let _sidecar = Sidecar::command(&db).env("TRADEFLOW_EMAIL_ATTACHMENT_HOSTS", "127.0.0.*").start();
    // A server that is away for a moment delays the mail, and doubles nothing.
    files.script([Answer::status(503)]);
    db.sql("insert into jobs (id) values (2)").await;
    let mails = sink.wait_for(1).await;
    let mail = std::fs::read_to_string(&mails[0].file).expect("the mail is kept");
    assert!(mail.contains("invoice.pdf") && mail.contains("application/pdf"), "{mail}");
    done(&db, 1).await;
    assert_eq!(sink.wait_for(1).await.len(), 1);
}
