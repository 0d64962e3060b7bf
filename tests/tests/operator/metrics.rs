//! `/metrics`, and what is built on it: the dashboard and the alert rules name only what a running sidecar exposes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::jobs::{watch_jobs, Target, POST};
use tradeflow_tests::sidecar::Sidecar;

/// A figure by its name and labels, as written: `tradeflow_rules{status="live"}`.
fn figures(answer: &str) -> BTreeMap<String, f64> {
    let lines = answer.lines().filter(|line| line.starts_with("tradeflow_"));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
        .collect()
}

/// A sidecar to which everything happened that is counted: successes, retries, deaths, a lost lease.
async fn eventful(db: &Database, sink: &HttpSink) -> Sidecar {
    watch_jobs(db, &Target::http(sink.url()), "http", POST).await;
    db.sql("insert into tradeflow.action_kinds (name, repeatable, description) values ('fax', true, 'sends a fax');
            insert into tradeflow.rules (name, source, condition) values ('fax', 'public.jobs', 'new.n = 7');
            insert into tradeflow.actions (rule, kind, target) values ('fax', 'fax', 'there');
            update tradeflow.targets set breaker_failures = 0")
        .await;
    let mut sidecar = Sidecar::command(db).env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0").start();
    let done = |n: usize| format!("select count(*) = {n} from tradeflow.outbox_history where state = 'done'");
    db.sql("insert into jobs values (1)").await;
    db.until(&done(1)).await;

    sink.script([Answer::status(503)]);
    db.sql("insert into jobs values (2)").await;
    db.until("select exists (select from tradeflow.outbox where subject = '2' and state = 'ready' and attempt = 1)").await;

    sink.script([Answer::status(400)]);
    db.sql("insert into jobs values (3)").await;
    db.until("select exists (select from tradeflow.outbox where subject = '3' and state = 'dead')").await;

    // Somebody else took it over while it was being sent.
    sink.script([Answer::json(200, "{}").after(Duration::from_millis(800))]);
    db.sql("insert into jobs values (4)").await;
    db.until("select exists (select from tradeflow.outbox where subject = '4' and state = 'running')").await;
    db.sql("update tradeflow.outbox set attempt = attempt + 1 where subject = '4' and state = 'running'")
        .await;
    sidecar.wait_for_log("completion refused");

    db.sql("insert into jobs (id, n) values (5, 7); select tradeflow.hold(array(select id from tradeflow.outbox where kind = 'fax'));
            insert into tradeflow.sync_state (resource, caught_up_at) values ('quotes', now() - interval '90 seconds'), ('orders', null)").await;
    sidecar
}

#[tokio::test]
async fn counts_what_happened() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    let mut sidecar = eventful(&db, &sink).await;
    db.until("select not exists (select from tradeflow.outbox where subject = '5' and kind = 'http')").await;
    // The figures of the database may be five seconds old.
    db.sql("update tradeflow.health_snapshot set taken_at = '-infinity'").await;
    let answer = sidecar.get("/metrics").await;
    let found = figures(&answer);
    let is = |series: &str| *found.get(series).unwrap_or_else(|| panic!("{series} is missing in:\n{answer}"));
    let of = r#"kind="http",target="there""#;
    assert!(is(&format!("tradeflow_delivered_total{{{of}}}")) >= 2.0);
    assert!(is(&format!(r#"tradeflow_failed_total{{{of},outcome="retry"}}"#)) >= 1.0);
    assert_eq!(is(&format!(r#"tradeflow_failed_total{{{of},outcome="dead"}}"#)), 1.0);
    assert_eq!(is(r#"tradeflow_refused_total{kind="http"}"#), 1.0);
    assert!(is(r#"tradeflow_claimed_total{kind="http"}"#) >= 5.0);
    assert!(is(&format!("tradeflow_queue_latency_seconds_count{{{of}}}")) >= 5.0);
    assert_eq!(is(r#"tradeflow_queue_actions{state="dead",kind="http",target="there"}"#), 1.0);
    assert_eq!(is(r#"tradeflow_queue_actions{state="held",kind="fax",target="there"}"#), 1.0);
    assert_eq!(is(r#"tradeflow_incidents_open{kind="dead_action"}"#), 1.0);
    assert_eq!(is(r#"tradeflow_rules{status="live"}"#), 2.0);
    assert_eq!(is(r#"tradeflow_target_paused{target="there"}"#), 0.0);
    assert_eq!(is(r#"tradeflow_target_breaker{target="there"}"#), 0.0);
    let lag = is(r#"tradeflow_sync_lag_seconds{resource="quotes"}"#);
    assert!((90.0..300.0).contains(&lag), "{lag}");
    assert!(
        !answer.contains(r#"tradeflow_sync_lag_seconds{resource="orders"}"#),
        "its first load is not over"
    );
    assert_eq!(is("tradeflow_sidecars"), 1.0);
    assert_eq!(is("tradeflow_concurrency"), 128.0);
    let extension: String = db.one("select tradeflow.version()").await;
    assert!(
        found
            .keys()
            .any(|k| k.starts_with("tradeflow_build_info{")
                && k.contains(&format!("extension=\"{extension}\"")))
    );

    // What is there no longer is zero, not what it was.
    db.sql(
        "select tradeflow.cancel(array(select id from tradeflow.outbox)), tradeflow.pause_target('there');
            update tradeflow.health_snapshot set taken_at = '-infinity'",
    )
    .await;
    let found = figures(&sidecar.get("/metrics").await);
    assert_eq!(found[r#"tradeflow_queue_actions{state="dead",kind="http",target="there"}"#], 0.0);
    assert_eq!(found[r#"tradeflow_target_paused{target="there"}"#], 1.0);
}

/// The names in a text that are ours. Of a histogram, the one of its figures.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("tradeflow_") && *word != "tradeflow_")
        .map(str::to_owned)
        .collect()
}

/// Every query of the dashboard.
fn dashboard() -> String {
    let path = project().join("docker/observability/grafana-dashboard.json");
    let text = std::fs::read_to_string(&path).expect("the dashboard is there");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = json["panels"].as_array().expect("it has panels");
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().expect("a query"))
        .collect();
    assert!(queries.len() > 20 && panels.iter().all(|p| p["type"] == "row" || p["description"].is_string()));
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have ids of their own");
    let variables = json["templating"]["list"].to_string();
    format!("{}\n{variables}", queries.join("\n"))
}

/// Every expression of the alert rules.
fn alerts() -> String {
    let path = project().join("docker/observability/alerts.yaml");
    let text = std::fs::read_to_string(&path).expect("the alert rules are there");
    let yaml: serde_norway::Value = serde_norway::from_str(&text).expect("they are YAML");
    let rules = yaml["groups"][0]["rules"].as_sequence().expect("they have rules");
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name").to_owned();
        for part in ["summary", "description"] {
            assert!(rule["annotations"][part].is_string(), "{name} says no {part}");
        }
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{name}");
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    rules.iter().map(|rule| rule["expr"].as_str().expect("an expression")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_dashboard_the_alerts_and_the_page_name_what_is_exposed() {
    let db = Database::with_extension().await;
    let sink = HttpSink::start();
    let mut sidecar = eventful(&db, &sink).await;
    db.sql("update tradeflow.health_snapshot set taken_at = '-infinity'").await;
    let answer = sidecar.get("/metrics").await;
    let exposed: BTreeSet<String> = figures(&answer)
        .keys()
        .map(|series| series.split('{').next().unwrap_or_default().to_owned())
        .collect();
    for (place, text) in [("the dashboard", dashboard()), ("the alert rules", alerts())] {
        let named = named(&text);
        assert!(named.len() > 8, "{place}: {named:?}");
        for name in named {
            assert!(exposed.contains(&name), "{place} names {name}, which is not exposed:\n{answer}");
        }
    }
    // The page names each metric once, without the parts of histograms, and none besides.
    let page = std::fs::read_to_string(project().join("docs/operations.md")).expect("the page is there");
    let bare = |name: &str| {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        part.unwrap_or(name).to_owned()
    };
    let documented: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with("| `tradeflow_"))
        .flat_map(|line| named(line.split('|').nth(1).unwrap_or_default()))
        .collect();
    let exposed: BTreeSet<String> = exposed.iter().map(|name| bare(name)).collect();
    assert_eq!(documented, exposed);
}
