//! Asks for the work that only time brings, about every second: what asks rules beside what does not, since a rule's question may
//! take long, or wait for a table that somebody has locked, and leases that ended wait for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tracing::{debug, warn};

use super::{answer_within, Shared};
use crate::db;

/// How the sidecar does, for `/healthz` and `/metrics`.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    /// Milliseconds after birth of the last answered tick, plus one; zero: none yet.
    last_tick: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Health { born: Instant::now(), last_tick: AtomicU64::new(0) }
    }
}

impl Health {
    fn ticked(&self) {
        self.last_tick.store(self.born.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// Since the database last answered a tick; since the start, when it never did.
    pub fn tick_age(&self) -> Duration {
        let last = Duration::from_millis(self.last_tick.load(Ordering::Relaxed).saturating_sub(1));
        self.born.elapsed().saturating_sub(last)
    }
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Leases, history, partitions. That it is answered says that the sidecar is well.
    Outbox,
    /// Timers, views, schedules.
    Rules,
}

/// Ticks forever. A lost database is noted once, and again when it is back.
pub async fn run(shared: Arc<Shared>, every: Duration, part: Part) {
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        clock.tick().await;
        // It may have much to do; but while none is answered, nobody here takes back leases that ended.
        match answer_within(shared.lease, tick(&shared, part)).await {
            Ok(done) => {
                if part == Part::Outbox {
                    shared.health.ticked();
                }
                if failing {
                    tracing::info!("the database answers again");
                    failing = false;
                }
                // NOTIFY says the same, where somebody listens.
                if count(&done, "rescued") + count(&done, "due") > 0 {
                    shared.wake.notify_one();
                }
                if done.as_object().is_some_and(|o| o.values().any(|v| v.as_u64().unwrap_or(0) > 0)) {
                    debug!(?part, %done, "tick");
                }
            }
            Err(error) => {
                if !failing {
                    warn!(%error, ?part, "tick failed; it is tried again every {}", humantime::format_duration(every));
                }
                failing = true;
            }
        }
    }
}

fn count(done: &Json, what: &str) -> u64 {
    done.get(what).and_then(Json::as_u64).unwrap_or(0)
}

async fn tick(shared: &Shared, part: Part) -> Result<Json, db::Error> {
    let sql = match part {
        Part::Outbox => include_str!("../db/tick_outbox.sql"),
        Part::Rules => include_str!("../db/tick_rules.sql"),
    };
    let client = shared.pool.get().await?;
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}
