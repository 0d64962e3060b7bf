//! Takes ready actions, never more than there are free slots for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::{dispatch, Shared};
use crate::config::Config;
use crate::db;
use crate::deliver::Action;
use crate::metrics;
use crate::trace::Origin;

/// How long to let more slots become free before a small claim: claims cost the database more than rows do.
const GATHER: Duration = Duration::from_millis(2);

/// A row of claim.sql.
#[derive(Debug)]
pub struct Claimed {
    pub action: Action,
    pub rule_version: i32,
    pub source: String,
    pub event: String,
    pub subject: String,
    pub occurrence: String,
    pub target: Option<String>,
    pub params: Option<Json>,
    pub facts: Json,
    pub steps: Json,
    pub settings: Json,
    pub origin: Origin,
    /// How long it could have been executed before it was claimed, by the database's clock.
    pub waited: Duration,
    /// When this process got it: its lease began no later.
    pub at: Instant,
}

/// Claims and spawns until `stop`.
pub async fn run(shared: Arc<Shared>, config: &Config, tasks: &TaskTracker, stop: CancellationToken) {
    let enough = (config.concurrency / 4).clamp(1, config.claim_batch);
    let mut backoff = backoff();
    loop {
        tokio::select! {
            _ = stop.cancelled() => return,
            free = shared.slots.acquire() => drop(free),
        }
        if shared.slots.available_permits() < enough {
            tokio::time::sleep(GATHER).await;
        }
        let want = shared.slots.available_permits().min(config.claim_batch);
        let pause = match claim(&shared, want).await {
            Ok(claimed) => {
                backoff = self::backoff();
                let full = claimed.len() == want;
                for one in claimed {
                    spawn(&shared, tasks, one).await;
                }
                if full {
                    continue;
                }
                config.poll_interval
            }
            Err(error) => {
                let pause = backoff.next().unwrap_or(Duration::from_secs(5));
                warn!(%error, retry_in = %humantime::format_duration(pause), "nothing could be claimed");
                pause
            }
        };
        tokio::select! {
            _ = stop.cancelled() => return,
            _ = shared.wake.notified() => {}
            _ = tokio::time::sleep(pause) => {}
        }
    }
}

fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .build()
        // Whole milliseconds: this is printed.
        .map(|d| Duration::from_millis(d.as_millis() as u64))
}

async fn claim(shared: &Shared, want: usize) -> Result<Vec<Claimed>, db::Error> {
    let client = shared.pool.get().await?;
    let kinds: Vec<&str> = shared.kinds.iter().map(|k| k.kind()).collect();
    let began = Instant::now();
    let (most, seconds) = (want as i32, shared.lease.as_secs_f64());
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&shared.worker, Type::TEXT),
        (&most, Type::INT4),
        (&seconds, Type::FLOAT8),
        (&kinds, Type::TEXT_ARRAY),
    ];
    let rows = client.query_typed(include_str!("../db/claim.sql"), &values).await?;
    let took = began.elapsed();
    if rows.is_empty() {
        metrics::claimed(took, std::iter::empty());
        return Ok(Vec::new());
    }
    debug!(actions = rows.len(), "claimed");
    if let Err(error) = shared.catalog.refresh(&client).await {
        warn!(%error, "targets and templates could not be read again; using those of before");
    }
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        claimed.push(read(row, began)?);
    }
    metrics::claimed(took, claimed.iter().map(|c| c.action.kind.as_str()));
    Ok(claimed)
}

async fn spawn(shared: &Arc<Shared>, tasks: &TaskTracker, claimed: Claimed) {
    // There is room: only this task takes slots, and it claimed no more than were free.
    let Ok(slot) = shared.slots.clone().acquire_owned().await else {
        error!("the slots are closed");
        return;
    };
    let abort = shared.running.add(&claimed.action, claimed.at);
    let shared = shared.clone();
    tasks.spawn(async move {
        let action = claimed.action.clone();
        let work = dispatch::run(&shared, claimed);
        if abort.run_until_cancelled(work).await.is_none() {
            info!(id = action.id, rule = action.rule, "left unfinished");
        }
        drop(slot);
    });
}

fn waited(row: &Row) -> Result<Duration, db::Error> {
    let (due, fired): (DateTime<Utc>, DateTime<Utc>) = (row.try_get("run_at")?, row.try_get("created_at")?);
    let claimed: DateTime<Utc> = row.try_get("claimed_at")?;
    Ok((claimed - due.max(fired)).to_std().unwrap_or_default())
}

fn read(row: &Row, at: Instant) -> Result<Claimed, db::Error> {
    Ok(Claimed {
        action: Action {
            id: row.try_get("id")?,
            attempt: row.try_get("attempt")?,
            rule: row.try_get("rule")?,
            step: row.try_get("step")?,
            name: row.try_get("action")?,
            kind: row.try_get("kind")?,
            idempotency_key: row.try_get("idempotency_key")?,
        },
        rule_version: row.try_get("rule_version")?,
        source: row.try_get("source")?,
        event: row.try_get("event")?,
        subject: row.try_get("subject")?,
        occurrence: row.try_get("occurrence")?,
        target: row.try_get("target")?,
        params: row.try_get("params")?,
        facts: row.try_get("facts")?,
        steps: row.try_get("steps")?,
        settings: row.try_get("settings")?,
        origin: Origin {
            firing_id: row.try_get("firing_id")?,
            traceparent: row.try_get("traceparent")?,
            fired_at: row.try_get("created_at")?,
            first: row.try_get("first")?,
        },
        waited: waited(row)?,
        at,
    })
}
