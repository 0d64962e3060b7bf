//! `tradeflow preview`: the mails and requests that a change would cause, rendered; nothing is kept, nothing is sent.
//!
//! The statement is run, what it fired is gone through step by step while the change is there, and all of it is rolled back.
//! A step of kind `sql` is called, so what later steps read of it is what they would read. What another system will return is
//! known to nobody: it is shown by its name, `‹steps.invoice.invoice_number›`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::rehearse::{Rehearsal, Sent, Steps};
use super::test::execute;
use super::Error;
use crate::config::Config;
use crate::db;
use crate::deliver::Action;
use crate::executor::catalog::Catalog;
use crate::executor::claim::Claimed;
use crate::executor::dispatch::not_wanted;
use crate::executor::raw::RawJson;
use crate::trace::Origin;

mod shown;

pub use shown::{text, write_html};

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

/// What a statement would do.
#[derive(Debug)]
pub struct Preview {
    pub firings: Vec<Firing>,
    /// What rules fail with: it would be incidents.
    pub incidents: Vec<String>,
}

/// As `tradeflow._simulated()` has it.
#[derive(Deserialize)]
struct Simulated {
    firings: Vec<Fired>,
    incidents: Vec<String>,
}

#[derive(Deserialize)]
struct Fired {
    rule: String,
    source: String,
    event: String,
    edge: String,
    subject: String,
    occurrence: String,
    state: String,
    run_at: DateTime<Utc>,
    facts: Json,
    actions: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: i32,
    name: Option<String>,
    kind: String,
    target: Option<String>,
    params: Json,
}

/// Runs statements, renders what they fired, and rolls them back.
pub async fn run(config: &Config, pool: &db::Pool, sql: &str) -> Result<Preview, Error> {
    let rehearsal = Rehearsal::new(config, pool)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let client = transaction.client();
    let before = client.query_one("select firing, incident from tradeflow._before_simulation()", &[]).await?;
    let (firing, incident): (i64, i64) = (before.try_get(0)?, before.try_get(1)?);
    // Within a block: a COMMIT among the statements is refused, as simulate() refuses it.
    let wrapped = "select format('do %L', format('begin execute %L; end', $1::text))";
    let wrapped: String = client.query_one(wrapped, &[&sql]).await?.try_get(0)?;
    execute(client, &wrapped).await?;
    // What is asked at the end of the transaction is asked now.
    execute(client, "set constraints all immediate").await?;
    let simulated = "select tradeflow._simulated($1, $2)";
    let simulated: Json = client.query_one(simulated, &[&firing, &incident]).await?.try_get(0)?;
    let simulated: Simulated = serde_json::from_value(simulated)
        .map_err(|e| Error::Usage(format!("what fired cannot be read: {e}")))?;
    let catalog = Catalog::load(client).await?;
    let mut firings = Vec::new();
    for fired in simulated.firings {
        firings.push(follow(client, &rehearsal, &catalog, fired).await?);
    }
    transaction.rollback().await?;
    Ok(Preview { firings, incidents: simulated.incidents })
}

/// Goes through the steps of a firing.
async fn follow(
    client: &Client,
    rehearsal: &Rehearsal,
    catalog: &Catalog,
    fired: Fired,
) -> Result<Firing, Error> {
    let Fired { rule, source, event, edge, subject, occurrence, state, run_at, facts, actions } = fired;
    let mut firing =
        Firing { rule, source, event, edge, subject, occurrence, state, run_at, facts, actions: Vec::new() };
    if firing.state == "cancelled" {
        return Ok(firing);
    }
    let version = version(client, &firing.rule).await?;
    let mut steps = Steps::default();
    for step in actions {
        let claimed = Arc::new(claimed(&firing, &step, version));
        let Some(mut sent) = rehearsal.render_after(catalog, &claimed, &steps) else {
            steps.add(step.step, step.name.as_deref(), Some(&not_wanted()));
            continue;
        };
        let known = sent.error.is_none() && !sent.as_written && sent.unknown.is_empty();
        let mut result = None;
        if known && sent.kind == "sql" {
            match call(client, &sent).await? {
                Called::Returned(value) => result = Some(json!({"value": value})),
                Called::NotAllowed => {}
                Called::Failed(error) => sent.error = Some(error),
            }
        }
        steps.add(step.step, step.name.as_deref(), result.as_ref());
        firing.actions.push(sent);
    }
    Ok(firing)
}

/// What calling a function came to.
enum Called {
    Returned(Json),
    /// Whoever previews may not call it; the rule's owner may.
    NotAllowed,
    Failed(String),
}

/// Calls the function of a step of kind `sql`, as whoever previews, not as the rule's owner.
async fn call(client: &Client, sent: &Sent) -> Result<Called, Error> {
    let row = client.query_opt(include_str!("sql/call.sql"), &[&sent.request, &sent.rule]).await?;
    let Some(row) = row else { return Ok(Called::NotAllowed) };
    let (call, path, before): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    client.batch_execute("savepoint tradeflow_call").await?;
    let called = async {
        client.query_one("select set_config('search_path', $1, true)", &[&path]).await?;
        let statement = client.prepare(&format!("select {call}")).await?;
        if statement.columns().first().is_some_and(|column| *column.type_() == Type::VOID) {
            client.execute(&statement, &[]).await?;
            return Ok(Json::Null);
        }
        let row = client.query_opt(&format!("select pg_catalog.to_jsonb({call})"), &[]).await?;
        let value: Option<Json> = row.map(|row| row.try_get(0)).transpose()?.flatten();
        client.batch_execute("set constraints all immediate").await?;
        Ok::<_, tokio_postgres::Error>(value.unwrap_or_default())
    };
    match called.await {
        Ok(value) => {
            client.query_one("select set_config('search_path', $1, true)", &[&before]).await?;
            client.batch_execute("release savepoint tradeflow_call").await?;
            Ok(Called::Returned(value))
        }
        Err(error) => {
            let Some(server) = error.as_db_error() else { return Err(error.into()) };
            client.batch_execute("rollback to savepoint tradeflow_call").await?;
            Ok(match *server.code() == SqlState::INSUFFICIENT_PRIVILEGE {
                true => Called::NotAllowed,
                false => Called::Failed(format!("{} (SQLSTATE {})", server.message(), server.code().code())),
            })
        }
    }
}

async fn version(client: &Client, rule: &str) -> Result<i32, Error> {
    let row = client.query_opt("select version from tradeflow.rules where name = $1", &[&rule]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(1))
}

/// An action as the sidecar would claim it.
fn claimed(firing: &Firing, step: &Step, rule_version: i32) -> Claimed {
    Claimed {
        action: Action {
            id: 0,
            attempt: 1,
            rule: firing.rule.clone(),
            step: step.step,
            name: step.name.clone(),
            kind: step.kind.clone(),
            idempotency_key: format!("preview-{}-{}-{}", firing.rule, firing.subject, step.step),
            created_at: firing.run_at,
        },
        rule_version,
        source: firing.source.clone(),
        event: firing.event.clone(),
        subject: firing.subject.clone(),
        occurrence: firing.occurrence.clone(),
        target: step.target.clone(),
        params: Some(RawJson::of(&step.params)),
        facts: RawJson::of(&firing.facts),
        steps: RawJson::of(&json!({})),
        origin: Origin { firing_id: 0, traceparent: None, fired_at: firing.run_at, first: true },
        waited: Duration::ZERO,
        at: Instant::now(),
    }
}
