//! `tradeflow targets`: what waits for whom, and whether they really answer.

use serde_json::Value as Json;
use tradeflow_fakes::bigcommerce::{BigCommerce, Scope};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::jobs::Target;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::{Said, Tradeflow};

use super::{bury, jobs, tradeflow};

#[tokio::test]
async fn lists_targets_with_what_waits_for_them() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (-3)").await;
    bury(&db, 1).await;
    let json = tradeflow(&db, ["targets", "list", "--json"]).json();
    let of = |name: &str| {
        json["targets"].as_array().unwrap().iter().find(|t| t["target"] == name).unwrap().clone()
    };
    let (erp, smtp) = (of("erp"), of("smtp"));
    assert_eq!((&erp["running"], &erp["dead"], &erp["ready"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(smtp["waiting"], 1);
    let said = tradeflow(&db, ["targets", "list"]);
    assert!(said.success().contains("https://erp.example.com"), "{}", said.stdout);
}

#[tokio::test]
async fn pauses_and_resumes() {
    let db = jobs().await;
    tradeflow(&db, ["targets", "pause", "erp", "--reason", "maintenance"]).success();
    db.sql("insert into jobs values (1); select tradeflow.present('w', '{http,email}')").await;
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.claim('w', 10, '1 minute')").await, 0);
    let json = tradeflow(&db, ["outbox", "show", "1", "--json"]).json();
    assert_eq!(
        json["actions"][0]["waits_for"],
        "target \"erp\", which is paused (maintenance): tradeflow targets resume erp"
    );
    let list = tradeflow(&db, ["targets", "list"]);
    assert!(list.stdout.contains("paused") && list.stdout.contains("maintenance"), "{}", list.stdout);
    tradeflow(&db, ["targets", "resume", "erp"]).success();
    assert_eq!(db.one::<i64>("select count(*) from tradeflow.claim('w', 10, '1 minute')").await, 1);
    for (command, paused, changed) in
        [("pause", true, true), ("pause", true, false), ("resume", false, true), ("resume", false, false)]
    {
        let said = tradeflow(&db, ["targets", command, "erp", "--json"]).json();
        assert_eq!(said, serde_json::json!({"target": "erp", "paused": paused, "changed": changed}));
    }
    assert!(tradeflow(&db, ["targets", "resume", "erp"]).success().contains("is not paused"));
    let none = tradeflow(&db, ["targets", "pause", "nobody"]);
    assert!(none.failure().contains("there is no target \"nobody\""), "{}", none.stderr);
}

/// `level message` of what `targets test` finds.
fn found(said: &Said) -> Vec<String> {
    let text = |finding: &Json, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let json = said.json();
    json["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| format!("{} {}", text(f, "level"), text(f, "message")))
        .collect()
}

fn test(db: &Database, target: &str) -> Tradeflow {
    Tradeflow::on(db, ["targets", "test", target, "--json"])
        .env("SMTP_PASSWORD", "hunter2")
        .env("TRADEFLOW_KEY", "k-123")
}

#[tokio::test]
async fn an_http_target_is_asked_with_its_credentials_and_nothing_is_done_there() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    let target = Target {
        auth: "bearer",
        secret: Some("env:TRADEFLOW_KEY"),
        ..Target::http(format!("{}/v3", sink.url()))
    };
    target.insert(&db, "erp").await;
    let said = test(&db, "erp").run();
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert_eq!(found(&said)[0], "ok env:TRADEFLOW_KEY of target \"erp\" can be read");
    assert!(found(&said)[1].ends_with("answers HEAD with 200"), "{:?}", found(&said));
    let request = sink.requests().remove(0);
    assert_eq!((request.method.as_str(), request.uri.path()), ("HEAD", "/v3"));
    assert_eq!(request.header("authorization"), "Bearer k-123");

    for (answer, code, words) in [
        (Answer::status(401), 1, "does not accept our credentials"),
        (Answer::status(404), 0, "answers HEAD with 404"),
        (Answer::status(503), 0, "answers HEAD with 503"),
        (
            Answer::status(301).header("location", "https://elsewhere.example.com/"),
            0,
            "to https://elsewhere.example.com/",
        ),
    ] {
        sink.script([answer]);
        let said = test(&db, "erp").run();
        assert_eq!(said.code, code, "{words}: {}", said.stdout);
        assert!(found(&said)[1].contains(words), "{words}: {:?}", found(&said));
    }
    // One that knows no HEAD.
    sink.script([Answer::status(405), Answer::status(403)]);
    let said = test(&db, "erp").run();
    assert!(found(&said)[1].contains("answers GET with 403"), "{:?}", found(&said));
    assert!(sink
        .requests()
        .iter()
        .all(|r| ["HEAD", "GET"].contains(&r.method.as_str()) && r.body.is_empty()));
    assert!(!said.stdout.contains("k-123"), "a secret is shown");
}

#[tokio::test]
async fn an_smtp_target_is_greeted_and_logged_in_to() {
    let db = Database::with_extension().await;
    let sink = MailSink::with().starttls().auth("shop", "hunter2").start();
    let ca = sink.ca_file.clone().expect("it has a certificate").display().to_string();
    let target = |username| Target {
        auth: "basic",
        username: Some(username),
        secret: Some("env:SMTP_PASSWORD"),
        ..Target::smtp(format!("smtp://localhost:{}?tls=starttls", sink.port()))
    };
    target("shop").insert(&db, "mail").await;
    let said = test(&db, "mail").env("TRADEFLOW_TLS_EXTRA_CA_FILE", &ca).run();
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(found(&said).last().unwrap().ends_with("greets us and lets us log in"), "{:?}", found(&said));

    target("somebody").insert(&db, "wrong").await;
    let said = test(&db, "wrong").env("TRADEFLOW_TLS_EXTRA_CA_FILE", &ca).run();
    assert_eq!(said.code, 1);
    assert!(found(&said).last().unwrap().contains("the login of somebody failed"), "{:?}", found(&said));

    let said = test(&db, "mail").run();
    assert_eq!(said.code, 1, "its certificate is nobody's: {}", said.stdout);
    assert!(!said.stdout.contains("hunter2"), "a secret is shown");
    assert!(sink.mails().is_empty(), "a test sends nothing");
}

/// An action of a kind that uses target `there`, so that `targets test` knows what it must be let to do.
async fn used(db: &Database, kind: &str, params: &str) {
    db.sql(
        "create table if not exists uses (id int primary key);
         select tradeflow.watch('uses');
         insert into tradeflow.rules (name, source) values ('uses', 'public.uses') on conflict do nothing",
    )
    .await;
    db.execute(
        "insert into tradeflow.actions (rule, step, kind, target, params)
         select 'uses', coalesce(max(step), 0) + 1, $1, 'there', $2::text::jsonb from tradeflow.actions where rule = 'uses'",
        &[&kind, &params],
    )
    .await;
}

fn test_vendor(db: &Database, secret: &str) -> Said {
    Tradeflow::on(db, ["targets", "test", "there", "--json"]).env("HUBSPOT_TEST", secret).run()
}

async fn vendor(system: &'static str, base_url: String) -> Database {
    let db = Database::with_extension().await;
    Target { system, base_url, secret: Some("env:HUBSPOT_TEST"), ..Target::default() }
        .insert(&db, "there")
        .await;
    db
}

/// What is said of the target's part `what`, with the hint.
fn about(said: &Said, what: &str) -> String {
    let json = said.json();
    let findings = json["findings"].as_array().expect("a list").clone();
    let found = findings.iter().find(|f| f["message"].as_str().is_some_and(|m| m.contains(what)));
    found.unwrap_or_else(|| panic!("nothing says {what}: {}", said.stdout)).to_string()
}

#[tokio::test]
async fn a_stores_token_is_tried_where_its_actions_write() {
    let shop = BigCommerce::start();
    let db = vendor("bigcommerce", format!("{}/stores/{}", shop.url(), shop.store_hash())).await;
    let said = test_vendor(&db, &shop.token());
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(found(&said)[1].ends_with("lets us ask core for the time"), "{:?}", found(&said));
    assert_eq!(found(&said).len(), 2, "nothing uses it yet");

    let said = test_vendor(&db, "not-the-token");
    assert_eq!(said.code, 1);
    let told = about(&said, "does not accept our token");
    assert!(told.contains("was taken back") && !told.contains("not-the-token"), "{told}");

    used(&db, "bigcommerce.set_company_status", r#"{"company_id": 1, "status": "approved"}"#).await;
    used(&db, "bigcommerce.set_order_status", r#"{"bc_order_id": 1, "status": "shipped"}"#).await;
    let said = test_vendor(&db, &shop.token());
    assert_eq!(said.code, 0, "{}", said.stdout);
    about(&said, "lets us read companies of B2B Edition");
    about(&said, "lets us read orders");
    shop.set(|settings| settings.scopes = vec![Scope::Products]);
    let said = test_vendor(&db, &shop.token());
    assert_eq!(said.code, 1);
    assert!(about(&said, "does not let us read companies").contains("B2B Edition: modify"));
    assert!(about(&said, "does not let us read orders").contains("Orders: modify"));

    db.sql("update tradeflow.targets set base_url = replace(base_url, '/stores/', '/stores/x')").await;
    let said = test_vendor(&db, &shop.token());
    assert!(about(&said, "does not let us ask core").contains("store hash in base_url"));
    assert!(shop.requests().iter().all(|request| request.method == "GET"), "nothing is changed");
}

#[tokio::test]
async fn a_crms_token_is_tried_where_its_actions_write() {
    let crm = HubSpot::start();
    let db = vendor("hubspot", crm.url()).await;
    let said = test_vendor(&db, &crm.token());
    assert_eq!((said.code, found(&said).len()), (0, 2), "{}", said.stdout);
    assert!(about(&test_vendor(&db, "wrong"), "does not accept our token").contains("was taken back"));

    used(&db, "hubspot.upsert_deal", r#"{"key": "1", "properties": {"dealname": "x"}}"#).await;
    used(&db, "hubspot.upsert_company", r#"{"key": "1", "properties": {"name": "x"}}"#).await;
    assert_eq!(test_vendor(&db, &crm.token()).code, 0);
    crm.edit(|account| assert!(account.scopes.remove("crm.objects.deals.read")));
    let said = test_vendor(&db, &crm.token());
    assert_eq!(said.code, 1);
    let told = about(&said, "does not let us read deals");
    assert!(told.contains("crm.objects.deals.write") && told.contains("required scopes"), "{told}");
    about(&said, "lets us read companies");
    assert!(crm.requests().iter().all(|request| request.method == "GET"), "nothing is changed");
}

#[tokio::test]
async fn a_service_account_is_signed_in_and_tried_on_its_spreadsheets() {
    let google = Google::start();
    google.spreadsheet("s1", "Quotes", serde_json::json!([["Quote"]]));
    let db = vendor("google", google.url()).await;
    let said = test_vendor(&db, &google.key_file());
    assert_eq!((said.code, found(&said).len()), (0, 2), "{}", said.stdout);
    about(&said, "lets us sign in as tradeflow@project.iam.gserviceaccount.com");

    for (spreadsheet, rows) in [("s1", "1"), ("s2", "2"), ("{{ facts.id }}", "3")] {
        let params = serde_json::json!({"spreadsheet": spreadsheet, "sheet": "Quotes", "key": "Quote", "rows": {"Quote": rows}});
        used(&db, "sheets.upsert_rows", &params.to_string()).await;
    }
    google.edit(|state| drop(state.spreadsheets.insert("s2".into(), Default::default())));
    let said = test_vendor(&db, &google.key_file());
    assert_eq!((said.code, found(&said).len()), (1, 4), "{}", said.stdout);
    about(&said, "lets us read spreadsheet s1");
    let told = about(&said, "does not let us read spreadsheet s2");
    assert!(told.contains("share the spreadsheet with tradeflow@project.iam"), "{told}");

    let other = Google::start();
    let mut key: Json = serde_json::from_str(&other.key_file()).expect("it is JSON");
    key["token_uri"] = format!("{}/token", google.url()).into();
    let told = about(&test_vendor(&db, &key.to_string()), "sign in as");
    assert!(told.contains("Invalid JWT Signature") && told.contains("is the key still one"), "{told}");
    let told = about(&test_vendor(&db, "hunter2"), "cannot be used");
    assert!(told.contains("JSON key of a service account") && !told.contains("hunter2"), "{told}");
}

/// Bad input: each with what is wrong; and doctor says the same.
#[tokio::test]
async fn says_what_is_wrong_with_a_target() {
    let db = Database::with_extension().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("it is bound")
        .port();
    let with = |base_url: String| Target::http(base_url);
    with(format!("http://127.0.0.1:{free}")).insert(&db, "refusing").await;
    with("http://no-such-host.invalid/v3".into()).insert(&db, "nowhere").await;
    with("https://exa mple.com".into()).insert(&db, "broken").await;
    with("http://[::1".into()).insert(&db, "bracket").await;
    Target { refuse_private: true, ..with("http://127.0.0.1:9".into()) }.insert(&db, "private").await;
    Target { auth: "bearer", secret: Some("env:TRADEFLOW_UNSET"), ..with("http://127.0.0.1:9".into()) }
        .insert(&db, "unset")
        .await;
    Target { auth: "bearer", secret: Some("file:/etc/passwd"), ..with("http://127.0.0.1:9".into()) }
        .insert(&db, "outside")
        .await;
    Target { auth: "bearer", secret: Some("env:HOME"), ..with("http://127.0.0.1:9".into()) }
        .insert(&db, "forbidden")
        .await;
    Target { auth: "basic", username: Some("u"), ..with("http://127.0.0.1:9".into()) }
        .insert(&db, "without")
        .await;
    Target::smtp("smtp://mail.example.com?tls=maybe".into()).insert(&db, "maybe").await;
    let all = Tradeflow::on(&db, ["targets", "test"]).run();
    let doctor = Tradeflow::on(&db, ["doctor"]).run();
    assert_eq!((all.code, doctor.code), (1, 1));
    for words in [
        "\"refusing\" at",
        "refused",
        "\"nowhere\" at",
        "https://exa mple.com is no URL",
        "http://[::1 is no URL",
        "127.0.0.1 is a private or loopback address",
        "env:TRADEFLOW_UNSET: the environment variable is not set",
        "file:/etc/passwd: the file is outside of secrets.directories",
        "env:HOME: its name is not allowed by secrets.env",
        "\"without\" has auth basic, but names no secret",
        "tls=maybe is not understood",
    ] {
        assert!(all.stdout.contains(words), "{words} is missing in:\n{}", all.stdout);
        assert!(doctor.stdout.contains(words), "{words} is missing in:\n{}", doctor.stdout);
    }
    let unknown = tradeflow(&db, ["targets", "test", "nobody"]);
    assert!(unknown.failure().contains("there is no target \"nobody\""), "{}", unknown.stderr);
}
