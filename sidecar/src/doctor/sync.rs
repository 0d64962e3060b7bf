//! Whether the store can be read from here, whether its webhooks are on, and how far the copies are.

use std::time::Duration;

use super::Finding;
use crate::api::Clients;
use crate::bigcommerce::{Api, Client};
use crate::config::Config;
use crate::db;
use crate::sync::sheets::Source;
use crate::sync::{self, hooks};
use crate::tls;

/// A copy that is older than this many of its intervals is behind.
const INTERVALS: u32 = 5;

/// Looks at the sync, when a store is configured.
pub async fn look(pool: &db::Pool, config: &Config, findings: &mut Vec<Finding>) {
    let (of_store, of_sheets) = (!config.bigcommerce.store_hash.is_empty(), !config.sheets.synced.is_empty());
    if of_store {
        store(pool, config, findings).await;
    }
    if of_sheets {
        sheets(config, findings).await;
    }
    if of_store || of_sheets {
        lag(pool, config, findings).await;
    }
}

async fn store(pool: &db::Pool, config: &Config, findings: &mut Vec<Finding>) {
    match Client::new(config) {
        Ok(client) => {
            credentials(&client, findings).await;
            if !config.hooks.url.is_empty() {
                receiving(pool, config, findings).await;
                webhooks(config, &client, findings).await;
            }
        }
        Err(error) => findings.push(Finding::error("sync", &error)),
    }
}

async fn sheets(config: &Config, findings: &mut Vec<Finding>) {
    let source = match Source::new(config) {
        Ok(source) => source,
        Err(error) => return findings.push(Finding::error("sync", &error)),
    };
    match source.check().await {
        Ok(all) => findings.extend(all.into_iter().map(|(sheet, problem)| match problem {
            None => Finding::ok("sync", format!("sheet {sheet} can be read")),
            Some(problem) => Finding::problem(
                "sync",
                format!("sheet {sheet} cannot be synced: {problem}"),
                "mend the sheet, who it is shared with, or sheets.synced",
            ),
        })),
        Err(error) => findings.push(Finding::error("sync", &error)),
    }
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

/// What receiving webhooks needs here: secrets, a right, an address to listen at, and a way to it from outside.
async fn receiving(pool: &db::Pool, config: &Config, findings: &mut Vec<Finding>) {
    if let Err(error) = hooks::Receiver::new(config, pool.clone()) {
        findings.push(Finding::error("webhooks", &error));
    }
    if config.listen_address.is_empty() {
        findings.push(Finding::notice(
            "webhooks",
            "listen_address is empty: a sidecar with this configuration receives none",
            "set it where `tradeflow run` is to receive them, and have hooks.url lead there",
        ));
    }
    match may_keep(pool).await {
        Ok(true) => findings.push(Finding::ok("webhooks", "the user may write down what they tell")),
        Ok(false) => findings.push(Finding::problem(
            "webhooks",
            "the user may not write down what they tell",
            "grant tradeflow_sync to the user that `tradeflow run` connects as",
        )),
        Err(error) => findings.push(Finding::error("webhooks", &error)),
    }
    findings.push(match reach(config).await {
        // The route takes POST alone.
        Ok(405) => Finding::ok("webhooks", "hooks.url leads to a sidecar"),
        Ok(status) => Finding::notice(
            "webhooks",
            format!("hooks.url answers with {status}, which is no sidecar"),
            "have the proxy pass /hooks/bigcommerce on to the listen_address of a sidecar that runs",
        ),
        Err(why) => Finding::notice(
            "webhooks",
            format!("hooks.url cannot be reached from here: {why}"),
            "if it can be reached from the internet, all is well",
        ),
    });
}

async fn may_keep(pool: &db::Pool) -> Result<bool, sync::Error> {
    let client = pool.get().await?;
    Ok(client.query_one(include_str!("../db/doctor/may_keep_hooks.sql"), &[]).await?.try_get(0)?)
}

/// What hooks.url answers to somebody who only looks.
async fn reach(config: &Config) -> Result<u16, String> {
    let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref()).map_err(|e| e.to_string())?;
    let tls = tls::client_config(roots).map_err(|e| e.to_string())?;
    let clients = Clients::new(tls).map_err(|e| e.to_string())?;
    let request = clients.of(true).get(&config.hooks.url).timeout(Duration::from_secs(5)).send();
    let answer = request.await.map_err(|e| db::reason(&e.without_url()))?;
    Ok(answer.status().as_u16())
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
        let resource =
            sync::Resource::named(std::slice::from_ref(name)).ok().and_then(|found| found.first().copied());
        let interval = resource.map_or(config.sync.interval, |r| sync::Intervals::new(config).of(r));
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
