//! One request: the right host and headers, within the budget, tried again where that may help.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::debug;

use super::answer;
use super::budget::Budget;
use crate::config::{self, Config};
use crate::db::reason;
use crate::secret::{self, Secrets};
use crate::tls;

/// Which API a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// B2B Edition's management API: `/api/v3/io`.
    B2b,
    /// Core V2.
    V2,
    /// Core V3.
    V3,
}

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
    Failed { status: u16, said: String, wait: Option<Duration> },
    #[error("the store's API answers {what} ({error})")]
    NotJson { what: String, error: String },
    #[error("the store's API cannot be reached: {0}")]
    Unreachable(String),
}

impl Error {
    /// Whether the same request may succeed a little later.
    pub fn passes(&self) -> bool {
        matches!(self, Error::Failed { .. } | Error::NotJson { .. } | Error::Unreachable(_))
    }
}

/// Asks a store. Cheap to share behind an `Arc`.
pub struct Client {
    http: reqwest::Client,
    core: String,
    b2b: String,
    store_hash: String,
    token: SecretString,
    b2b_budget: Budget,
    core_budget: Budget,
    attempts: usize,
    retry_delay: Duration,
    requests: AtomicU64,
}

impl Client {
    /// A client for the store that the configuration names.
    pub fn new(config: &Config) -> Result<Client, Error> {
        let config::BigCommerce { store_hash, access_token, core_url, b2b_url, .. } = &config.bigcommerce;
        if store_hash.is_empty() {
            return Err(Error::NoStore);
        }
        let token = Secrets::new(&config.secrets).read(access_token)?;
        let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(roots)?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .timeout(config.bigcommerce.timeout)
            .user_agent(concat!("tradeflow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Http(reason(&e)))?;
        let share = config.bigcommerce.write_share;
        Ok(Client {
            http,
            core: format!("{}/stores/{store_hash}", core_url.trim_end_matches('/')),
            b2b: format!("{}/api/v3/io", b2b_url.trim_end_matches('/')),
            store_hash: store_hash.clone(),
            token,
            b2b_budget: Budget::new(config.bigcommerce.requests_per_minute, share),
            // Core's quota depends on the plan: only the vendor knows it.
            core_budget: Budget::new(0, share),
            attempts: config.bigcommerce.attempts,
            retry_delay: config.bigcommerce.retry_delay,
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
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.retry_delay)
            .with_max_delay(Duration::from_secs(60))
            .with_max_times(self.attempts - 1)
            .with_jitter();
        let mut pauses = pauses.build();
        loop {
            let error = match self.once(&method, api, path, query, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
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

    async fn once(
        &self,
        method: &Method,
        api: Api,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Option<Value>, Error> {
        let (base, budget) = match api {
            Api::B2b => (self.b2b.clone(), &self.b2b_budget),
            Api::V2 => (format!("{}/v2", self.core), &self.core_budget),
            Api::V3 => (format!("{}/v3", self.core), &self.core_budget),
        };
        let mut url = reqwest::Url::parse(&format!("{base}{path}"))
            .map_err(|e| Error::Http(format!("{base} is no address: {e}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        budget.admit().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = self
            .http
            .request(method.clone(), url)
            .header("x-auth-token", self.token.expose_secret())
            .header("accept", "application/json");
        if api == Api::B2b {
            request = request.header("x-store-hash", &self.store_hash);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        // Without the address: its query may hold what people typed.
        let unreachable = |e: reqwest::Error| Error::Unreachable(reason(&e.without_url()));
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        budget.note(response.headers());
        let wait = if status == 429 { Budget::refused(response.headers()) } else { None };
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = response.bytes().await.map_err(unreachable)?;
        answer::read(api, status, &content_type, &bytes).map_err(|error| match error {
            // A 429 without these headers is the platform's own overload: it gets a longer pause.
            Error::Failed { status: 429, said, .. } => {
                Error::Failed { status: 429, said, wait: wait.or(Some(self.retry_delay * 10)) }
            }
            other => other,
        })
    }
}
