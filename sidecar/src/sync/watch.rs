//! Runs again and again, each resource in its own time.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::run::{run, Env, Options};
use super::Resource;
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

/// Runs until `stop` is cancelled. A run in progress is dropped then: it goes on where it was at the next start.
pub async fn watch(
    env: &Env,
    resources: &[Resource],
    interval: Duration,
    slow_interval: Duration,
    options: &Options,
    stop: CancellationToken,
) {
    let due = |resource: &Resource| Due {
        resource: *resource,
        interval: if resource.is_slow() { slow_interval } else { interval },
        at: Instant::now(),
        failures: 0,
    };
    let mut all: Vec<Due> = resources.iter().map(due).collect();
    let forever = async {
        loop {
            let Some(next) = all.iter_mut().min_by_key(|due| due.at) else { return };
            tokio::time::sleep_until(next.at.into()).await;
            let outcome = run(env, next.resource, options, &ProgressBar::hidden()).await;
            next.failures = if outcome.error.is_some() { next.failures + 1 } else { 0 };
            let pause = next.interval * 2u32.saturating_pow(next.failures.min(16));
            next.at = Instant::now()
                + if next.failures > 0 { pause.min(LONGEST_PAUSE.max(next.interval)) } else { pause };
        }
    };
    tokio::select! {
        () = forever => {}
        () = stop.cancelled() => info!("sync has stopped"),
    }
}
