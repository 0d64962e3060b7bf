//! Registrations kept: `tradeflow run` and `tradeflow sync watch` look after them, since the store switches a webhook off and tells nobody.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::registry::{check, register, Report};
use crate::bigcommerce::Client;
use crate::config::Config;
use crate::db;
use crate::sync::state::{self, Incident};

/// What incidents name as their source.
const NAME: &str = "webhooks";

/// After a failure it is tried again this soon, or after the usual interval when that is shorter.
const AGAIN: Duration = Duration::from_secs(60);

/// Registers the webhooks, and looks each interval whether all are on, until `stop` is cancelled. Returns at once when none are
/// configured, or none are to be looked after.
pub async fn keep(config: Config, pool: db::Pool, stop: CancellationToken) {
    let interval = config.hooks.check_interval;
    if config.hooks.url.is_empty() || config.bigcommerce.store_hash.is_empty() || interval.is_zero() {
        return;
    }
    let client = match Client::new(&config) {
        Ok(client) => client,
        Err(error) => return warn!(%error, "the webhooks cannot be looked after"),
    };
    // The first time they are written also where they are on: the secret that they send may be another one now.
    let mut whole = true;
    loop {
        let pause = match once(&config, &client, &pool, whole).await {
            Ok(()) => {
                whole = false;
                interval
            }
            Err(error) => {
                warn!(%error, "the webhooks could not be looked after");
                interval.min(AGAIN)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One look. Only one process at a time does it: two would both create what is missing.
async fn once(
    config: &Config,
    client: &Client,
    pool: &db::Pool,
    whole: bool,
) -> Result<(), crate::sync::Error> {
    let session = db::Client::take(pool.get().await?);
    if !state::lock(&session, NAME).await? {
        return Ok(());
    }
    let all_on = !whole && check(config, client).await.is_ok_and(|report| report.is_good());
    if all_on {
        return Ok(());
    }
    let trouble = match register(config, client).await {
        Ok(report) => {
            tell(&report);
            let refused = report.refused.first().map(|(scope, why)| format!("{scope} was refused: {why}"));
            refused.map(|why| format!("the store does not take a webhook; {why}"))
        }
        Err(super::registry::Error::Api(error)) if error.passes() => return Err(error.into()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(text) = trouble {
        let (message, hint) =
            text.split_once("\nhint: ").map_or((text.as_str(), None), |(m, h)| (m, Some(h)));
        warn!(message, "the webhooks are not all on");
        let incident = Incident {
            kind: "sync_error",
            resource: NAME,
            subject: None,
            message,
            detail: None,
            hint: hint
                .or(Some("see `tradeflow hooks check`; without webhooks changes come with the next sync")),
        };
        state::incident(&session, incident).await?;
    }
    Ok(())
}

fn tell(report: &Report) {
    let (created, reactivated) = (report.created.join(", "), report.reactivated.join(", "));
    if !created.is_empty() || !reactivated.is_empty() {
        info!(created, reactivated, "webhooks registered");
    }
}
