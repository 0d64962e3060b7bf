//! The command line: what it does the second time, and what it says when something is wrong. Each message says what,
//! where, and how to mend it.

use std::time::Duration;

use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::{watch_jobs, Target, MAIL};
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

/// Panics unless `text` has every word, in whatever case; and no password of the test server's.
fn says(text: &str, words: &[&str]) {
    let lower = text.to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "\"{word}\" is missing in:\n{text}");
    }
}

#[tokio::test]
async fn a_wrong_database_url_is_explained() {
    let db = Database::empty().await;
    let password = db.cluster().password();
    for command in ["run", "doctor", "init"] {
        let cases = [
            ("no url at all".to_owned(), vec!["database"]),
            ("postgresql://postgres@127.0.0.1:1/nothing".to_owned(), vec!["127.0.0.1", "refused"]),
            (db.url_as("postgres", "wrong-password"), vec!["password", "postgres"]),
            (db.cluster().url("no_such_database"), vec!["no_such_database"]),
            (
                format!("postgresql://postgres:{password}@no-such-host.invalid:5432/x"),
                vec!["no-such-host.invalid"],
            ),
        ];
        for (url, words) in cases {
            if command == "run" && (url.contains("127.0.0.1:1/") || url.contains("no-such-host")) {
                // A server that is away may come back: `run` waits for it, see crash.rs.
                continue;
            }
            let said = Tradeflow::new([command]).env("TRADEFLOW_DATABASE_URL", &url).run();
            let text = format!("{}{}", said.stdout, said.stderr);
            assert_ne!(said.code, 0, "{command} with {url}");
            says(&text, &words);
            assert!(
                !text.contains("wrong-password") && !text.contains(&password),
                "a password is shown:\n{text}"
            );
        }
    }
}

#[tokio::test]
async fn the_password_may_come_from_a_file() {
    let db = Database::with_extension().await;
    let password = db.cluster().password();
    let url = db.url().replace(&format!(":{password}@"), "@");
    assert_ne!(url, db.url(), "the test's URL has the password");
    let doctor = |file: &str| {
        let said = Tradeflow::new(["doctor"])
            .env("TRADEFLOW_DATABASE_URL", &url)
            .env("TRADEFLOW_DATABASE_PASSWORD_FILE", file)
            .file("good", &format!("{password}\nnot the password's second line\n"))
            .file("wrong", "wrong-password\n")
            .file("empty", "\n")
            .run();
        format!("{}{}", said.stdout, said.stderr)
    };
    assert!(!doctor("good").contains("cannot be reached"), "{}", doctor("good"));
    for (file, words) in [
        ("wrong", vec!["cannot be reached", "password", "database_password_file"]),
        ("empty", vec!["database_password_file empty", "first line is empty"]),
        ("missing", vec!["database_password_file missing", "No such file"]),
    ] {
        let text = doctor(file);
        says(&text, &words);
        assert!(
            !text.contains("wrong-password") && !text.contains(&password),
            "a password is shown:\n{text}"
        );
    }
    let both = Tradeflow::on(&db, ["doctor"]).env("TRADEFLOW_DATABASE_PASSWORD_FILE", "missing").run();
    assert!(!both.stdout.contains("missing"), "a URL with a password needs no file:\n{}", both.stdout);
}

#[tokio::test]
async fn without_a_database_url_it_says_how_to_give_one() {
    let said = Tradeflow::new(["doctor"]).run();
    assert_ne!(said.code, 0);
    says(&format!("{}{}", said.stdout, said.stderr), &["TRADEFLOW_DATABASE_URL"]);
}

/// As on a standby: everything can be read, so nothing would show but that nothing happens.
#[tokio::test]
async fn a_database_that_cannot_be_written_to_is_told_at_once() {
    let db = Database::with_store().await;
    let role = db.role(&["tradeflow_executor", "tradeflow_operator"]).await;
    db.sql(&format!("alter role {role} set default_transaction_read_only = on")).await;
    let of_role = |command: &'static str| {
        Tradeflow::new([command]).env("TRADEFLOW_DATABASE_URL", &db.url_as(&role, &role)).run()
    };
    let words = ["is read-only", "name the primary", "target_session_attrs=read-write"];
    says(of_role("run").failure(), &words);
    let doctor = of_role("doctor");
    assert_eq!(doctor.code, 1);
    says(&doctor.stdout, &words);
}

#[tokio::test]
async fn a_postgres_without_the_extension_is_named() {
    let db = Database::empty().await;
    for command in ["run", "doctor"] {
        let said = Tradeflow::on(&db, [command]).run();
        assert_ne!(said.code, 0, "{command}");
        says(&format!("{}{}", said.stdout, said.stderr), &["create extension tradeflow"]);
    }
}

#[tokio::test]
async fn a_misspelt_configuration_key_is_named_with_the_nearest_one() {
    let said = Tradeflow::new(["doctor"]).config("concurency = 3\n").run();
    assert_ne!(said.code, 0);
    says(&said.stderr, &["concurency", "concurrency", "tradeflow.toml"]);
}

#[tokio::test]
async fn init_can_be_repeated() {
    let db = Database::empty().await;
    let first = Tradeflow::on(&db, ["init"]).run();
    first.success();
    let tables = "select count(*) from tradeflow.watched_tables";
    let watched: i64 = db.one(tables).await;
    assert!(watched >= 14, "{watched} tables are watched");
    db.sql("insert into tradeflow.rules (name, source) values ('mine', 'store.quotes')").await;
    let second = Tradeflow::on(&db, ["init"]).run();
    second.success();
    assert_eq!(db.one::<i64>(tables).await, watched);
    assert_eq!(db.column::<String>("select name from tradeflow.rules").await, ["mine"]);
}

#[tokio::test]
async fn the_sample_store_loads_twice_and_the_second_time_fires_nothing() {
    let db = Database::with_store().await;
    let samples = project().join("sidecar/samples/store");
    let samples = samples.to_str().expect("a path of text");
    Tradeflow::on(&db, ["load", samples]).run().success();
    for (table, least) in
        [("companies", 50_i64), ("quotes", 300), ("orders", 500), ("quote_items", 300), ("company_users", 50)]
    {
        let rows: i64 = db.one(&format!("select count(*) from store.{table}")).await;
        assert!(rows >= least, "{rows} rows in store.{table}");
    }
    for table in
        ["companies", "company_users", "quotes", "quote_items", "orders", "order_items", "sales_staff"]
    {
        db.sql(&format!("insert into tradeflow.rules (name, source, events) values ('any_{table}', 'store.{table}', '{{insert,update,delete}}')"))
            .await;
    }
    let said = Tradeflow::on(&db, ["load", "--json", samples]).run();
    said.success();
    assert_eq!(
        db.column::<String>("select source || ' ' || facts::text from tradeflow.firings limit 3").await,
        Vec::<String>::new()
    );
    // The rules do see what really changes.
    db.sql(
        "update store.quotes set notes = 'changed' where quote_id = (select min(quote_id) from store.quotes)",
    )
    .await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.firings").await, 1);
}

#[tokio::test]
async fn a_bad_payload_is_reported_and_the_good_ones_are_loaded() {
    let db = Database::with_store().await;
    let quotes = r#"{"code": 200, "data": [
        {"quoteId": 1, "quoteNumber": "Q-1", "status": 0, "surprise": {"deep": true}},
        {"quoteNumber": "no id", "status": 0},
        {"quoteId": 3, "quoteNumber": "Q-3", "status": "seven"},
        {"quoteId": "4", "quoteNumber": "Q-4", "status": "2", "grandTotal": "1.10"}], "meta": {"message": "SUCCESS"}}"#;
    let said = Tradeflow::on(&db, ["load", "quotes/page.json"]).file("quotes/page.json", quotes).run();
    assert_eq!(said.code, 1);
    let text = format!("{}{}", said.stdout, said.stderr);
    says(&text, &["page.json", "/data/1", "quoteId", "/data/2", "status", "seven"]);
    assert_eq!(db.column::<i64>("select quote_id from store.quotes order by 1").await, [1, 4]);
    assert_eq!(
        db.one::<String>("select raw #>> '{surprise,deep}' from store.quotes where quote_id = 1").await,
        "true"
    );
}

#[tokio::test]
async fn doctor_is_content_with_a_healthy_installation() {
    let db = Database::with_store().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    let _sidecar = Sidecar::start(&db);
    db.sql("insert into jobs (id, recipient) values (1, 'ada@example.com')").await;
    sink.wait_for(1).await;
    // As a superuser, and as the sidecar's login: that may not look into the store's schema.
    let executor = db.role(&["tradeflow_executor"]).await;
    for url in [db.url(), db.url_as(&executor, &executor)] {
        let said = Tradeflow::new(["doctor"]).env("TRADEFLOW_DATABASE_URL", &url).run();
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    }
}

#[tokio::test]
async fn doctor_finds_what_is_wrong_and_says_how_to_mend_it() {
    let db = Database::with_store().await;
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").port()
    };
    let target = Target {
        auth: "basic",
        username: Some("u"),
        secret: Some("env:SMTP_PASSWORD"),
        ..Target::smtp(format!("smtp://127.0.0.1:{port}"))
    };
    watch_jobs(&db, &target, "email", r#"{"to": "a@example.com", "template": "forgotten"}"#).await;
    db.sql("insert into tradeflow.rules (name, source, condition) values ('waits', 'public.jobs', 'new.n > tradeflow.setting(''limit'')::int')").await;
    // A tool that reloads a table by swapping drops its triggers without a word; the event triggers, which make them
    // anew, may be switched off.
    db.sql("alter event trigger tradeflow_ddl disable; alter event trigger tradeflow_drop disable").await;
    db.sql(
        "do $$ declare t record; begin
           for t in select tgname from pg_trigger where tgrelid = 'store.orders'::regclass and not tgisinternal loop
             execute format('drop trigger %I on store.orders', t.tgname);
           end loop; end $$",
    )
    .await;
    let said = Tradeflow::on(&db, ["doctor"]).run();
    assert_eq!(said.code, 1);
    let text = format!("{}{}", said.stdout, said.stderr);
    says(
        &text,
        &[
            "SMTP_PASSWORD",
            "forgotten",
            "waits",
            "limit",
            "store.orders",
            "tradeflow.watch",
            &port.to_string(),
        ],
    );

    // What was stopped is no problem, and easily forgotten.
    db.sql("select tradeflow.pause_target('there', 'their maintenance'), tradeflow.pause_kind('email', 'the footer'), tradeflow.pause('job', 'later')").await;
    let stopped = Tradeflow::on(&db, ["doctor"]).run();
    for (what, name, why) in
        [("target", "there", "their maintenance"), ("kind", "email", "the footer"), ("rule", "job", "later")]
    {
        says(
            &stopped.stdout,
            &[
                &format!("stopped: {what} \"{name}\" is paused ({why})"),
                &format!("tradeflow {what}s resume {name}"),
            ],
        );
    }

    let json = Tradeflow::on(&db, ["doctor", "--json"]).run();
    assert_eq!(json.code, 1);
    says(&json.json().to_string(), &["SMTP_PASSWORD", "forgotten", "waits", "store.orders"]);
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_one_it_lacks() {
    let db = Database::with_store().await;
    let nobody = db.role(&[]).await;
    let said = Tradeflow::new(["run"]).env("TRADEFLOW_DATABASE_URL", &db.url_as(&nobody, &nobody)).run();
    assert_ne!(said.code, 0);
    says(&format!("{}{}", said.stdout, said.stderr), &["tradeflow_executor", "permission denied"]);
}

#[tokio::test]
async fn the_executor_role_is_enough_to_run() {
    let db = Database::with_store().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    let role = db.role(&["tradeflow_executor"]).await;
    let _sidecar = Sidecar::command(&db).env("TRADEFLOW_DATABASE_URL", &db.url_as(&role, &role)).start();
    db.sql("insert into jobs (id, recipient) values (1, 'ada@example.com')").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let db = Database::with_store().await;
    let sink = MailSink::start();
    watch_jobs(&db, &Target::smtp(sink.url()), "email", MAIL).await;
    let mut sidecar = Sidecar::command(&db).env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0").start();
    db.sql("insert into jobs (id, recipient) values (1, 'ada@example.com')").await;
    sink.wait_for(1).await;
    db.until("select count(*) = 1 from tradeflow.outbox_history where state = 'done'").await;
    let health = sidecar.get("/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let metrics = sidecar.get("/metrics").await;
    for name in ["tradeflow_claimed", "tradeflow_delivered", "email"] {
        assert!(metrics.contains(name), "{name} is missing in:\n{metrics}");
    }
    sidecar.terminate();
    assert_eq!(sidecar.wait(Duration::from_secs(10)), 0);
}
