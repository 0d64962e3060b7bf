//! Kinds `hubspot.*`: deals, contacts and companies, each kept under a unique property of ours.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::account::Accounts;
use super::strategy::kind;
use super::{Deliver, Failure, Job, Tools};
use crate::hubspot::{HubSpot, Pipeline};

mod adopt;
mod batch;
mod owner;
mod stage;
mod upsert;

/// All of them.
pub fn kinds(tools: &Arc<Tools>) -> Vec<Box<dyn Deliver>> {
    vec![
        kind::<upsert::Upsert<upsert::Deals>>(tools, "hubspot.upsert_deal"),
        kind::<upsert::Upsert<upsert::Contacts>>(tools, "hubspot.upsert_contact"),
        kind::<upsert::Upsert<upsert::Companies>>(tools, "hubspot.upsert_company"),
        kind::<owner::SetOwner>(tools, "hubspot.set_owner"),
    ]
}

/// How long owners and pipelines are believed.
const FRESH: Duration = Duration::from_secs(300);

/// One account, with what is known of it.
pub struct Account {
    pub api: HubSpot,
    /// Its target, with the revision: another token is another account.
    pub name: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    owners: Option<(Instant, HashMap<String, String>)>,
    pipelines: Option<(Instant, Vec<Pipeline>)>,
    unique: Vec<(String, String)>,
}

/// The account that a job's target is; the same one until the target is changed.
fn account(tools: &Tools, job: &Job<'_>) -> Result<Arc<Account>, Failure> {
    static ACCOUNTS: Accounts<Account> = Accounts::new();
    let target = job.target;
    let (account, _) = ACCOUNTS.of(job, "the token", |token, name| {
        let client = tools.clients.of(target.allow_private).clone();
        let api = HubSpot::new(&target.base_url, token, client, target.timeout)?;
        Ok(Account { api, name: name.to_owned(), known: Mutex::default() })
    })?;
    Ok(account)
}

impl Account {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The owner with this address. Whoever was not there a moment ago is asked for again.
    pub async fn owner(&self, email: &str) -> Result<String, Failure> {
        let email = email.trim().to_lowercase();
        let kept = self.known().owners.clone();
        if let Some((at, owners)) = kept {
            if let Some(id) = owners.get(&email).filter(|_| at.elapsed() < FRESH) {
                return Ok(id.clone());
            }
        }
        let owners = self.api.owners().await?;
        let found = owners.get(&email).cloned();
        self.known().owners = Some((Instant::now(), owners));
        found.ok_or_else(|| {
            Failure::dead(format!("HubSpot has no active owner with the address {email}; add one there, or map the rep to another address, then retry"))
        })
    }

    /// The pipelines of deals.
    pub async fn pipelines(&self) -> Result<Vec<Pipeline>, Failure> {
        let kept = self.known().pipelines.clone();
        if let Some((_, pipelines)) = kept.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(pipelines);
        }
        let pipelines = self.api.pipelines().await?;
        self.known().pipelines = Some((Instant::now(), pipelines.clone()));
        Ok(pipelines)
    }

    /// Makes sure, once, that a property is there and unique.
    pub async fn ensure_unique(&self, object: &str, property: &str) -> Result<(), Failure> {
        let pair = (object.to_owned(), property.to_owned());
        if self.known().unique.contains(&pair) {
            return Ok(());
        }
        self.api.ensure_unique(object, property).await?;
        self.known().unique.push(pair);
        Ok(())
    }
}
