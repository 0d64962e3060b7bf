//! What a change of rules means for what is there already: actions that wait, rows that match.

use serde::Serialize;
use serde_json::Value as Json;
use tokio_postgres::{Client, Transaction};

use crate::project::compare::{Change, What};
use crate::project::Error;

/// Actions of one rule in one state.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    pub rule: String,
    pub state: String,
    pub actions: i64,
    /// What becomes of them.
    pub effect: &'static str,
}

/// How many rows a new or changed rule holds for.
#[derive(Debug, Clone, Serialize)]
pub struct Match {
    pub rule: String,
    /// The table or view that was asked.
    pub of: String,
    /// None: it could not be counted.
    pub matching: Option<i64>,
    pub rows: Option<i64>,
    pub note: Option<String>,
}

/// A count that takes longer is not worth the locks that a plan holds.
const PATIENCE: &str = "5s";

/// Counts the actions of rules that are removed or asked differently.
pub async fn waiting(client: &Client, changes: &[Change]) -> Result<Vec<Waiting>, Error> {
    let rules: Vec<&Change> =
        changes.iter().filter(|c| c.kind == "rule" && effect(c, "waiting").is_some()).collect();
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = rules.iter().map(|c| c.name.as_str()).collect();
    let rows = client.query(include_str!("../sql/waiting.sql"), &[&names]).await?;
    let mut all = Vec::new();
    for row in &rows {
        let (rule, state): (String, String) = (row.try_get("rule")?, row.try_get("state")?);
        let change = rules.iter().find(|c| c.name == rule);
        if let Some(effect) = change.and_then(|c| effect(c, &state)) {
            all.push(Waiting { rule, state, actions: row.try_get("actions")?, effect });
        }
    }
    Ok(all)
}

fn effect(change: &Change, state: &str) -> Option<&'static str> {
    let changes = |name: &str| change.fields.iter().find(|f| f.name == name);
    match change.what {
        What::Removed => Some("cancelled: the rule is removed"),
        What::Changed if changes("mode").is_some_and(|f| f.after == "off") => {
            (state == "waiting").then_some("cancelled: the rule is turned off")
        }
        What::Changed if state == "waiting" => ["condition", "still", "query", "view", "source"]
            .iter()
            .any(|name| changes(name).is_some())
            .then_some("asked again by the new definition when their time comes")
            .or(changes("fire_at").map(|_| "their time stays until their row changes again")),
        _ => None,
    }
}

/// Counts the rows for which new and changed rules hold, in the state that the files make.
pub async fn matches(transaction: &Transaction<'_>, changes: &[Change]) -> Result<Vec<Match>, Error> {
    let mut all = Vec::new();
    for change in
        changes.iter().filter(|c| c.kind == "rule" && c.what != What::Removed && c.what != What::Left)
    {
        let asks = ["condition", "view", "source"];
        if change.what == What::Changed && !change.fields.iter().any(|f| asks.contains(&f.name.as_str())) {
            continue;
        }
        let query = "select source, view, condition from tradeflow.rules where name = $1";
        let Some(row) = transaction.query_opt(query, &[&change.name]).await? else { continue };
        let (source, view, condition): (Option<String>, Option<String>, Option<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (of, count) = match (source, view) {
            (Some(source), _) => {
                let condition = condition.unwrap_or_else(|| "true".into());
                let count = format!(
                    "select count(*) filter (where (\n{condition}\n)), count(*) \
                     from {source} as new cross join lateral (select (null::{source}).*) as old"
                );
                (source, count)
            }
            (None, Some(view)) => {
                let count = format!("select count(*), null::bigint from {view}");
                (view, count)
            }
            (None, None) => continue,
        };
        all.push(counted(transaction, change.name.clone(), of, &count).await?);
    }
    Ok(all)
}

async fn counted(
    transaction: &Transaction<'_>,
    rule: String,
    of: String,
    count: &str,
) -> Result<Match, Error> {
    let begin = format!("savepoint tradeflow_count; set local statement_timeout = '{PATIENCE}'");
    transaction.batch_execute(&begin).await?;
    let counted = transaction.query_one(count, &[]).await;
    // Whatever it was, the timeout with it.
    transaction
        .batch_execute("rollback to savepoint tradeflow_count; release savepoint tradeflow_count")
        .await?;
    Ok(match counted {
        Ok(row) => Match { rule, of, matching: row.try_get(0)?, rows: row.try_get(1)?, note: None },
        Err(error) => {
            let Some(server) = error.as_db_error() else { return Err(error.into()) };
            let note = match server.code().code() {
                "57014" => format!("counting took longer than {PATIENCE}"),
                _ => format!("it could not be counted: {}", server.message()),
            };
            Match { rule, of, matching: None, rows: None, note: Some(note) }
        }
    })
}

impl Match {
    pub fn text(&self) -> String {
        match (self.matching, self.rows, &self.note) {
            (Some(n), Some(rows), _) => format!("holds for {n} of the {rows} rows of {} now", self.of),
            (Some(n), None, _) => format!("{n} subjects are in {} now", self.of),
            (None, _, note) => note.clone().unwrap_or_default(),
        }
    }

    /// Whether rows are there that the rule will never fire for by itself.
    pub fn passes_over(&self) -> bool {
        self.matching.is_some_and(|n| n > 0)
    }
}

/// Whether a change makes a rule from nothing.
pub fn is_new(change: &Change) -> bool {
    change.kind == "rule" && change.fields.iter().all(|f| f.before == Json::Null)
}
