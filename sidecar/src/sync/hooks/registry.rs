//! Registrations of webhooks at the store: made, looked at, kept alive. The vendor deactivates a hook after 90 days without an
//! event, or after two days of failed deliveries, and tells nobody.

use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{json, Value};

use super::SECRET_HEADER;
use crate::bigcommerce::{page, Api, Client};
use crate::config::Config;
use crate::secret::Secrets;
use crate::sync::fetch::id_of;

/// What is asked for: everything that changes a synced row. None exist for invoices, credit, terms and sales staff.
pub const SCOPES: [&str; 13] = [
    "store/company/created",
    "store/company/updated",
    "store/company/deleted",
    "store/company/statusUpdated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/user/deleted",
    "store/quote/created",
    "store/quote/updated",
    "store/quote/statusUpdated",
    "store/quote/deleted",
    "store/order/*",
    "store/product/*",
];

/// Why registrations could not be looked at or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no public address is configured\nhint: set hooks.url to https://…/hooks/bigcommerce, as the store reaches it")]
    NoUrl,
    #[error("hooks.url is {url}: the store calls HTTPS on port 443 only")]
    NotHttps { url: String },
    #[error("hooks.header_secret: {0}")]
    Secret(#[from] crate::secret::Error),
    #[error(transparent)]
    Api(#[from] crate::bigcommerce::Error),
}

/// A registration at the store.
#[derive(Debug, Clone, Serialize)]
pub struct Hook {
    pub id: i64,
    pub scope: String,
    pub destination: String,
    pub active: bool,
    /// It leads to hooks.url.
    pub ours: bool,
}

/// What was found, and done about it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Scopes that are registered and active.
    pub active: Vec<String>,
    pub created: Vec<String>,
    pub reactivated: Vec<String>,
    /// Scopes that should be there and are not.
    pub missing: Vec<String>,
    pub deactivated: Vec<String>,
    /// Scopes the store refused, and why.
    pub refused: Vec<(String, String)>,
}

impl Report {
    /// Whether every webhook is on.
    pub fn is_good(&self) -> bool {
        self.missing.is_empty() && self.deactivated.is_empty() && self.refused.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{} of {} webhooks are on", self.active.len(), SCOPES.len())];
        for (what, scopes) in [
            ("created", &self.created),
            ("switched on again", &self.reactivated),
            ("missing", &self.missing),
            ("switched off by the store", &self.deactivated),
        ] {
            lines.extend(scopes.iter().map(|scope| format!("  {what}: {scope}")));
        }
        lines.extend(self.refused.iter().map(|(scope, why)| format!("  refused: {scope}: {why}")));
        if !self.missing.is_empty() || !self.deactivated.is_empty() {
            lines.push(
                "hint: `tradeflow hooks register` creates what is missing and switches on what is off"
                    .to_owned(),
            );
        }
        lines.join("\n")
    }
}

fn url(config: &Config) -> Result<&str, Error> {
    let url = config.hooks.url.as_str();
    match reqwest::Url::parse(url) {
        _ if url.is_empty() => Err(Error::NoUrl),
        Ok(parsed) if parsed.scheme() == "https" && parsed.port_or_known_default() == Some(443) => Ok(url),
        _ => Err(Error::NotHttps { url: url.to_owned() }),
    }
}

/// All registrations that the token's account made.
pub async fn list(config: &Config, client: &Client) -> Result<Vec<Hook>, Error> {
    let mut hooks = Vec::new();
    for number in 1.. {
        let query = [("limit", "250".to_owned()), ("page", number.to_string())];
        let page = page(client.get(Api::V3, "/hooks", &query).await?)?;
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        hooks.extend(page.rows.iter().filter_map(|row| {
            let destination = text(row, "destination");
            Some(Hook {
                id: id_of(row, "id")?,
                scope: text(row, "scope"),
                active: row["is_active"] == json!(true),
                ours: destination == config.hooks.url,
                destination,
            })
        }));
        if page.rows.is_empty() || page.total.is_none_or(|total| hooks.len() as u64 >= total) {
            break;
        }
    }
    Ok(hooks)
}

/// Looks at ours.
pub async fn check(config: &Config, client: &Client) -> Result<Report, Error> {
    url(config)?;
    let ours: Vec<Hook> = list(config, client).await?.into_iter().filter(|hook| hook.ours).collect();
    let mut report = Report::default();
    for scope in SCOPES {
        let into = match ours.iter().find(|hook| hook.scope == scope) {
            Some(hook) if hook.active => &mut report.active,
            Some(_) => &mut report.deactivated,
            None => &mut report.missing,
        };
        into.push(scope.to_owned());
    }
    Ok(report)
}

/// Creates what is missing, switches on what is off.
pub async fn register(config: &Config, client: &Client) -> Result<Report, Error> {
    let url = url(config)?;
    let mut headers = json!({});
    if !config.hooks.header_secret.is_empty() {
        let secret = Secrets::new(&config.secrets).read(&config.hooks.header_secret)?;
        headers[SECRET_HEADER] = secret.expose_secret().into();
    }
    let ours: Vec<Hook> = list(config, client).await?.into_iter().filter(|hook| hook.ours).collect();
    let mut report = Report::default();
    for scope in SCOPES {
        let body = json!({"scope": scope, "destination": url, "is_active": true, "headers": headers});
        let known = ours.iter().find(|hook| hook.scope == scope);
        let (method, path) = match known {
            // The secret may have changed: written again also where it is on.
            Some(hook) => (Method::PUT, format!("/hooks/{}", hook.id)),
            None => (Method::POST, "/hooks".to_owned()),
        };
        match client.ask(method, Api::V3, &path, &[], Some(&body)).await {
            Ok(_) => {
                report.active.push(scope.to_owned());
                match known {
                    Some(hook) if !hook.active => report.reactivated.push(scope.to_owned()),
                    Some(_) => {}
                    None => report.created.push(scope.to_owned()),
                }
            }
            Err(error) if error.passes() => return Err(error.into()),
            Err(error) => report.refused.push((scope.to_owned(), error.to_string())),
        }
    }
    Ok(report)
}
