//! Targets and mail templates as the database has them now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio_postgres::{Client, Row};
use tracing::warn;

use crate::db;
use crate::deliver::{System, Target};
use crate::render::{MailTemplate, Renderer};

/// Kept between claims and refreshed when a row changed.
pub struct Catalog {
    pub renderer: Renderer,
    targets: RwLock<HashMap<String, Arc<Target>>>,
    seen: Mutex<Seen>,
}

#[derive(Default, PartialEq, Eq, Clone)]
struct Seen {
    targets: String,
    templates: String,
}

impl Catalog {
    /// Reads everything once.
    pub async fn load(client: &Client) -> Result<Catalog, db::Error> {
        let catalog = Catalog {
            renderer: Renderer::new(Vec::new()),
            targets: RwLock::default(),
            seen: Mutex::default(),
        };
        catalog.refresh(client).await?;
        Ok(catalog)
    }

    /// Reads again what changed. Asked after every claim, so an action is executed with what was committed before
    /// it became ready.
    pub async fn refresh(&self, client: &Client) -> Result<(), db::Error> {
        let row = client.query_typed_one(include_str!("../db/catalog_revision.sql"), &[]).await?;
        let now = Seen { targets: row.get("targets"), templates: row.get("templates") };
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
        *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
        Ok(())
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
