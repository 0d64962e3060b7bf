//! Delivery of mail to a real SMTP server, and every way in which that fails.

use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::{watch_jobs, Target, MAIL};
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::Sidecar;

const ONE_JOB: &str = "insert into jobs (id, recipient, note) values (1, 'ada@example.com', 'Grüße')";

/// Waits until everything that fired is in a state. What is done has left the outbox.
async fn until_state(db: &Database, state: &str) {
    let everything = match state {
        "done" => "select (select bool_and(state = 'done') from tradeflow.outbox_history) and not exists (select from tradeflow.outbox)".to_owned(),
        _ => format!("select count(*) > 0 and count(*) = count(*) filter (where state = '{state}') from tradeflow.outbox"),
    };
    db.until(&format!("select coalesce(({everything}), false)")).await;
}

#[tokio::test]
async fn a_mail_has_both_parts_and_a_message_id_that_stays() {
    let db = Database::with_extension().await;
    let sink = MailSink::start();
    let params = r#"{"to": ["{{ facts.recipient }}", "Second <second@example.com>"], "cc": "cc@example.com", "bcc": "bcc@example.com",
                     "reply_to": "reply@example.com", "subject": "Ünïcode {{ facts.id }}", "text": "{{ facts.note }}", "html": "<p>{{ facts.note }}</p>"}"#;
    watch_jobs(&db, &Target::smtp(sink.url()), "email", params).await;
    let mut sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, recipient, note) values (1, 'ada@example.com', '<b>1 & 2</b>')").await;

    let mail = sink.wait_for(1).await.remove(0);
    let mut to = mail.to.clone();
    to.sort();
    assert_eq!(to, ["ada@example.com", "bcc@example.com", "cc@example.com", "second@example.com"]);
    assert_eq!(mail.from, "shop@example.com");
    assert_eq!(mail.subject, "Ünïcode 1");
    assert_eq!(mail.text.as_deref().map(str::trim), Some("<b>1 & 2</b>"));
    assert_eq!(
        mail.html.as_deref().map(str::trim),
        Some("<p>&lt;b&gt;1 &amp; 2&lt;/b&gt;</p>"),
        "values are escaped in html"
    );
    assert!(mail.headers["From"].as_str().is_some_and(|from| from.contains("Shop")), "{}", mail.headers);
    assert!(mail.headers["Reply-To"].as_str().is_some_and(|to| to.contains("reply@example.com")));
    assert!(mail.headers.get("Bcc").is_none(), "a blind copy is blind");
    let key = mail.headers["X-Tradeflow-Id"].as_str().expect("the header is there").to_owned();
    assert!(mail.message_id.contains(&key) || !mail.message_id.is_empty());

    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    let kept: String = db.one("select request::text || result::text from tradeflow.outbox_history").await;
    assert!(kept.contains("ada@example.com") && kept.contains("1 & 2"), "{kept}");
    sidecar.kill();
}

#[tokio::test]
async fn the_message_id_of_a_repeated_attempt_is_the_same() {
    let db = Database::with_extension().await;
    let mut sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    let _sidecar = Sidecar::start(&db);
    sink.mode_for("drop", 1);
    db.sql(ONE_JOB).await;
    until_state(&db, "uncertain").await;
    assert!(db.one::<bool>("select tradeflow.retry(id) from tradeflow.outbox").await);
    let mails = sink.wait_for(2).await;
    assert_eq!(mails[0].message_id, mails[1].message_id);
    assert_eq!(mails[0].headers["X-Tradeflow-Id"], mails[1].headers["X-Tradeflow-Id"]);
}

#[tokio::test]
async fn starttls_with_a_login_and_a_secret_from_the_environment() {
    encrypted(MailSink::with().starttls(), |port| format!("smtp://localhost:{port}?tls=starttls")).await;
}

#[tokio::test]
async fn implicit_tls_with_a_login() {
    encrypted(MailSink::with().implicit_tls(), |port| format!("smtps://localhost:{port}")).await;
}

async fn encrypted(options: tradeflow_tests::mail::Options, url: impl Fn(u16) -> String) {
    let db = Database::with_extension().await;
    let sink = options.auth("shop", "s3cret-word").start();
    let target = Target {
        auth: "basic",
        username: Some("shop"),
        secret: Some("env:SMTP_PASSWORD"),
        ..Target::smtp(url(sink.port()))
    };
    watch_jobs(&db, &target, "email", MAIL).await;
    let ca = sink.ca_file.as_ref().expect("TLS has an authority").display().to_string();
    let sidecar = Sidecar::command(&db)
        .env("TRADEFLOW_TLS_EXTRA_CA_FILE", &ca)
        .env("SMTP_PASSWORD", "s3cret-word")
        .env("TRADEFLOW_LOG", "trace")
        .start();
    db.sql(ONE_JOB).await;
    let mail = sink.wait_for(1).await.remove(0);
    assert!(mail.tls, "the connection is encrypted");
    assert_eq!(mail.login.as_deref(), Some("shop"));
    until_state(&db, "done").await;
    assert!(!sidecar.log().contains("s3cret-word"), "a secret is in the log:\n{}", sidecar.log());
    let rows: String = db.one("select jsonb_agg(h)::text from tradeflow.outbox_history h").await;
    assert!(!rows.contains("s3cret-word"));
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let db = Database::with_extension().await;
    let sink = MailSink::with().starttls().start();
    watch_jobs(&db, &Target::smtp(format!("smtp://localhost:{}?tls=starttls", sink.port())), "email", MAIL)
        .await;
    let _sidecar = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    db.until("select error is not null from tradeflow.outbox").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail_when_it_is_required() {
    let db = Database::with_extension().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(format!("{}?tls=starttls", sink.url())), "email", MAIL).await;
    let _sidecar = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    db.until("select error is not null from tradeflow.outbox").await;
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again() {
    for mode in ["temporary", "greylist"] {
        let db = Database::with_extension().await;
        let mut sink = MailSink::start();
        watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
        sink.mode_for(mode, 1);
        let _sidecar = Sidecar::start(&db);
        db.sql(ONE_JOB).await;
        sink.wait_for(1).await;
        until_state(&db, "done").await;
        assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox_history").await, 2, "{mode}");
        assert_eq!(sink.mails().len(), 1, "{mode}");
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_dead_at_once_with_an_incident() {
    for (mode, code) in [("permanent", "554"), ("refuse_recipient", "550")] {
        let db = Database::with_extension().await;
        let mut sink = MailSink::start();
        watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
        sink.mode(mode);
        let _sidecar = Sidecar::start(&db);
        db.sql(ONE_JOB).await;
        until_state(&db, "dead").await;
        assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox").await, 1, "{mode}");
        let incident: String =
            db.one("select message from tradeflow.incidents where kind = 'dead_action'").await;
        assert!(incident.contains(code) && incident.contains("job"), "{incident}");
        // It can be sent once the cause is mended.
        sink.mode("ok");
        assert!(db.one::<bool>("select tradeflow.retry(id) from tradeflow.outbox").await);
        sink.wait_for(1).await;
        until_state(&db, "done").await;
    }
}

#[tokio::test]
async fn an_unusable_address_is_dead_and_harms_no_other_mail() {
    let db = Database::with_extension().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    let _sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, recipient) values (1, 'no address'), (2, 'ada@example.com'), (3, E'a@b.c\\nBcc: evil@example.com')").await;
    db.until("select count(*) = 2 from tradeflow.outbox where state = 'dead'").await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    assert_eq!(sink.wait_for(1).await[0].to, ["ada@example.com"]);
    let error: String = db.one("select error from tradeflow.outbox where subject = '1'").await;
    assert!(error.contains("no address"), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_costs_time_and_no_mail() {
    let db = Database::with_extension().await;
    let port = free_port();
    watch_jobs(&db, &Target::smtp(format!("smtp://127.0.0.1:{port}")), "email", MAIL).await;
    let _sidecar = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    db.until("select state = 'ready' and attempt >= 1 and error is not null from tradeflow.outbox").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.contains(&port.to_string()), "the error says which server: {error}");

    let sink = MailSink::with().port(port).start();
    db.one::<i32>("select tradeflow.retry(array_agg(id)) from tradeflow.outbox").await;
    assert_eq!(sink.wait_for(1).await.len(), 1);
    until_state(&db, "done").await;
}

#[tokio::test]
async fn a_missing_secret_is_named_and_the_mail_waits_for_it() {
    let db = Database::with_extension().await;
    let sink = MailSink::with().auth("shop", "s3cret-word").start();
    let target = Target {
        auth: "basic",
        username: Some("shop"),
        secret: Some("env:SMTP_PASSWORD"),
        ..Target::smtp(sink.url())
    };
    watch_jobs(&db, &target, "email", MAIL).await;
    let mut without = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    db.until("select state = 'ready' and error is not null from tradeflow.outbox").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.contains("SMTP_PASSWORD"), "{error}");
    without.kill();

    let _with = Sidecar::command(&db).env("SMTP_PASSWORD", "s3cret-word").start();
    db.one::<i32>("select tradeflow.retry(array_agg(id)) from tradeflow.outbox").await;
    assert_eq!(sink.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn a_secret_outside_the_allowed_names_is_not_read() {
    let db = Database::with_extension().await;
    let sink = MailSink::with().auth("shop", "s3cret-word").start();
    let target = Target {
        auth: "basic",
        username: Some("shop"),
        secret: Some("env:AWS_SECRET"),
        ..Target::smtp(sink.url())
    };
    watch_jobs(&db, &target, "email", MAIL).await;
    let _sidecar = Sidecar::command(&db).env("AWS_SECRET", "s3cret-word").start();
    db.sql(ONE_JOB).await;
    db.until("select error is not null from tradeflow.outbox").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.contains("AWS_SECRET") && !error.contains("s3cret-word"), "{error}");
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn a_lost_answer_after_the_body_is_uncertain_and_not_sent_again() {
    let db = Database::with_extension().await;
    let mut sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    sink.mode_for("drop", 1);
    let _sidecar = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    until_state(&db, "uncertain").await;
    assert_eq!(
        db.one::<i64>("select count(*) from tradeflow.incidents where kind = 'uncertain_action'").await,
        1
    );
    // Another mail goes its way, and this one does not come again with it.
    db.sql("insert into jobs (id, recipient) values (2, 'bob@example.com')").await;
    sink.wait_for(2).await;
    let again = sink.settled(std::time::Duration::from_millis(700)).await;
    assert_eq!(again.iter().filter(|mail| mail.to == ["ada@example.com"]).count(), 1, "{}", sink.log());
}

#[tokio::test]
async fn a_template_that_does_not_render_is_dead_and_says_where() {
    let db = Database::with_extension().await;
    let sink = MailSink::start();
    db.sql("insert into tradeflow.templates (name, subject, text) values ('letter', 'Hello', E'one\\ntwo {{ facts.nobody.name }}')").await;
    watch_jobs(
        &db,
        &Target::smtp(sink.url()),
        "email",
        r#"{"to": "{{ facts.recipient }}", "template": "letter"}"#,
    )
    .await;
    let _sidecar = Sidecar::start(&db);
    db.sql(ONE_JOB).await;
    until_state(&db, "dead").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.contains("letter") && error.contains("line 2"), "{error}");
    // Mending the template is enough: the sidecar is not restarted.
    db.sql("update tradeflow.templates set text = 'two {{ facts.note }}'").await;
    assert!(db.one::<bool>("select tradeflow.retry(id) from tradeflow.outbox").await);
    assert_eq!(sink.wait_for(1).await[0].text.as_deref().map(str::trim), Some("two Grüße"));
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
