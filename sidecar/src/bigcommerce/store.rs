//! One request to a store: the right host and headers, within the budget, judged. The sync's [`Client`](super::Client) asks again where
//! that helps; actions are tried again by the outbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use url::Url;

use super::answer::judge;
use super::budget::{Budget, Budgets};
use crate::api::{self, Answer, Call, Error, Kind};

const NAME: &str = "BigCommerce";

/// The host of B2B Edition, beside core's `api.bigcommerce.com`.
const B2B_HOST: &str = "https://api-b2b.bigcommerce.com";

/// A 429 without headers means that the platform is overloaded, not that we are too fast: back off longer.
const OVERLOADED: Duration = Duration::from_secs(60);

/// Which of a store's APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// B2B Edition's management API: `/api/v3/io`.
    B2b,
    /// Core V2.
    V2,
    /// Core V3.
    V3,
}

/// Whose requests these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// They wait for their share of the budget.
    Reading,
    /// They may use what is left, and come back later when nothing is.
    Acting,
}

/// One store's APIs.
pub struct Store {
    client: reqwest::Client,
    core: Url,
    b2b: Url,
    hash: HeaderValue,
    token: HeaderValue,
    timeout: Duration,
    budgets: Arc<Budgets>,
    used_for: Use,
    /// How long to stay away after a 429 that does not say it.
    overloaded: Duration,
}

/// How many requests a store allows, where it does not say so itself.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of B2B Edition; 0: not counted here.
    pub per_minute: u32,
    /// The share that the sync leaves to actions.
    pub action_share: f64,
}

impl Store {
    /// For actions. `base_url` is core's, with the store's hash: `https://api.bigcommerce.com/stores/abc123`. B2B Edition is at
    /// its own host when core is at the vendor's, and on the same one otherwise (a proxy, a test).
    pub fn new(
        base_url: &str,
        token: &SecretString,
        client: reqwest::Client,
        timeout: Duration,
        pace: Pace,
    ) -> Result<Store, String> {
        let wrong = |why: &str| {
            format!("base_url {base_url}: {why}; write https://api.bigcommerce.com/stores/<store hash>")
        };
        let core = Url::parse(base_url.trim_end_matches('/')).map_err(|e| wrong(&format!("no URL ({e})")))?;
        let segments: Vec<&str> = core.path_segments().map(Iterator::collect).unwrap_or_default();
        let ["stores", hash] = segments.as_slice() else {
            return Err(wrong("its path is not /stores/<hash>"));
        };
        let hash = HeaderValue::from_str(hash).map_err(|_| wrong("the hash is not one"))?;
        let b2b = match core.host_str() {
            Some("api.bigcommerce.com") => B2B_HOST.to_owned(),
            _ => core.origin().ascii_serialization(),
        };
        let b2b = Url::parse(&format!("{b2b}/api/v3/io")).map_err(|e| wrong(&e.to_string()))?;
        let budgets = Budgets::of(core.as_str(), pace.per_minute, pace.action_share);
        let (token, used_for, overloaded) = (secret(token)?, Use::Acting, OVERLOADED);
        Ok(Store { client, core, b2b, hash, token, timeout, budgets, used_for, overloaded })
    }

    /// For the sync, whose configuration names both hosts. After a 429 that says nothing it stays away for `overloaded`.
    pub fn to_read(
        settings: &crate::config::BigCommerce,
        token: &SecretString,
        client: reqwest::Client,
        overloaded: Duration,
    ) -> Result<Store, String> {
        let crate::config::BigCommerce { store_hash, core_url, b2b_url, .. } = settings;
        let url = |text: String| Url::parse(&text).map_err(|e| format!("{text} is no address: {e}"));
        let core = url(format!("{}/stores/{store_hash}", core_url.trim_end_matches('/')))?;
        let b2b = url(format!("{}/api/v3/io", b2b_url.trim_end_matches('/')))?;
        let hash = HeaderValue::from_str(store_hash)
            .map_err(|_| "bigcommerce.store_hash is no store's hash".to_owned())?;
        let budgets = Budgets::of(core.as_str(), settings.requests_per_minute, settings.write_share);
        let (token, used_for, timeout) = (secret(token)?, Use::Reading, settings.timeout);
        Ok(Store { client, core, b2b, hash, token, timeout, budgets, used_for, overloaded })
    }

    /// Where an API begins.
    pub fn url(&self, api: Api) -> String {
        match api {
            Api::V2 => format!("{}/v2", self.core),
            Api::V3 => format!("{}/v3", self.core),
            Api::B2b => self.b2b.to_string(),
        }
    }

    /// Asks for something below an API's beginning: `companies/7`, with the query's names and values.
    pub async fn get(&self, api: Api, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        self.call(Method::GET, api, path, query, None).await
    }

    /// Sends a request. Success is any 2xx whose body says so too.
    pub async fn call(
        &self,
        method: Method,
        api: Api,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        let mut url = Url::parse(&format!("{}/{path}", self.url(api)))
            .map_err(|e| Error::garbled(NAME, format!("{path}: {e}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-token", self.token.clone());
        headers.insert("accept", HeaderValue::from_static("application/json"));
        if api == Api::B2b {
            // Never with the deprecated authToken: documented as unexpected results.
            headers.insert("x-store-hash", self.hash.clone());
        }
        let described = api::described(NAME, &method, &url);
        let budget = self.admit(api, &described).await?;
        let call = Call { api: NAME, method, url, headers, body, timeout: self.timeout };
        let answer = api::send(&self.client, call).await?;
        budget.note(&answer.headers);
        judge(api, answer, &described).map_err(|error| match error.kind {
            Kind::Throttled => Error { wait: error.wait.or(Some(self.overloaded)), ..error },
            _ => error,
        })
    }

    /// Takes the request out of the budget.
    async fn admit(&self, api: Api, described: &str) -> Result<&Budget, Error> {
        let budget = if api == Api::B2b { &self.budgets.b2b } else { &self.budgets.core };
        match self.used_for {
            Use::Reading => budget.admit().await,
            Use::Acting => budget.act(Instant::now()).map_err(|wait| Error {
                kind: Kind::Throttled,
                call: described.to_owned(),
                message: "the store said before that nothing is left of its budget; nothing was sent"
                    .to_owned(),
                wait: Some(wait),
                body: Json::Null,
            })?,
        }
        Ok(budget)
    }
}

fn secret(token: &SecretString) -> Result<HeaderValue, String> {
    let mut secret = HeaderValue::from_str(token.expose_secret())
        .map_err(|_| "the token holds a character that no header may have".to_owned())?;
    secret.set_sensitive(true);
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_hosts_follow_from_one_url() {
        let store = |url: &str| {
            let token = SecretString::from("t".to_owned());
            // Without a default provider of its own, reqwest has no TLS; these clients are never used.
            let tls = crate::tls::client_config(vec![]).unwrap();
            let clients = api::Clients::new(tls).unwrap();
            let pace = Pace { per_minute: 0, action_share: 0.5 };
            Store::new(url, &token, clients.of(true).clone(), Duration::from_secs(1), pace)
        };
        let real = store("https://api.bigcommerce.com/stores/abc123/").ok().unwrap();
        assert_eq!(real.url(Api::V2), "https://api.bigcommerce.com/stores/abc123/v2");
        assert_eq!(real.url(Api::B2b), "https://api-b2b.bigcommerce.com/api/v3/io");
        let fake = store("http://127.0.0.1:9/stores/abc123").ok().unwrap();
        assert_eq!(fake.url(Api::B2b), "http://127.0.0.1:9/api/v3/io");
        assert!(store("https://api.bigcommerce.com").err().unwrap().contains("/stores/<store hash>"));
    }
}
