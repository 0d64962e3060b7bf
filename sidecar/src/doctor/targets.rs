//! Whether targets can be reached and their secrets read, from here.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio_postgres::Client;
use url::Url;

use super::Finding;
use crate::config::Config;
use crate::db;
use crate::deliver::email::{probe, Address, Encryption};
use crate::api::address::is_private;
use crate::deliver::{System, Target};
use crate::executor::target;
use crate::secret::Secrets;
use crate::tls;

const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at every target, all at the same time.
pub async fn look(client: &Client, config: &Config, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let rows = client.query(include_str!("../db/targets.sql"), &[]).await?;
    let targets: Vec<Target> = rows.iter().filter_map(target).collect();
    if targets.is_empty() {
        findings.push(Finding::notice(
            "targets",
            "there is none, so no action can be executed",
            "insert into tradeflow.targets (name, system, base_url, sender) values ('smtp', 'smtp', 'smtp://host:25', 'Shop <shop@example.com>');",
        ));
        return Ok(());
    }
    let roots = match tls::extra_roots(config.tls.extra_ca_file.as_deref()) {
        Ok(roots) => roots,
        Err(error) => {
            findings.push(Finding::problem("targets", error.to_string(), "mend tls.extra_ca_file"));
            return Ok(());
        }
    };
    let secrets = Secrets::new(&config.secrets);
    for target in &targets {
        secret(target, &secrets, findings);
        if target.system == System::Smtp {
            smtp(target, findings);
        }
    }
    let reached = targets.iter().map(|target| async {
        match target.system {
            System::Smtp => probe(target, &roots).await,
            _ => tokio::time::timeout(PATIENCE, connect(target))
                .await
                .unwrap_or_else(|_| Err("it does not answer".into())),
        }
    });
    for (target, result) in targets.iter().zip(join_all(reached).await) {
        findings.push(match result {
            Ok(()) => {
                Finding::ok("targets", format!("\"{}\" at {} can be reached", target.name, target.base_url))
            }
            Err(reason) => Finding::problem(
                "targets",
                format!("\"{}\" at {} cannot be reached: {reason}", target.name, target.base_url),
                "mend base_url, or the network between here and there; actions are retried meanwhile",
            ),
        });
    }
    Ok(())
}

fn secret(target: &Target, secrets: &Secrets, findings: &mut Vec<Finding>) {
    let vendor = matches!(target.system, System::BigCommerce | System::HubSpot | System::Google);
    if vendor && target.secret.is_none() {
        findings.push(Finding::problem(
            "secrets",
            format!("target \"{}\" of system {} names no secret", target.name, target.system.as_str()),
            format!("update tradeflow.targets set secret = 'env:NAME' where name = '{}';", target.name),
        ));
    } else if target.auth != "none" && target.secret.is_none() {
        findings.push(Finding::problem(
            "secrets",
            format!("target \"{}\" has auth {}, but names no secret", target.name, target.auth),
            format!("update tradeflow.targets set secret = 'env:NAME' where name = '{}';", target.name),
        ));
    }
    for reference in target.secret.iter().chain(&target.signing_secret) {
        findings.push(match secrets.read(reference) {
            Ok(_) => Finding::ok("secrets", format!("{reference} of target \"{}\" can be read", target.name)),
            Err(error) => Finding::problem(
                "secrets",
                format!("target \"{}\": {error}", target.name),
                "secrets are read where the sidecar runs, with its environment and configuration",
            ),
        });
    }
}

fn smtp(target: &Target, findings: &mut Vec<Finding>) {
    if target.sender.is_none() {
        findings.push(Finding::notice(
            "targets",
            format!("\"{}\" has no sender: every action must say params.from", target.name),
            format!(
                "update tradeflow.targets set sender = 'Shop <shop@example.com>' where name = '{}';",
                target.name
            ),
        ));
    }
    let plain = Address::parse(&target.base_url).is_ok_and(|a| a.encryption == Encryption::None);
    if plain && target.auth == "basic" {
        findings.push(Finding::notice(
            "targets",
            format!("\"{}\" sends its password unencrypted", target.name),
            "use smtps://host or smtp://host?tls=starttls",
        ));
    }
}

async fn connect(target: &Target) -> Result<(), String> {
    let url = Url::parse(&target.base_url).map_err(|e| format!("it is no URL: {e}"))?;
    let host =
        url.host_str().ok_or("it names no host")?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().ok_or("it names no port")?;
    let addresses: Vec<_> =
        tokio::net::lookup_host((host.as_str(), port)).await.map_err(|e| e.to_string())?.collect();
    if let Some(private) = addresses.iter().find(|a| is_private(a.ip())).filter(|_| !target.allow_private) {
        return Err(format!(
            "{} is a private address, which the target does not allow (allow_private)",
            private.ip()
        ));
    }
    TcpStream::connect(addresses.as_slice()).await.map(drop).map_err(|e| e.to_string())
}
