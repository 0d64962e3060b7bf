//! What the database itself tells.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Client;

use super::Finding;
use crate::config::Config;
use crate::db;

/// A ready action that nobody took for so long is overdue.
const OVERDUE: f64 = 60.0;

/// Whether the extension is there.
pub async fn extension(client: &Client, findings: &mut Vec<Finding>) -> Result<bool, db::Error> {
    let row = client.query_one(include_str!("../db/extension_available.sql"), &[]).await?;
    let (installed, available): (Option<String>, Option<String>) =
        (row.get("installed"), row.get("available"));
    let Some(installed) = installed else {
        findings.push(Finding::error("extension", &db::Error::NoExtension));
        return Ok(false);
    };
    findings.push(match available {
        Some(newer) if newer != installed => Finding::notice(
            "extension",
            format!("tradeflow {installed} in this database, {newer} on the server"),
            "alter extension tradeflow update;",
        ),
        _ => Finding::ok("extension", format!("tradeflow {installed}")),
    });
    Ok(true)
}

/// Whether the connected user may do what a sidecar does.
pub async fn rights(client: &Client, findings: &mut Vec<Finding>) -> Result<bool, db::Error> {
    let rights = db::Rights::of(client).await?;
    let complete = rights.missing.is_empty();
    findings.push(match complete {
        true => Finding::ok("rights", format!("{} may do what a sidecar does", rights.user)),
        false => Finding::problem(
            "rights",
            format!("{} lacks the right to use {}", rights.user, rights.missing.join(", ")),
            rights.hint(),
        ),
    });
    Ok(complete)
}

pub async fn watched(client: &Client, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let rows = client.query(include_str!("../db/doctor/watched.sql"), &[]).await?;
    if rows.is_empty() {
        findings.push(Finding::problem(
            "watched tables",
            "no table is watched, so no rule can fire",
            "run `tradeflow init`, or `select tradeflow.watch('schema.table');`",
        ));
    }
    let mut whole = 0;
    for row in &rows {
        let name: String = row.get("name");
        let missing: Vec<String> = row.get("missing");
        if !row.get::<_, bool>("exists") {
            findings.push(Finding::problem(
                "watched tables",
                format!("{name} does not exist any more"),
                format!("create it and `select tradeflow.watch('{name}');`, or delete from tradeflow.watched_tables where name = '{name}';"),
            ));
        } else if !missing.is_empty() {
            findings.push(Finding::problem(
                "watched tables",
                format!("{name} lacks or has disabled its triggers {}: its changes are not seen", missing.join(", ")),
                format!("select tradeflow.watch('{name}');  (with its ignore list; for a disabled one: alter table {name} enable always trigger …)"),
            ));
        } else {
            whole += 1;
        }
    }
    if whole > 0 {
        findings.push(Finding::ok("watched tables", format!("{whole} watched")));
    }
    Ok(())
}

pub async fn rules(client: &Client, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let rows = client.query(include_str!("../db/doctor/rules.sql"), &[]).await?;
    for row in &rows {
        findings.push(Finding::problem(
            "rules",
            format!("rule \"{}\" is not evaluated: {}", row.get::<_, String>(0), row.get::<_, String>(1)),
            "supply what is missing, then write the rule again (an update of it compiles it)",
        ));
    }
    let total: i64 = client.query_one("select count(*) from tradeflow.rules", &[]).await?.get(0);
    if rows.is_empty() {
        findings.push(Finding::ok("rules", format!("{total} rules, none invalid")));
    }
    Ok(())
}

pub async fn actions(client: &Client, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    for row in client.query(include_str!("../db/doctor/actions.sql"), &[]).await? {
        let place =
            format!("step {} of rule \"{}\"", row.get::<_, i32>("step"), row.get::<_, String>("rule"));
        if row.get::<_, bool>("target_missing") {
            let target: String = row.get("target");
            findings.push(Finding::problem(
                "actions",
                format!("{place} names target \"{target}\", which does not exist"),
                format!("insert into tradeflow.targets (name, system, base_url, …) values ('{target}', …);"),
            ));
        }
        if row.get::<_, Option<bool>>("template_missing").unwrap_or(false) {
            let template: String = row.get("template");
            findings.push(Finding::problem(
                "actions",
                format!("{place} names template \"{template}\", which does not exist"),
                format!("insert into tradeflow.templates (name, subject, text) values ('{template}', …);"),
            ));
        }
    }
    Ok(())
}

pub async fn queue(client: &Client, config: &Config, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let row = client.query_one(include_str!("../db/doctor/queue.sql"), &[]).await?;
    let (sidecars, ready): (i64, i64) = (row.get("sidecars"), row.get("ready"));
    let oldest: f64 = row.get("oldest_ready");
    let age = humantime::format_duration(Duration::from_secs(oldest.max(0.0) as u64)).to_string();
    match sidecars {
        0 if ready > 0 => findings.push(Finding::problem(
            "queue",
            format!("no sidecar is connected, and {ready} actions are ready, the oldest for {age}"),
            "start one: `tradeflow run`",
        )),
        0 => findings.push(Finding::notice("queue", "no sidecar is connected", "start one: `tradeflow run`")),
        _ if oldest > OVERDUE => findings.push(Finding::problem(
            "queue",
            format!("{ready} actions are ready, the oldest for {age}"),
            format!(
                "look at its log; is its kind among the sidecar's (here: {}), are concurrency and targets' speed enough?",
                if config.kinds.is_empty() { "all".to_owned() } else { config.kinds.join(", ") }
            ),
        )),
        // Each holds a few connections, so their number says nothing.
        _ => findings.push(Finding::ok("queue", format!("a sidecar is connected, {ready} actions are ready"))),
    }
    for (state, hint) in [
        ("dead", "select id, rule, subject, error from tradeflow.outbox where state = 'dead';  then tradeflow.retry(id) or tradeflow.cancel(id)"),
        ("uncertain", "find out whether it arrived: select id, rule, subject, error from tradeflow.outbox where state = 'uncertain';  then tradeflow.cancel(id, 'it arrived') or tradeflow.retry(id)"),
        ("held", "select tradeflow.release_held('rule');  or  select tradeflow.discard_held('rule');"),
    ] {
        let count: i64 = row.get(state);
        if count > 0 {
            findings.push(Finding::problem("queue", format!("{count} actions are {state} and wait for a person"), hint));
        }
    }
    if let Some(at) = row.get::<_, Option<DateTime<Utc>>>("test_clock") {
        findings.push(Finding::notice(
            "queue",
            format!("the test clock stands at {at}: timers go by it"),
            "select tradeflow.set_clock(null);",
        ));
    }
    Ok(())
}

/// What was stopped is easily forgotten.
pub async fn stopped(client: &Client, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    for row in client.query(include_str!("../db/doctor/stopped.sql"), &[]).await? {
        let (what, name, status): (String, String, String) =
            (row.get("what"), row.get("name"), row.get("status"));
        let (reason, ready): (Option<String>, i64) = (row.get("reason"), row.get("ready"));
        let how = match status.as_str() {
            "open" | "half_open" => "failed too often: its circuit breaker is open".to_owned(),
            "throttled" => "asked not to be called for a while".to_owned(),
            _ => "is paused".to_owned(),
        };
        let until = row
            .get::<_, Option<DateTime<Utc>>>("again")
            .map_or_else(String::new, |at| format!(", until {}", at.format("%F %T UTC")));
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        findings.push(Finding::notice(
            "stopped",
            format!("{what} \"{name}\" {how}{until}{reason}; {ready} actions are ready for it"),
            format!("when it shall go on: tradeflow {what}s resume {name}"),
        ));
    }
    Ok(())
}

pub async fn incidents(client: &Client, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let rows = client.query(include_str!("../db/doctor/incidents.sql"), &[]).await?;
    for row in &rows {
        let (kind, message): (String, String) = (row.get("kind"), row.get("message"));
        let (times, hint): (i32, Option<String>) = (row.get("count"), row.get("hint"));
        let last: DateTime<Utc> = row.get("last_seen_at");
        let seen = match times {
            1 => format!("at {}", last.format("%F %T UTC")),
            n => format!("{n} times, last at {}", last.format("%F %T UTC")),
        };
        findings.push(Finding::problem(
            "incidents",
            format!("{kind}: {message} ({seen})"),
            hint.unwrap_or_else(|| {
                "select * from tradeflow.incidents where acked_at is null;  then tradeflow.ack(id)".into()
            }),
        ));
    }
    if rows.is_empty() {
        findings.push(Finding::ok("incidents", "none open"));
    }
    Ok(())
}
