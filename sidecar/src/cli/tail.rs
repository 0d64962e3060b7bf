//! `tradeflow tail`: firings, deliveries and incidents as they happen.
//!
//! By looking again from where the last look ended, so it works behind poolers too. An id is handed out before its
//! transaction commits: those that were left out are looked for again for a minute.

use std::collections::{BTreeMap, HashMap};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;
use tradeflow_sidecar::db;

use super::outbox::name;
use super::query::{self, items, number, text};
use super::table::printable;
use super::{when, Context};

/// A transaction that took longer shows its firings when they end.
const LATE: Duration = Duration::from_secs(60);

/// What ended within so long before the last look may have committed since.
const OVERLAP: chrono::Duration = chrono::Duration::seconds(10);

/// As many of a kind as tail.sql returns at most.
const FULL: usize = 1000;

/// Follow firings, deliveries and incidents as they happen
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow tail
  tradeflow tail --rule big_quote --since 10m
  tradeflow tail --json | jq -c 'select(.event == \"incident\")'

Events: fired, step (a later step begins), retry, done, cancelled, shadow, incident. Ends with Ctrl-C, exit code 0. \
A lost database is waited for.")]
pub struct Args {
    /// Of this rule
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// For this target (no incidents then)
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// About this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Begin with what happened since: 10m, 2h, or a time [default: now]
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<DateTime<Utc>>,
    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Print one JSON object a line: {event, at, …}
    #[arg(long)]
    json: bool,
}

/// How far an ascending id was followed.
struct Position {
    after: i64,
    missing: BTreeMap<i64, Instant>,
}

impl Position {
    fn missing(&self) -> Vec<i64> {
        self.missing.keys().copied().collect()
    }

    /// Moves on over these ids, in ascending order.
    fn advance(&mut self, ids: impl Iterator<Item = i64>) {
        let now = Instant::now();
        self.missing.retain(|_, since| now.duration_since(*since) < LATE);
        for id in ids {
            self.missing.remove(&id);
            if id > self.after {
                // A thousand at most: a large gap is a sequence that was moved, not a transaction.
                let first = (self.after + 1).max(id - FULL as i64);
                self.missing.extend((first..id).map(|missing| (missing, now)));
                self.after = id;
            }
        }
    }
}

/// What was followed so far.
struct Follower {
    actions: Position,
    incidents: Position,
    since: DateTime<Utc>,
    /// Ended actions and retries that were told, with when they happened.
    told: HashMap<(i64, i64), DateTime<Utc>>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let pool = context.pool()?;
    let start = include_str!("../db/operator/tail_start.sql");
    let mut client = pool.get().await?;
    let at = query::row(&mut client, start, &[(&args.since, Type::TIMESTAMPTZ)]).await?;
    drop(client);
    let now = Instant::now();
    let position = |key: &str, missing: &str| Position {
        after: number(&at, key),
        missing: items(&at, missing).iter().filter_map(Json::as_i64).map(|id| (id, now)).collect(),
    };
    let mut follower = Follower {
        actions: position("action", "missing_actions"),
        incidents: position("incident", "missing_incidents"),
        since: args.since.or_else(|| when::of(&at, "now")).unwrap_or_default(),
        told: HashMap::new(),
    };
    let mut away = false;
    let following = async {
        loop {
            let pause = match look(&pool, &mut follower).await {
                Ok((events, more)) => {
                    if std::mem::take(&mut away) {
                        eprintln!("tradeflow: the database answers again");
                    }
                    for event in events.iter().filter(|event| wanted(event, &args)) {
                        let line = if args.json { event.to_string() } else { line(event) };
                        match writeln!(std::io::stdout(), "{line}") {
                            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                            written => written?,
                        }
                    }
                    if more {
                        Duration::ZERO
                    } else {
                        args.interval
                    }
                }
                Err(error) if error.sqlstate().is_some_and(|code| code.starts_with("42")) => {
                    return Err(error.into())
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        eprintln!("tradeflow: {error}\ntradeflow: trying again until it answers");
                    }
                    Duration::from_secs(1).max(args.interval)
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        ended = following => ended.map(|()| ExitCode::SUCCESS),
        stopped = tokio::signal::ctrl_c() => Ok(stopped.map(|()| ExitCode::SUCCESS)?),
    }
}

/// One look: what happened since the last, in the order of time, and whether there is more to see at once.
async fn look(pool: &db::Pool, follower: &mut Follower) -> Result<(Vec<Json>, bool), db::Error> {
    let (actions, incidents) = (follower.actions.missing(), follower.incidents.missing());
    let values: query::Values<'_> = &[
        (&follower.actions.after, Type::INT8),
        (&actions, Type::INT8_ARRAY),
        (&follower.incidents.after, Type::INT8),
        (&incidents, Type::INT8_ARRAY),
        (&follower.since, Type::TIMESTAMPTZ),
    ];
    let mut client = pool.get().await?;
    let seen = query::row(&mut client, include_str!("../db/operator/tail.sql"), values).await?;
    let (begun, ended) = (items(&seen, "begun"), items(&seen, "ended"));
    follower.actions.advance(begun.iter().map(|row| number(row, "id")));
    follower.incidents.advance(items(&seen, "incidents").iter().map(|row| number(row, "id")));

    let mut events = Vec::new();
    for row in begun {
        let first = row["first"].as_bool().unwrap_or(true);
        events.push(event(if first { "fired" } else { "step" }, "created_at", row));
    }
    for (kind, at, rows) in [("retry", "run_at", items(&seen, "retried")), ("", "finished_at", ended)] {
        for row in rows {
            // Of retries each attempt is told; an end is told once.
            let told = (number(row, "id"), if kind == "retry" { number(row, "attempt") } else { 0 });
            let when = when::of(row, at).unwrap_or_default();
            if follower.told.insert(told, when).is_none() {
                let state = text(row, "state");
                events.push(event(if kind == "retry" { kind } else { &state }, at, row));
            }
        }
    }
    events.extend(items(&seen, "incidents").iter().map(|row| event("incident", "created_at", row)));
    let full = ended.len() == FULL;
    follower.since = match (full, ended.last().and_then(|row| when::of(row, "finished_at"))) {
        // More have ended since than one look shows: on from the last of them.
        (true, Some(last)) if last > follower.since => last,
        _ => when::of(&seen, "now").unwrap_or(follower.since) - OVERLAP,
    };
    let since = follower.since;
    follower.told.retain(|_, at| *at >= since - OVERLAP);
    Ok((events, full || begun.len() == FULL))
}

fn event(kind: &str, at: &str, row: &Json) -> Json {
    let mut event = row.clone();
    event["event"] = json!(kind);
    // A retry's time lies ahead: it is told now.
    event["at"] = if kind == "retry" { json!(Utc::now()) } else { row[at].clone() };
    event
}

fn wanted(event: &Json, args: &Args) -> bool {
    let is = |wanted: &Option<String>, key: &str| wanted.as_ref().is_none_or(|w| event[key] == w.as_str());
    is(&args.rule, "rule") && is(&args.target, "target") && is(&args.subject, "subject")
}

/// `18:01:02  done       big_quote  17  tell → smtp  31ms`.
fn line(event: &Json) -> String {
    let at = when::of(event, "at").map_or_else(String::new, |at| at.format("%T").to_string());
    let kind = text(event, "event");
    let now = Utc::now();
    let due = || when::of(event, "run_at").filter(|at| *at > now).map(|at| when::relative(at, now));
    let what = match kind.as_str() {
        "incident" => text(event, "message"),
        "retry" => format!(
            "attempt {} of {}: {}; again {}",
            number(event, "attempt"),
            number(event, "max_attempts"),
            text(event, "error"),
            due().unwrap_or_else(|| "at once".into())
        ),
        "fired" | "step" => match text(event, "state").as_str() {
            "waiting" => due().unwrap_or_default(),
            "held" => format!("held: {}", text(event, "reason")),
            _ => String::new(),
        },
        "done" => format!("{}ms", (event["took"].as_f64().unwrap_or(0.0) * 1000.0).round()),
        _ => text(event, "reason"),
    };
    let action = match (kind.as_str(), text(event, "target")) {
        ("incident", _) => text(event, "kind"),
        (_, target) if target.is_empty() => name(event),
        (_, target) => format!("{} → {target}", name(event)),
    };
    let about = match text(event, "occurrence") {
        none if none.is_empty() => text(event, "subject"),
        occurrence => format!("{} {occurrence}", text(event, "subject")),
    };
    let parts = [text(event, "rule"), about, action, what];
    let parts: Vec<String> =
        parts.iter().map(|part| printable(part)).filter(|part| !part.is_empty()).collect();
    format!("{at}  {kind:<9}  {}", parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commits_late_is_looked_for_again() {
        let mut position = Position { after: 10, missing: BTreeMap::new() };
        position.advance([11, 14].into_iter());
        assert_eq!((position.after, position.missing()), (14, vec![12, 13]));
        position.advance([12, 15].into_iter());
        assert_eq!((position.after, position.missing()), (15, vec![13]));
        position.advance([1_000_015].into_iter());
        assert_eq!(position.missing().len(), FULL + 1);
    }
}
