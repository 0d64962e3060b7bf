//! Takes ready actions ahead of their execution: the next ones are claimed while the last are executed, but never more
//! than this sidecar soon executes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::raw::RawJson;
use super::rest::Pace;
use super::running::Held;
use super::{dispatch, Shared};
use crate::config::Config;
use crate::db;
use crate::deliver::Action;
use crate::metrics;
use crate::trace::Origin;

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
    pub params: Option<RawJson>,
    pub facts: RawJson,
    pub steps: RawJson,
    pub origin: Origin,
    /// How long it could have been executed before it was claimed, by the database's clock.
    pub waited: Duration,
    /// When this process got it: its lease began no later.
    pub at: Instant,
}

/// The most in hand: what is executed, a batch that waits for it, one that waits to be completed, and one whose completion is
/// being written.
pub fn most(config: &Config) -> usize {
    config.concurrency + 3 * config.claim_batch
}

/// Claims and spawns until `stop`.
pub async fn run(shared: Arc<Shared>, config: &Config, tasks: &TaskTracker, stop: CancellationToken) {
    let mut handed_out = None;
    claim_until(&shared, config, tasks, stop, &mut handed_out).await;
    hand_over(&mut handed_out).await;
}

/// The last batch, while its actions are read and spawned.
type HandedOut = Option<JoinHandle<()>>;

/// Waits until the last batch is under way.
async fn hand_over(handed_out: &mut HandedOut) {
    if let Some(spawning) = handed_out.take() {
        if let Err(error) = spawning.await {
            warn!(%error, "actions were claimed and not begun; their leases will end by themselves");
        }
    }
}

async fn claim_until(
    shared: &Arc<Shared>,
    config: &Config,
    tasks: &TaskTracker,
    stop: CancellationToken,
    handed_out: &mut HandedOut,
) {
    let most = most(config);
    // A claim costs the database more than a row: a few are not worth one while there is other work.
    let enough = (config.claim_batch / 2).max(1);
    let mut backoff = backoff();
    let mut pace = Pace::new();
    loop {
        let room = most.saturating_sub(shared.running.len());
        if room < enough {
            tokio::select! {
                _ = stop.cancelled() => return,
                _ = shared.wake.notified() => continue,
            }
        }
        if stop.is_cancelled() {
            return;
        }
        let want = room.min(config.claim_batch);
        let began = Instant::now();
        let pause = match shared.answer(claim(shared, want)).await {
            Ok(claimed) => {
                backoff = self::backoff();
                // Less may be all that a target takes at the moment, or what is left of a batch that was asked again.
                let more = claimed.rows.len() * 2 >= want;
                pace.note(&shared.rest, began, !claimed.rows.is_empty());
                if !claimed.rows.is_empty() {
                    // The next claim does not wait for it.
                    hand_over(handed_out).await;
                    *handed_out = Some(tokio::spawn(hand_out(shared.clone(), tasks.clone(), claimed)));
                }
                if more || shared.wake.notified().now_or_never().is_some() {
                    continue;
                }
                match pace.pause(&shared.rest) {
                    Some(pause) => pause.min(config.poll_interval),
                    None => until_due(shared)
                        .await
                        .map_or(config.poll_interval, |due| due.min(config.poll_interval)),
                }
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

/// How long until something is due that nobody notifies: a retry, a throttled target's next turn.
async fn until_due(shared: &Shared) -> Option<Duration> {
    let asking = async {
        let client = shared.pool.get().await?;
        let kinds: Vec<&str> = shared.kinds.iter().map(|k| k.kind()).collect();
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&kinds, Type::TEXT_ARRAY)];
        let row = client.query_typed_one(include_str!("../db/next_due.sql"), &values).await?;
        Ok::<_, db::Error>(row.try_get::<_, Option<f64>>("seconds")?)
    };
    let seconds = shared
        .answer(asking)
        .await
        .inspect_err(|error| debug!(%error, "what is due next is not known"))
        .ok()??;
    // Not at once: what was due just now and was not given is somebody else's.
    Some(Duration::try_from_secs_f64(seconds).ok()?.max(SHORTEST))
}

/// The shortest pause between claims that found nothing.
const SHORTEST: Duration = Duration::from_millis(20);

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

/// The rows of a claim: they are in hand, and not read yet.
struct Batch {
    rows: Vec<Row>,
    aborts: Vec<CancellationToken>,
    at: Instant,
}

async fn claim(shared: &Shared, want: usize) -> Result<Batch, db::Error> {
    let client = shared.pool.get().await?;
    let kinds: Vec<&str> = shared.kinds.iter().map(|k| k.kind()).collect();
    let began = Instant::now();
    let (most, seconds) = (want as i32, shared.lease.as_secs_f64());
    let room = shared.hands.room();
    let values: [(&(dyn ToSql + Sync), Type); 5] = [
        (&shared.worker, Type::TEXT),
        (&most, Type::INT4),
        (&seconds, Type::FLOAT8),
        (&kinds, Type::TEXT_ARRAY),
        (&room, Type::JSONB),
    ];
    // Sent together, and answered in this order: an action is executed with what was committed before it became ready.
    let (rows, revision) = tokio::try_join!(
        client.query_typed(include_str!("../db/claim.sql"), &values),
        client.query_typed_one(include_str!("../db/catalog_revision.sql"), &[]),
    )?;
    let took = began.elapsed();
    if rows.is_empty() {
        metrics::claimed(took, std::iter::empty());
        return Ok(Batch { rows, aborts: Vec::new(), at: began });
    }
    debug!(actions = rows.len(), "claimed");
    if let Err(error) = shared.catalog.note(&client, &revision).await {
        warn!(%error, "targets and templates could not be read again; using those of before");
    }
    let held = rows
        .iter()
        .map(|row| Ok((row.try_get("id")?, row.try_get("attempt")?)))
        .collect::<Result<Vec<Held>, db::Error>>()?;
    metrics::claimed(took, rows.iter().filter_map(|row| row.try_get("kind").ok()));
    let aborts = shared.running.add(&held, began);
    Ok(Batch { rows, aborts, at: began })
}

/// Reads what was claimed, and spawns it.
async fn hand_out(shared: Arc<Shared>, tasks: TaskTracker, batch: Batch) {
    for (row, abort) in batch.rows.into_iter().zip(batch.aborts) {
        match read(&row, batch.at) {
            Ok(claimed) => spawn(&shared, &tasks, claimed, abort),
            // Another version's column, say: for all alike, and none of it was begun.
            Err(error) => {
                error!(%error, "what was claimed cannot be read; its lease will end by itself");
                if let (Ok(id), Ok(attempt)) = (row.try_get("id"), row.try_get("attempt")) {
                    shared.running.remove([(id, attempt)]);
                }
            }
        }
    }
}

fn spawn(shared: &Arc<Shared>, tasks: &TaskTracker, claimed: Claimed, abort: CancellationToken) {
    let target = claimed.target.clone().unwrap_or_default();
    let of_target = shared.hands.take(&target);
    let shared = shared.clone();
    tasks.spawn(async move {
        let (id, rule) = (claimed.action.id, claimed.action.rule.clone());
        let work = async {
            // Neither is ever closed.
            let (Ok(_one), Ok(_of_all)) = (of_target.acquire().await, shared.slots.acquire().await) else {
                return;
            };
            if shared.running.begin(id) {
                // In a place of its own: what surrounds it is moved a few times.
                Box::pin(dispatch::run(&shared, Arc::new(claimed))).await;
            }
        };
        if abort.run_until_cancelled(work).await.is_none() {
            info!(id, rule, "left unfinished");
        }
        shared.hands.leave(&target);
    });
}

fn waited(row: &Row) -> Result<Duration, db::Error> {
    let (due, fired): (DateTime<Utc>, DateTime<Utc>) = (row.try_get("run_at")?, row.try_get("created_at")?);
    let claimed: DateTime<Utc> = row.try_get("claimed_at")?;
    Ok((claimed - due.max(fired)).to_std().unwrap_or_default())
}

/// A row of claim.sql.
pub(crate) fn read(row: &Row, at: Instant) -> Result<Claimed, db::Error> {
    Ok(Claimed {
        action: Action {
            id: row.try_get("id")?,
            attempt: row.try_get("attempt")?,
            rule: row.try_get("rule")?,
            step: row.try_get("step")?,
            name: row.try_get("action")?,
            kind: row.try_get("kind")?,
            idempotency_key: row.try_get("idempotency_key")?,
            created_at: row.try_get("created_at")?,
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
