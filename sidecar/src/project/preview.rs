//! `tradeflow preview`: the mails and requests that a change would cause, rendered; nothing is kept, nothing is sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{json, Value as Json};
use tokio_postgres::Client;

use super::rehearse::{Rehearsal, Sent};
use super::Error;
use crate::config::Config;
use crate::db;
use crate::deliver::Action;
use crate::executor::catalog::Catalog;
use crate::executor::claim::Claimed;
use crate::executor::raw::RawJson;
use crate::trace::Origin;

/// A firing with what its actions would send.
#[derive(Debug, Serialize)]
pub struct Firing {
    pub rule: String,
    pub source: String,
    pub event: String,
    pub edge: String,
    pub subject: String,
    pub occurrence: String,
    /// ready, waiting for run_at, held, shadow, or done where there is no action.
    pub state: String,
    pub run_at: DateTime<Utc>,
    pub facts: Json,
    pub actions: Vec<Sent>,
}

/// Runs a statement, rolls it back, and renders what it fired.
pub async fn run(config: &Config, pool: &db::Pool, sql: &str) -> Result<Vec<Firing>, Error> {
    let rehearsal = Rehearsal::new(config, pool)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let simulate = "select rule, source, event, edge, subject, occurrence, state, run_at, facts, actions from tradeflow.simulate($1)";
    let rows = transaction.query(simulate, &[&sql]).await?;
    let catalog = Catalog::load(transaction.client()).await?;
    let mut firings = Vec::new();
    for row in rows {
        let mut firing = Firing {
            rule: row.try_get("rule")?,
            source: row.try_get("source")?,
            event: row.try_get("event")?,
            edge: row.try_get("edge")?,
            subject: row.try_get("subject")?,
            occurrence: row.try_get("occurrence")?,
            state: row.try_get("state")?,
            run_at: row.try_get("run_at")?,
            facts: row.try_get("facts")?,
            actions: Vec::new(),
        };
        let version = version(transaction.client(), &firing.rule).await?;
        let actions: Json = row.try_get("actions")?;
        let nothing_follows = firing.state == "cancelled";
        for action in actions.as_array().into_iter().flatten().filter(|_| !nothing_follows) {
            firing.actions.extend(rehearsal.render(&catalog, &Arc::new(claimed(&firing, action, version))));
        }
        firings.push(firing);
    }
    transaction.rollback().await?;
    Ok(firings)
}

async fn version(client: &Client, rule: &str) -> Result<i32, Error> {
    let row = client.query_opt("select version from tradeflow.rules where name = $1", &[&rule]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(1))
}

/// An action as the sidecar would claim it. Results of earlier steps are not there yet.
fn claimed(firing: &Firing, action: &Json, rule_version: i32) -> Claimed {
    let text = |key: &str| action[key].as_str().map(str::to_owned);
    let step = action["step"].as_i64().unwrap_or(1) as i32;
    Claimed {
        action: Action {
            id: 0,
            attempt: 1,
            rule: firing.rule.clone(),
            step,
            name: text("name"),
            kind: text("kind").unwrap_or_default(),
            idempotency_key: format!("preview-{}-{}-{step}", firing.rule, firing.subject),
            created_at: firing.run_at,
        },
        rule_version,
        source: firing.source.clone(),
        event: firing.event.clone(),
        subject: firing.subject.clone(),
        occurrence: firing.occurrence.clone(),
        target: text("target"),
        params: Some(RawJson::of(&action["params"])),
        facts: RawJson::of(&firing.facts),
        steps: RawJson::of(&json!({})),
        origin: Origin { firing_id: 0, traceparent: None, fired_at: firing.run_at, first: true },
        waited: Duration::ZERO,
        at: Instant::now(),
    }
}

/// In plain words.
pub fn text(firings: &[Firing]) -> String {
    if firings.is_empty() {
        return "no rule would fire".into();
    }
    let mut lines = Vec::new();
    for firing in firings {
        let occurrence =
            if firing.occurrence.is_empty() { String::new() } else { format!(", {}", firing.occurrence) };
        let when = match firing.state.as_str() {
            "waiting" => format!("at {}", firing.run_at.format("%Y-%m-%d %H:%M:%S UTC")),
            "ready" => "at once".into(),
            "done" => "only recorded: it has no actions".into(),
            "cancelled" => "left out, since its time has passed (if_late)".into(),
            "shadow" => "only recorded: the rule is in shadow mode".into(),
            other => other.to_owned(),
        };
        lines.push(format!(
            "rule {} for {}{occurrence} ({} of {}): {when}",
            firing.rule, firing.subject, firing.event, firing.source
        ));
        for sent in &firing.actions {
            let target = sent.target.as_deref().map(|t| format!(" via {t}")).unwrap_or_default();
            lines.push(format!("  {} {}{target}", sent.step, sent.kind));
            match &sent.error {
                Some(error) if sent.step > 1 && error.contains("steps") => {
                    lines.push("    it reads the result of an earlier step, which is not known yet".into());
                }
                Some(error) => lines.push(format!("    it would fail: {error}")),
                None => {
                    lines.extend(shown(sent).lines().map(|line| format!("    {line}").trim_end().to_owned()))
                }
            }
        }
        lines.push(String::new());
    }
    let sent = firings.iter().flat_map(|f| &f.actions);
    let mails = sent.clone().filter(|s| s.kind == "email").count();
    lines.push(format!(
        "{} firings, {mails} mails, {} other actions; nothing was kept, nothing was sent",
        firings.len(),
        sent.count() - mails
    ));
    lines.join("\n")
}

/// A mail as a reader sees it; another request as JSON.
fn shown(sent: &Sent) -> String {
    let request = &sent.request;
    if sent.kind != "email" {
        return serde_json::to_string_pretty(request).unwrap_or_default();
    }
    let list = |key: &str| {
        let all = request[key].as_array().into_iter().flatten().filter_map(Json::as_str);
        all.collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("From: {}", request["from"].as_str().unwrap_or_default())];
    for (head, key) in [("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to")] {
        let all = list(key);
        if !all.is_empty() {
            lines.push(format!("{head}: {all}"));
        }
    }
    lines.push(format!("Subject: {}\n", request["subject"].as_str().unwrap_or_default()));
    lines.push(request["text"].as_str().unwrap_or_default().trim_end().to_owned());
    lines.join("\n")
}

/// Writes the mails as files to look at; returns their names, the list of them first.
pub fn write_html(firings: &[Firing], folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |path: &Path, e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
    std::fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
    let mails = firings.iter().flat_map(|f| &f.actions).filter(|s| s.kind == "email" && s.error.is_none());
    let mut written = vec![folder.join("index.html")];
    let mut list = String::new();
    for (n, mail) in mails.enumerate() {
        let safe = |text: &str| {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        };
        let name = format!(
            "{:02}-{}-{}-{}.html",
            n + 1,
            safe(&mail.rule),
            safe(&mail.subject).trim_matches('-'),
            mail.step
        );
        let page = match mail.request["html"].as_str() {
            Some(html) => html.to_owned(),
            None => format!(
                "<!doctype html><meta charset=\"utf-8\"><pre>{}</pre>",
                escape(mail.request["text"].as_str().unwrap_or_default())
            ),
        };
        let path = folder.join(&name);
        std::fs::write(&path, page).map_err(|e| fail(&path, e))?;
        list.push_str(&format!(
            "<h2>{}</h2><p>{} · <a href=\"{name}\">{name}</a></p><pre>{}</pre><iframe src=\"{name}\" style=\"width:100%;height:32em;border:1px solid #ccc\"></iframe>\n",
            escape(mail.request["subject"].as_str().unwrap_or_default()),
            escape(&mail.rule),
            escape(&shown(mail)),
        ));
        written.push(path);
    }
    let page = format!("<!doctype html><meta charset=\"utf-8\"><title>tradeflow preview</title><body style=\"font-family:sans-serif;max-width:50em;margin:2em auto\">{list}</body>");
    std::fs::write(&written[0], page).map_err(|e| fail(&written[0], e))?;
    Ok(written)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
