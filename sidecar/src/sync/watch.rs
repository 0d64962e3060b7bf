//! Runs again and again, each resource in its own time.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::run::{run, Env, Options};
use super::Resource;
use crate::config::Config;
use indicatif::ProgressBar;

/// A resource that fails is tried again after at most this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// When a resource is due.
struct Due {
    resource: Resource,
    interval: Duration,
    at: Instant,
    failures: u32,
}

/// How often resources are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    pub usual: Duration,
    /// For what costs a request a thing.
    pub slow: Duration,
    pub sheets: Duration,
}

impl Intervals {
    /// As the configuration says.
    pub fn new(config: &Config) -> Intervals {
        let (usual, slow) = (config.sync.interval, config.sync.slow_interval);
        Intervals { usual, slow, sheets: config.sheets.interval }
    }

    /// The one of a resource.
    pub fn of(&self, resource: Resource) -> Duration {
        match resource {
            Resource::SheetRows => self.sheets,
            _ if resource.is_slow() => self.slow,
            _ => self.usual,
        }
    }
}

/// Runs until `stop` is cancelled. A run in progress is dropped then: it goes on where it was at the next start. The store's
/// resources take turns, since they share its budget of requests; sheets wait for none of them.
pub async fn watch(
    env: &Env,
    resources: &[Resource],
    intervals: Intervals,
    options: &Options,
    stop: CancellationToken,
) {
    let (of_store, others): (Vec<Resource>, Vec<Resource>) =
        resources.iter().partition(|resource| resource.is_of_store());
    tokio::select! {
        _ = async { tokio::join!(turns(env, &of_store, intervals, options), turns(env, &others, intervals, options)) } => {}
        () = stop.cancelled() => info!("sync has stopped"),
    }
}

async fn turns(env: &Env, resources: &[Resource], intervals: Intervals, options: &Options) {
    let due = |resource: &Resource| Due {
        resource: *resource,
        interval: intervals.of(*resource),
        at: Instant::now(),
        failures: 0,
    };
    let mut all: Vec<Due> = resources.iter().map(due).collect();
    while let Some(next) = all.iter_mut().min_by_key(|due| due.at) {
        tokio::time::sleep_until(next.at.into()).await;
        let outcome = run(env, next.resource, options, &ProgressBar::hidden()).await;
        next.failures = if outcome.error.is_some() { next.failures + 1 } else { 0 };
        let pause = next.interval * 2u32.saturating_pow(next.failures.min(16));
        next.at = Instant::now()
            + if next.failures > 0 { pause.min(LONGEST_PAUSE.max(next.interval)) } else { pause };
    }
}
