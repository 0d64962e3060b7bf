//! Webhooks of BigCommerce: `POST /hooks/bigcommerce`, served by `tradeflow run`.
//!
//! A webhook is believed (signature, secret header, its time), written down under its id and answered at once; the sender
//! blocks whoever is slow. What it tells is only which thing changed: `work` fetches the thing and stores it, with the same
//! code as a sync. At least once and in no order is all the sender promises, so a sync goes on beside it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::state::{self, Incident};
use super::Error;
use crate::config::Config;
use crate::db;
use crate::secret::{self, Secrets};

mod keep;
mod registry;
mod work;

pub use keep::keep;
pub use registry::{check, list, register, Hook, Report, SCOPES};
pub use work::run as work;

/// Header of our own secret.
pub const SECRET_HEADER: &str = "x-tradeflow-secret";

/// A webhook's body is ids; more than this is none.
pub const LARGEST: usize = 256 * 1024;

/// Why webhooks are not served.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("hooks.{key}: {error}")]
    Secret { key: &'static str, error: secret::Error },
    #[error("hooks.require_signature is off and hooks.header_secret is empty: anybody could send webhooks\nhint: set one of them")]
    Open,
}

/// What receiving needs.
pub struct Receiver {
    pool: db::Pool,
    producer: String,
    key: Option<SecretString>,
    header_secret: Option<SecretString>,
    require_signature: bool,
    tolerance: Duration,
    /// Something is to be worked on.
    pub wake: Arc<Notify>,
}

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it has no signature")]
    Unsigned,
    #[error("its signature is wrong")]
    Signature,
    #[error("its time is too far from ours: a replay, or a clock that is wrong")]
    Time,
    #[error("its secret header is missing or wrong")]
    Secret,
    #[error("it is from another store")]
    Store,
    #[error("its body is not what a webhook's is")]
    Body,
}

/// A webhook that is believed.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub id: String,
    pub scope: String,
    pub data: Value,
}

impl Receiver {
    /// Reads the secrets that the configuration names. `None`: no webhooks are configured.
    pub fn new(config: &Config, pool: db::Pool) -> Result<Option<Receiver>, SetupError> {
        let hooks = &config.hooks;
        if hooks.url.is_empty() || config.bigcommerce.store_hash.is_empty() {
            return Ok(None);
        }
        let secrets = Secrets::new(&config.secrets);
        let read = |key: &'static str, reference: &str| match reference {
            "" => Ok(None),
            reference => secrets.read(reference).map(Some).map_err(|error| SetupError::Secret { key, error }),
        };
        let header_secret = read("header_secret", &hooks.header_secret)?;
        let key = match hooks.require_signature {
            true => read("client_secret", &hooks.client_secret)?,
            false => None,
        };
        if key.is_none() && header_secret.is_none() {
            return Err(SetupError::Open);
        }
        Ok(Some(Receiver {
            pool,
            producer: format!("stores/{}", config.bigcommerce.store_hash),
            require_signature: hooks.require_signature,
            key,
            header_secret,
            tolerance: hooks.tolerance,
            wake: Arc::new(Notify::new()),
        }))
    }

    /// Believes a webhook, or says why not. `now`: unix seconds.
    pub fn believe(&self, headers: &HeaderMap, body: &[u8], now: i64) -> Result<Told, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(secret) = &self.header_secret {
            let sent = text(SECRET_HEADER).unwrap_or_default();
            if !same(sent.as_bytes(), secret.expose_secret().as_bytes()) {
                return Err(Refusal::Secret);
            }
        }
        if let Some(key) = self.key.as_ref().filter(|_| self.require_signature) {
            if ["webhook-id", "webhook-timestamp", "webhook-signature"]
                .iter()
                .any(|name| text(name).is_none())
            {
                return Err(Refusal::Unsigned);
            }
            let sent_at: i64 = text("webhook-timestamp").and_then(|t| t.parse().ok()).ok_or(Refusal::Time)?;
            if now.abs_diff(sent_at) > self.tolerance.as_secs() {
                return Err(Refusal::Time);
            }
            // The raw key is the client secret itself. The library's own check reads the machine's clock.
            let key = Webhook::from_bytes(key.expose_secret().as_bytes().to_vec())
                .map_err(|_| Refusal::Signature)?;
            let id = text("webhook-id").unwrap_or_default();
            let right = key.sign(id, sent_at, body).map_err(|_| Refusal::Signature)?;
            let sent = text("webhook-signature").unwrap_or_default();
            if !sent.split(' ').any(|one| same(one.as_bytes(), right.as_bytes())) {
                return Err(Refusal::Signature);
            }
        }
        let payload: Value = serde_json::from_slice(body).map_err(|_| Refusal::Body)?;
        if payload["producer"].as_str() != Some(self.producer.as_str()) {
            return Err(Refusal::Store);
        }
        let scope = payload["scope"].as_str().ok_or(Refusal::Body)?.to_owned();
        let data = payload.get("data").cloned().ok_or(Refusal::Body)?;
        // Without signatures there is no webhook-id: the payload's own hash tells repetitions.
        let id = text("webhook-id").or(payload["hash"].as_str()).ok_or(Refusal::Body)?.to_owned();
        Ok(Told { id, scope, data })
    }

    async fn keep(&self, told: &Told) -> Result<bool, Error> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(include_str!("sql/keep_event.sql")).await?;
        Ok(client.execute(&statement, &[&told.id, &told.scope, &told.data]).await? > 0)
    }

    async fn refuse(&self, refusal: Refusal) -> Result<(), Error> {
        let client = self.pool.get().await?;
        let message = format!("a webhook was refused: {refusal}");
        let incident = Incident {
            kind: "hook_refused",
            resource: "bigcommerce",
            subject: None,
            message: &message,
            detail: None,
            hint: Some("if it is the store's own, see hooks.client_secret and hooks.header_secret, and `tradeflow hooks check`"),
        };
        state::incident(&client, incident).await
    }
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// POST /hooks/bigcommerce.
pub async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let told = match receiver.believe(&headers, &body, Utc::now().timestamp()) {
        Ok(told) => told,
        Err(refusal) => {
            warn!(%refusal, "webhook refused");
            if let Err(error) = receiver.refuse(refusal).await {
                warn!(%error, "the refusal could not be noted");
            }
            return if refusal == Refusal::Body { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
        }
    };
    match receiver.keep(&told).await {
        Ok(new) => {
            debug!(id = told.id, scope = told.scope, new, "webhook");
            receiver.wake.notify_one();
            StatusCode::NO_CONTENT
        }
        Err(error) => {
            // The sender repeats it.
            warn!(%error, "a webhook could not be written down");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests;
