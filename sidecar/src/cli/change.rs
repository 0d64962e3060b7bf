//! Doing something about actions, and saying what was done and what could not be.

use std::process::ExitCode;

use anyhow::anyhow;
use indicatif::ProgressBar;
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};
use tradeflow_sidecar::db;

use super::select::Selection;
use super::Context;

/// So many actions in one transaction: claims never wait long for it.
const BATCH: usize = 1000;

/// What can be done about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Retry,
    Cancel,
    Hold,
    Release,
}

impl Change {
    /// $1 ids, $2 reason; returns how many.
    fn sql(self) -> &'static str {
        match self {
            Change::Retry => "select tradeflow.retry($1)",
            Change::Cancel => "select tradeflow.cancel($1, $2)",
            Change::Hold => "select tradeflow.hold($1, $2)",
            Change::Release => "select tradeflow.release_held(null, $1)",
        }
    }

    fn takes_reason(self) -> bool {
        matches!(self, Change::Cancel | Change::Hold)
    }

    /// The states it is for.
    pub fn states(self) -> &'static [&'static str] {
        match self {
            // A ready action is retried only when it is between attempts: the function knows.
            Change::Retry => &["dead", "uncertain", "held", "ready"],
            Change::Cancel => &["ready", "waiting", "held", "dead", "uncertain"],
            Change::Hold => &["ready", "waiting"],
            Change::Release => &["held"],
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Change::Retry => "retry",
            Change::Cancel => "cancel",
            Change::Hold => "hold",
            Change::Release => "release",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Change::Retry => "made ready again",
            Change::Cancel => "cancelled",
            Change::Hold => "held",
            Change::Release => "released",
        }
    }
}

/// An action that was left as it is.
struct Left {
    id: i64,
    why: String,
}

/// Does it to the selected actions of these states. Exit code 1 when one named by id was left.
pub async fn run(
    change: Change,
    selection: &Selection,
    states: &[&str],
    reason: Option<&str>,
    as_json: bool,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let pool = context.pool()?;
    let client = pool.get().await?;
    let question = format!("{} all {{n}} actions that are {}?", change.verb(), states.join(", "));
    let Some(ids) = selection.ids(&client, states, &question).await? else {
        super::say("nothing was changed")?;
        return Ok(ExitCode::FAILURE);
    };
    let (changed, left) = match selection.ids.is_empty() {
        true => (all(&client, change, &ids, reason, as_json).await?, Vec::new()),
        false => one_by_one(&client, change, &ids, reason).await?,
    };
    if as_json {
        let left: Vec<_> = left.iter().map(|l| json!({"id": l.id, "why": l.why})).collect();
        super::say_json(&json!({"changed": changed, "left": left}))?;
    } else {
        let actions = if changed == 1 { "action" } else { "actions" };
        super::say(&format!("{changed} {actions} {}", change.done()))?;
        for Left { id, why } in &left {
            eprintln!("tradeflow: action {id} was left as it is: {why}");
        }
    }
    Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all(
    client: &db::Client,
    change: Change,
    ids: &[i64],
    reason: Option<&str>,
    quiet: bool,
) -> anyhow::Result<i64> {
    let bar = match quiet || ids.len() <= 5 * BATCH {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(ids.len() as u64),
    };
    let mut changed = 0;
    for batch in ids.chunks(BATCH) {
        changed += apply(client, change, batch, reason).await.map_err(|error| match changed {
            0 => anyhow!("{error}"),
            n => anyhow!("{error}\n{n} actions were {} before this", change.done()),
        })?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(changed)
}

async fn one_by_one(
    client: &db::Client,
    change: Change,
    ids: &[i64],
    reason: Option<&str>,
) -> anyhow::Result<(i64, Vec<Left>)> {
    let (mut changed, mut left) = (0, Vec::new());
    for id in ids {
        match apply(client, change, &[*id], reason).await? {
            0 => left.push(Left { id: *id, why: why_not(client, change, *id).await? }),
            _ => changed += 1,
        }
    }
    Ok((changed, left))
}

async fn apply(
    client: &db::Client,
    change: Change,
    ids: &[i64],
    reason: Option<&str>,
) -> Result<i64, db::Error> {
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&ids, Type::INT8_ARRAY)];
    if change.takes_reason() {
        values.push((&reason, Type::TEXT));
    }
    let changed: i32 = client.query_typed_one(change.sql(), &values).await?.try_get(0)?;
    Ok(changed.into())
}

async fn why_not(client: &db::Client, change: Change, id: i64) -> Result<String, db::Error> {
    let sql = include_str!("../db/operator/state_of.sql");
    let state: Option<String> = client.query_typed_one(sql, &[(&id, Type::INT8)]).await?.try_get(0)?;
    Ok(match state.as_deref() {
        None => "there is no such action".into(),
        Some("ready") if change == Change::Retry => {
            "it is ready, and is taken as soon as a sidecar has room".into()
        }
        Some("running") => "it is running; wait for its end, or for its lease's".into(),
        Some(state) => format!("it is {state}; to {} is for {}", change.verb(), change.states().join(", ")),
    })
}
