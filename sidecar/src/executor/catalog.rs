//! Targets, mail templates and settings as the database has them now; parameters that were read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use minijinja::value::Value;
use serde_json::Value as Json;
use tokio_postgres::{Client, Row};
use tracing::warn;

use super::raw::RawJson;
use crate::db;
use crate::deliver::{System, Target};
use crate::render::{MailTemplate, Renderer};

/// Kept between claims and refreshed when a row changed.
pub struct Catalog {
    pub renderer: Renderer,
    targets: RwLock<HashMap<String, Arc<Target>>>,
    settings: RwLock<Value>,
    params: Mutex<HashMap<Box<str>, Arc<Json>>>,
    seen: Mutex<Seen>,
}

#[derive(Default, PartialEq, Eq, Clone)]
struct Seen {
    targets: String,
    templates: String,
    settings: String,
}

/// Different parameters kept parsed: as many as there are actions, less those of long ago.
const PARAMS: usize = 10_000;

impl Catalog {
    /// Reads everything once.
    pub async fn load(client: &Client) -> Result<Catalog, db::Error> {
        let catalog = Catalog {
            renderer: Renderer::new(Vec::new()),
            targets: RwLock::default(),
            settings: RwLock::default(),
            params: Mutex::default(),
            seen: Mutex::default(),
        };
        catalog.refresh(client).await?;
        Ok(catalog)
    }

    /// Reads again what changed. Asked after every claim, so an action is executed with what was committed before
    /// it became ready.
    pub async fn refresh(&self, client: &Client) -> Result<(), db::Error> {
        let row = client.query_typed_one(include_str!("../db/catalog_revision.sql"), &[]).await?;
        self.note(client, &row).await
    }

    /// Reads again what changed, as a row of catalog_revision.sql tells.
    pub async fn note(&self, client: &Client, row: &Row) -> Result<(), db::Error> {
        let now = Seen {
            targets: row.try_get("targets")?,
            templates: row.try_get("templates")?,
            settings: row.try_get("settings")?,
        };
        let before = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if now == before {
            return Ok(());
        }
        if now.targets != before.targets {
            let rows = client.query_typed(include_str!("../db/targets.sql"), &[]).await?;
            let targets = rows.iter().filter_map(target).map(|t| (t.name.clone(), Arc::new(t))).collect();
            *self.targets.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = targets;
        }
        if now.templates != before.templates {
            let rows = client.query_typed(include_str!("../db/templates.sql"), &[]).await?;
            self.renderer.replace_templates(rows.iter().map(template).collect());
        }
        if now.settings != before.settings {
            let rows = client.query_typed(include_str!("../db/settings.sql"), &[]).await?;
            let pairs = rows
                .iter()
                .map(|row| (row.get::<_, String>("name"), Value::from(row.get::<_, String>("value"))));
            let settings = pairs.collect::<BTreeMap<_, _>>().into();
            *self.settings.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = settings;
        }
        *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
        Ok(())
    }

    /// The settings, by name.
    pub fn settings(&self) -> Value {
        self.settings.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Parameters, parsed once for all actions that have the same.
    pub fn params(&self, raw: &RawJson) -> Arc<Json> {
        let mut known = self.params.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(params) = known.get(raw.text()) {
            return params.clone();
        }
        if known.len() >= PARAMS {
            known.clear();
        }
        let params = Arc::new(raw.parse());
        known.insert(raw.text().into(), params.clone());
        params
    }

    pub fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.targets.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).cloned()
    }
}

/// A row of targets.sql; none when its system is one this sidecar does not know.
pub fn target(row: &Row) -> Option<Target> {
    let name: String = row.get("name");
    let written: &str = row.get("system");
    let Some(system) = System::named(written) else {
        warn!(target = name, system = written, "this sidecar does not know the system of a target");
        return None;
    };
    Some(Target {
        name,
        revision: row.get("revision"),
        system,
        base_url: row.get("base_url"),
        secret: row.get("secret"),
        username: row.get("username"),
        auth: row.get("auth"),
        sender: row.get("sender"),
        signing_secret: row.get("signing_secret"),
        token_url: row.get("token_url"),
        scope: row.get("scope"),
        headers: row.get("headers"),
        allow_private: row.get("allow_private"),
        timeout: Duration::try_from_secs_f64(row.get("timeout")).unwrap_or(Duration::from_secs(30)),
    })
}

fn template(row: &Row) -> MailTemplate {
    MailTemplate {
        name: row.get("name"),
        subject: row.get("subject"),
        text: row.get("text"),
        html: row.get("html"),
    }
}
