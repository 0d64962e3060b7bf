//! Whether the store can be read from here, whether its webhooks are on, and how far the copies are.

use std::time::Duration;

use super::Finding;
use crate::bigcommerce::{Api, Client};
use crate::config::Config;
use crate::db;
use crate::sync::{self, hooks};

/// A copy that is older than this many of its intervals is behind.
const INTERVALS: u32 = 5;

/// Looks at the sync, when a store is configured.
pub async fn look(pool: &db::Pool, config: &Config, findings: &mut Vec<Finding>) {
    if config.bigcommerce.store_hash.is_empty() {
        return;
    }
    match Client::new(config) {
        Ok(client) => {
            credentials(&client, findings).await;
            if !config.hooks.url.is_empty() {
                webhooks(config, &client, findings).await;
            }
        }
        Err(error) => findings.push(Finding::error("sync", &error)),
    }
    lag(pool, config, findings).await;
}

async fn credentials(client: &Client, findings: &mut Vec<Finding>) {
    // The cheapest question to each API.
    let one = [("limit", "1".to_owned())];
    for (name, api, path, query) in
        [("core", Api::V2, "/time", &[][..]), ("B2B Edition", Api::B2b, "/companies", &one[..])]
    {
        match client.get(api, path, query).await {
            Ok(_) => findings.push(Finding::ok("sync", format!("{name} takes the access token"))),
            Err(error) => findings.push(Finding::error("sync", &error)),
        }
    }
}

async fn webhooks(config: &Config, client: &Client, findings: &mut Vec<Finding>) {
    match hooks::check(config, client).await {
        Ok(report) if report.is_good() => {
            findings.push(Finding::ok("webhooks", format!("all {} are on", report.active.len())));
        }
        Ok(report) => {
            let off = report.missing.len() + report.deactivated.len();
            findings.push(Finding::problem(
                "webhooks",
                format!("{off} of {} are missing or switched off", hooks::SCOPES.len()),
                "run `tradeflow hooks register`",
            ));
        }
        Err(error) => findings.push(Finding::error("webhooks", &error)),
    }
}

async fn lag(pool: &db::Pool, config: &Config, findings: &mut Vec<Finding>) {
    let all = match sync::status(pool).await {
        Ok(all) => all,
        Err(error) => {
            findings.push(Finding::notice(
                "sync",
                format!("how far it is cannot be seen: {error}"),
                "grant tradeflow_sync to the user",
            ));
            return;
        }
    };
    if all.is_empty() {
        findings.push(Finding::notice(
            "sync",
            "nothing was synced yet",
            "run `tradeflow sync once`, then keep `tradeflow sync watch` running",
        ));
    }
    for row in all {
        let name = &row.resource;
        let slow = sync::Resource::named(std::slice::from_ref(name))
            .is_ok_and(|found| found.iter().any(|r| r.is_slow()));
        let interval = if slow { config.sync.slow_interval } else { config.sync.interval };
        let lag = Duration::from_secs(row.lag.unwrap_or(0.0).max(0.0) as u64);
        if let Some(error) = row.last_error {
            let text =
                format!("{name} failed {} times: {}", row.failures, error.lines().next().unwrap_or_default());
            findings.push(Finding::problem(
                "sync",
                text,
                "see `tradeflow incidents` and `tradeflow sync status`",
            ));
        } else if row.lag.is_none() {
            findings.push(Finding::notice(
                "sync",
                format!("{name}: the first load is not over"),
                "`tradeflow sync once` goes on with it",
            ));
        } else if lag > interval * INTERVALS {
            let text = format!("{name} is {} behind", humantime::format_duration(lag));
            findings.push(Finding::notice("sync", text, "is `tradeflow sync watch` running?"));
        } else {
            findings
                .push(Finding::ok("sync", format!("{name} is {} behind", humantime::format_duration(lag))));
        }
    }
}
