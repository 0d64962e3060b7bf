//! Whether targets can be reached, accept who we are, and have secrets that can be read, from here.

use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;
use tokio_postgres::Client;

use super::{vendors, Finding};
use crate::api::Clients;
use crate::config::Config;
use crate::db;
use crate::deliver::email::{probe, Address, Encryption};
use crate::deliver::http::{Answered, Http};
use crate::deliver::{Failure, System, Target};
use crate::executor::target;
use crate::secret::Secrets;
use crate::tls;

/// What examining takes.
pub struct Examiner {
    secrets: Secrets,
    roots: Vec<CertificateDer<'static>>,
    clients: Clients,
    http: Http,
}

/// What an action wants of its target.
pub struct Use {
    target: String,
    pub kind: String,
    /// Of a sheet: which spreadsheet, unless a template says so.
    pub spreadsheet: Option<String>,
}

/// Looks at every target, all at the same time.
pub async fn look(client: &Client, config: &Config, findings: &mut Vec<Finding>) -> Result<(), db::Error> {
    let targets = all(client).await?;
    if targets.is_empty() {
        findings.push(Finding::notice(
            "targets",
            "there is none, so no action can be executed",
            "insert into tradeflow.targets (name, system, base_url, sender) values ('smtp', 'smtp', 'smtp://host:25', 'Shop <shop@example.com>');",
        ));
        return Ok(());
    }
    match Examiner::new(config) {
        Ok(examiner) => {
            let uses = uses(client).await?;
            let found = join_all(targets.iter().map(|target| examiner.examine(target, &uses))).await;
            findings.extend(found.into_iter().flatten());
        }
        Err(reason) => findings.push(Finding::problem("targets", reason, "mend tls.extra_ca_file")),
    }
    Ok(())
}

/// The targets whose system this version knows, by name.
pub async fn all(client: &Client) -> Result<Vec<Target>, db::Error> {
    let rows = client.query_typed(include_str!("../db/targets.sql"), &[]).await?;
    let mut targets: Vec<Target> = rows.iter().filter_map(target).collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

/// What all actions want of their targets.
pub async fn uses(client: &Client) -> Result<Vec<Use>, db::Error> {
    let rows = client.query_typed(include_str!("../db/target_uses.sql"), &[]).await?;
    let read = |row: &tokio_postgres::Row| {
        Ok(Use {
            target: row.try_get("target")?,
            kind: row.try_get("kind")?,
            spreadsheet: row.try_get("spreadsheet")?,
        })
    };
    rows.iter().map(read).collect()
}

impl Examiner {
    /// With the certificates and secrets of the configuration.
    pub fn new(config: &Config) -> Result<Examiner, String> {
        let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref()).map_err(|e| e.to_string())?;
        let client = tls::client_config(roots.clone()).map_err(|e| e.to_string())?;
        let clients = Clients::new(client).map_err(|e| e.to_string())?;
        let http = Http::new(clients.clone(), config.http.response_limit);
        Ok(Examiner { secrets: Secrets::new(&config.secrets), roots, clients, http })
    }

    /// Connects, greets, logs in, and sends nothing. Of `uses` those of this target matter.
    pub async fn examine(&self, target: &Target, uses: &[Use]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let secrets_read = self.secrets(target, &mut findings);
        if let (true, Some(reference)) = (vendors::is_one(target.system), &target.secret) {
            // One that cannot be read has been told of.
            if let Ok(secret) = self.secrets.read(reference) {
                let uses: Vec<&Use> = uses.iter().filter(|of| of.target == target.name).collect();
                findings.extend(vendors::ask(&self.clients, target, &secret, &uses).await);
                return findings;
            }
        }
        if target.system == System::Smtp {
            smtp(target, &mut findings);
        }
        // Without its secret a login cannot work: that has been said.
        let mut target = target.clone();
        if !secrets_read {
            target.auth = "none".into();
        }
        let reached = match target.system {
            System::Smtp => self.reach_smtp(&target).await,
            _ => self.http.probe(&target, &self.secrets).await.map(Some),
        };
        findings.push(match reached {
            Ok(None) => {
                let login = if target.auth == "basic" { " and lets us log in" } else { "" };
                ok(&target, &format!("greets us{login}"))
            }
            Ok(Some(answered)) => judge(&target, &answered),
            Err(failure) => Finding::problem(
                "targets",
                format!(
                    "\"{}\" at {} cannot be used: {}",
                    target.name,
                    target.base_url,
                    failure.message.trim_start_matches(&format!("target \"{}\": ", target.name))
                ),
                "mend the target, or the network between here and there; actions are retried meanwhile",
            ),
        });
        findings
    }

    async fn reach_smtp(&self, target: &Target) -> Result<Option<Answered>, Failure> {
        let reference = target.secret.as_deref().filter(|_| target.auth == "basic");
        let password = reference.map(|reference| self.secrets.read(reference)).transpose()?;
        probe(target, &self.roots, password).await.map(|()| None)
    }

    /// Whether all secrets that the target names, and needs, can be read.
    fn secrets(&self, target: &Target, findings: &mut Vec<Finding>) -> bool {
        let before = findings.iter().filter(|f| f.hint.is_some()).count();
        if vendors::is_one(target.system) && target.secret.is_none() {
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
            findings.push(match self.secrets.read(reference) {
                Ok(_) => {
                    Finding::ok("secrets", format!("{reference} of target \"{}\" can be read", target.name))
                }
                Err(error) => Finding::problem(
                    "secrets",
                    format!("target \"{}\": {error}", target.name),
                    "secrets are read where the sidecar runs, with its environment and configuration",
                ),
            });
        }
        findings.iter().filter(|f| f.hint.is_some()).count() == before
    }
}

fn ok(target: &Target, what: &str) -> Finding {
    Finding::ok("targets", format!("\"{}\" at {} {what}", target.name, target.base_url))
}

/// What an HTTP answer says about the target. Only the credentials are its to judge: base_url itself need not exist.
fn judge(target: &Target, Answered { method, status, location }: &Answered) -> Finding {
    let said = format!("\"{}\" at {} answers {method} with {status}", target.name, target.base_url);
    match status.as_u16() {
        // Without a secret nothing more can be said of a vendor.
        _ if vendors::is_one(target.system) => ok(target, "is reached"),
        401 | 403 if target.auth == "none" => {
            Finding::notice("targets", said, "it seems to want credentials: set auth and secret of the target")
        }
        401 | 403 => Finding::problem(
            "targets",
            format!("{said}: it does not accept our credentials"),
            "mend the secret (or auth, username) of the target; a key may lack the right to read base_url alone",
        ),
        300..=399 => Finding::notice(
            "targets",
            format!("{said}, to {}", location.as_deref().unwrap_or("nowhere")),
            "redirects are not followed: write where it leads into base_url",
        ),
        500.. => Finding::notice("targets", said, "it is reached, and in trouble itself; actions are retried"),
        status => ok(target, &format!("answers {method} with {status}")),
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
