//! What a sync remembers in the database: how far each resource is, and what went wrong.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{json, Value};
use tokio_postgres::Client;

use super::report::Outcome;
use super::resource::Resource;
use super::Error;
use crate::db;

/// How far a resource is.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub watermark: Option<DateTime<Utc>>,
    pub position: Value,
    /// A run has reached the end before: the first load is over.
    pub loaded: bool,
    pub swept_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Takes a resource, by its name, for this session, until it ends. False: another sync is at it.
pub async fn lock(client: &Client, name: &str) -> Result<bool, Error> {
    let statement = include_str!("sql/lock.sql");
    Ok(client.query_one(statement, &[&name]).await?.try_get(0)?)
}

/// Whether this user may write without anything firing.
pub async fn may_be_silent(client: &Client) -> Result<(bool, String), Error> {
    let row = client.query_one(include_str!("sql/may_be_silent.sql"), &[]).await?;
    Ok((row.try_get("allowed")?, row.try_get("user")?))
}

/// Reads a state and notes that a run begins. A dry run only reads. Returns the database's time, too.
pub async fn begin(
    client: &Client,
    resource: Resource,
    dry_run: bool,
) -> Result<(State, DateTime<Utc>), Error> {
    let name = resource.name();
    let found = client.query_opt(include_str!("sql/state.sql"), &[&name]).await;
    let row = match found {
        Ok(row) => row,
        Err(error) => return Err(explained(client, error).await),
    };
    let now: DateTime<Utc> = client.query_one("select clock_timestamp()", &[]).await?.try_get(0)?;
    if !dry_run {
        if let Err(error) = client.execute(include_str!("sql/begin.sql"), &[&name]).await {
            return Err(explained(client, error).await);
        }
    }
    let Some(row) = row else { return Ok((State { position: json!({}), ..State::default() }, now)) };
    let finished_at: Option<DateTime<Utc>> = row.try_get("finished_at")?;
    let state = State {
        watermark: row.try_get("watermark")?,
        position: row.try_get("position")?,
        loaded: finished_at.is_some(),
        swept_at: row.try_get("swept_at")?,
        finished_at,
    };
    Ok((state, now))
}

/// Remembers how far a resource is, by its name ($1): a watermark ($2), which never goes back, or a position ($3).
pub const ADVANCE: &str = include_str!("sql/advance.sql");

/// Remembers how far a batch brought a resource.
pub async fn advance(
    client: &Client,
    resource: Resource,
    watermark: Option<DateTime<Utc>>,
    position: Option<&Value>,
) -> Result<(), Error> {
    if watermark.is_some() || position.is_some() {
        client.execute(ADVANCE, &[&resource.name(), &watermark, &position]).await?;
    }
    Ok(())
}

/// Notes what a run did. Returns how many runs have failed in a row.
pub async fn finish(client: &Client, outcome: &Outcome, began: DateTime<Utc>) -> Result<i32, Error> {
    let counts = [
        outcome.read,
        outcome.inserted,
        outcome.updated,
        outcome.unchanged,
        outcome.deleted,
        outcome.rejected,
        outcome.requests,
    ]
    .map(|count| count as i64);
    let [read, inserted, updated, unchanged, deleted, rejected, requests] = counts;
    let row = client
        .query_opt(
            include_str!("sql/finish.sql"),
            &[
                &outcome.resource,
                &began,
                &outcome.error,
                &outcome.swept,
                &read,
                &inserted,
                &updated,
                &unchanged,
                &deleted,
                &rejected,
                &requests,
            ],
        )
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}

/// What needs a person.
#[derive(Debug)]
pub struct Incident<'a> {
    /// `sync_error`, `sync_rejected`, `sync_held`, `hook_refused`.
    pub kind: &'a str,
    pub resource: &'a str,
    pub subject: Option<&'a str>,
    pub message: &'a str,
    pub detail: Option<&'a str>,
    pub hint: Option<&'a str>,
}

/// Notes an incident.
pub async fn incident(client: &Client, incident: Incident<'_>) -> Result<(), Error> {
    let Incident { kind, resource, subject, message, detail, hint } = incident;
    let statement = "select tradeflow.sync_incident($1, $2, $3, $4, $5, $6)";
    client.execute(statement, &[&kind, &resource, &subject, &message, &detail, &hint]).await?;
    Ok(())
}

/// A line of `tradeflow sync status`.
#[derive(Debug, Serialize)]
pub struct Status {
    pub resource: String,
    pub watermark: Option<DateTime<Utc>>,
    /// Seconds: how old the state of the source is that the copy shows.
    pub lag: Option<f64>,
    pub finished_at: Option<DateTime<Utc>>,
    pub swept_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub last_error: Option<String>,
}

/// How far every resource is that was ever synced.
pub async fn status(pool: &db::Pool) -> Result<Vec<Status>, Error> {
    let client = pool.get().await?;
    let rows = match client.query(include_str!("sql/status.sql"), &[]).await {
        Ok(rows) => rows,
        Err(error) => return Err(explained(&client, error).await),
    };
    rows.iter()
        .map(|row| {
            Ok(Status {
                resource: row.try_get("resource")?,
                watermark: row.try_get("watermark")?,
                lag: row.try_get("lag")?,
                finished_at: row.try_get("finished_at")?,
                swept_at: row.try_get("swept_at")?,
                failures: row.try_get("failures")?,
                last_error: row.try_get("last_error")?,
            })
        })
        .collect()
}

/// A missing table or right, with its remedy.
async fn explained(client: &Client, error: tokio_postgres::Error) -> Error {
    match error.code().map(|code| code.code()) {
        Some("3F000" | "42P01" | "42883" | "42703") => Error::NoState,
        Some("42501") => {
            let reason = error.as_db_error().map(|db| db.message().to_owned()).unwrap_or_default();
            let user = client.query_one("select current_user::text", &[]).await;
            let user = user.ok().and_then(|row| row.try_get(0).ok()).unwrap_or_else(|| "the user".to_owned());
            Error::NotAllowed { user, reason }
        }
        _ => error.into(),
    }
}
