//! For the sync: requests to a store that are tried again where that may help, and errors that say what to do about them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::Method;
use serde_json::Value;
use tracing::debug;

use super::store::{Api, Store};
use crate::api::{self, Clients, Kind};
use crate::config::Config;
use crate::db::reason;
use crate::secret::{self, Secrets};
use crate::tls;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no store is named\nhint: set bigcommerce.store_hash and bigcommerce.access_token (`tradeflow config` explains them)")]
    NoStore,
    #[error("bigcommerce.access_token: {0}")]
    Secret(#[from] secret::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("HTTP cannot be set up: {0}")]
    Http(String),
    #[error("the store's API refuses ({said})\nhint: {hint}")]
    Refused { status: u16, said: String, hint: &'static str },
    #[error("the store's API does not know this ({said})\nhint: a token without the scope is answered so too: B2B Edition \"modify\", Orders and Products \"read-only\"")]
    NotFound { said: String },
    #[error("the store's API fails ({said})")]
    Failed { said: String, wait: Option<Duration> },
    #[error("the store's API answers {0}")]
    Garbled(String),
    #[error("the store's API cannot be reached: {0}")]
    Unreachable(String),
}

impl Error {
    /// Whether the same request may succeed a little later.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Failed { .. } | Error::Garbled(_) | Error::Unreachable(_))
    }

    /// What a request without success means for the sync.
    fn of(api: Api, error: api::Error) -> Error {
        let api::Error { kind, message, wait, .. } = error;
        let failed = |status: u16| Error::Failed { said: format!("{status}: {message}"), wait };
        match kind {
            Kind::Unreachable | Kind::Lost => Error::Unreachable(message.clone()),
            Kind::Garbled => Error::Garbled(message.clone()),
            Kind::Throttled => failed(429),
            Kind::Failed(status) | Kind::Busy(status) => failed(status),
            Kind::Refused(404) => Error::NotFound { said: format!("404: {message}") },
            Kind::Denied(status) | Kind::Refused(status) => {
                let hint = match (api, status) {
                    (_, 401) => "is bigcommerce.access_token the token of this store, and still valid?",
                    (Api::B2b, 403) => "give the token B2B Edition \"modify\"",
                    (_, 403) => "the token lacks a scope (Orders, Products: read-only), or bigcommerce.store_hash is another store's",
                    _ => "see what the API says",
                };
                Error::Refused { status, said: format!("{status}: {message}"), hint }
            }
        }
    }
}

/// Asks a store. Cheap to share behind an `Arc`.
pub struct Client {
    store: Store,
    attempts: usize,
    retry_delay: Duration,
    requests: AtomicU64,
}

impl Client {
    /// A client for the store that the configuration names.
    pub fn new(config: &Config) -> Result<Client, Error> {
        let settings = &config.bigcommerce;
        if settings.store_hash.is_empty() {
            return Err(Error::NoStore);
        }
        let token = Secrets::new(&config.secrets).read(&settings.access_token)?;
        let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref())?;
        let clients = Clients::new(tls::client_config(roots)?).map_err(|e| Error::Http(reason(&e)))?;
        // The address is the operator's own, wherever it leads.
        let client = clients.of(true).clone();
        Ok(Client {
            store: Store::to_read(settings, &token, client, settings.retry_delay * 10)
                .map_err(Error::Http)?,
            attempts: settings.attempts,
            retry_delay: settings.retry_delay,
            requests: AtomicU64::new(0),
        })
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Reads. `None`: there is nothing (204).
    pub async fn get(&self, api: Api, path: &str, query: &[(&str, String)]) -> Result<Option<Value>, Error> {
        self.ask(Method::GET, api, path, query, None).await
    }

    /// Sends a request that may be repeated safely.
    pub async fn ask(
        &self,
        method: Method,
        api: Api,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Option<Value>, Error> {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let below = path.trim_start_matches('/');
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.retry_delay)
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(self.attempts - 1)
            .with_jitter();
        let mut pauses = pauses.build();
        loop {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let error = match self.store.call(method.clone(), api, below, &query, body).await {
                Ok(answer) => return Ok(Some(answer.body).filter(|body| !body.is_null())),
                Err(error) => Error::of(api, error),
            };
            let Some(pause) = pauses.next().filter(|_| error.passes()) else { return Err(error) };
            let pause = match &error {
                Error::Failed { wait: Some(wait), .. } => *wait,
                _ => pause,
            };
            debug!(path, %error, pause_ms = pause.as_millis() as u64, "asked again");
            tokio::time::sleep(pause).await;
        }
    }
}
