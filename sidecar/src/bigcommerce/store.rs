//! One request to a store, as its target says: for actions, which are tried again by the outbox and not here.
//!
//! Each API says success, failure and its limits in its own way; here they all say [`Answer`] or [`api::Error`]. The
//! vendor's behaviour is that of its public documentation; field reports are named where they are followed.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use url::Url;

use super::value;
use crate::api::{self, Answer, Call, Error, Kind};

const NAME: &str = "BigCommerce";

/// The host of B2B Edition, beside core's `api.bigcommerce.com`.
const B2B_HOST: &str = "https://api-b2b.bigcommerce.com";

/// A 429 without headers means that the platform is overloaded, not that we are too fast: back off longer.
const OVERLOADED: Duration = Duration::from_secs(60);

/// One store's APIs.
pub struct Store {
    client: reqwest::Client,
    core: Url,
    b2b: Url,
    hash: HeaderValue,
    token: HeaderValue,
    timeout: Duration,
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    V2,
    V3,
    B2b,
}

/// Requests left, when the store says so. Absent on unlimited plans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    pub left: u32,
    /// Until the window begins anew.
    pub resets_after: Duration,
}

impl Store {
    /// `base_url` is core's, with the store's hash: `https://api.bigcommerce.com/stores/abc123`. B2B Edition is at its own
    /// host when core is at the vendor's, and on the same one otherwise (a proxy, a test).
    pub fn new(
        base_url: &str,
        token: &SecretString,
        client: reqwest::Client,
        timeout: Duration,
    ) -> Result<Store, String> {
        let wrong = |why: &str| {
            format!("base_url {base_url}: {why}; write https://api.bigcommerce.com/stores/<store hash>")
        };
        let core = Url::parse(base_url.trim_end_matches('/')).map_err(|e| wrong(&format!("no URL ({e})")))?;
        let segments: Vec<&str> = core.path_segments().map(Iterator::collect).unwrap_or_default();
        let ["stores", hash] = segments.as_slice() else {
            return Err(wrong("its path is not /stores/<hash>"));
        };
        let b2b = match core.host_str() {
            Some("api.bigcommerce.com") => B2B_HOST.to_owned(),
            _ => core.origin().ascii_serialization(),
        };
        let b2b = Url::parse(&format!("{b2b}/api/v3/io")).map_err(|e| wrong(&e.to_string()))?;
        let mut secret = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| "the token holds a character that no header may have".to_owned())?;
        secret.set_sensitive(true);
        let hash = HeaderValue::from_str(hash).map_err(|_| wrong("the hash is not one"))?;
        Ok(Store { client, b2b, hash, token: secret, timeout, core })
    }

    /// Where an API begins.
    pub fn url(&self, area: Area) -> String {
        match area {
            Area::V2 => format!("{}/v2", self.core),
            Area::V3 => format!("{}/v3", self.core),
            Area::B2b => self.b2b.to_string(),
        }
    }

    /// Asks for something below an API's beginning: `companies/7`, with the query's names and values.
    pub async fn get(&self, area: Area, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        self.call(Method::GET, area, path, query, None).await
    }

    /// Sends a request. Success is any 2xx whose body says so too.
    pub async fn call(
        &self,
        method: Method,
        area: Area,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        let mut url = Url::parse(&format!("{}/{path}", self.url(area)))
            .map_err(|e| Error::garbled(NAME, format!("{path}: {e}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-token", self.token.clone());
        headers.insert("accept", HeaderValue::from_static("application/json"));
        if area == Area::B2b {
            // Never with the deprecated authToken: documented as unexpected results.
            headers.insert("x-store-hash", self.hash.clone());
        }
        let described = api::described(NAME, &method, &url);
        let call = Call { api: NAME, method, url, headers, body, timeout: self.timeout };
        let answer = api::send(&self.client, call).await?;
        judge(area, answer, &described)
    }
}

/// Requests left, as B2B Edition (`X-Requests-Remaining: 150 times`) and core say it.
pub fn budget(answer: &Answer) -> Option<Budget> {
    let b2b = answer.number("x-requests-remaining").zip(answer.number("x-request-window-resets-after"));
    let core = answer
        .number("x-rate-limit-requests-left")
        .zip(answer.number("x-rate-limit-time-reset-ms").map(|ms| ms / 1000.0));
    let (left, seconds) = b2b.or(core)?;
    Some(Budget { left: left as u32, resets_after: Duration::try_from_secs_f64(seconds).ok()? })
}

/// Success, or what there is instead.
fn judge(area: Area, answer: Answer, described: &str) -> Result<Answer, Error> {
    let mut status = answer.status;
    if (200..300).contains(&status) {
        if area != Area::B2b {
            return Ok(answer);
        }
        // The specification has bodies with an error's code among the examples of HTTP 200.
        match answer.body.get("code").and_then(value::int) {
            Some(code) if (200..300).contains(&code) => return Ok(answer),
            Some(code) => status = u16::try_from(code).unwrap_or(500),
            None => {
                let found = api::beginning(answer.body.to_string().as_bytes());
                return Err(Error::garbled(described, format!("there is no code in it: {found}")));
            }
        }
    }
    let mut wait = answer.retry_after();
    let kind = match status {
        401 | 403 => Kind::Denied(status),
        408 | 425 => Kind::Busy(status),
        429 => {
            wait = wait
                .or(budget(&answer).map(|b| b.resets_after.max(Duration::from_secs(1))))
                .or(Some(OVERLOADED));
            Kind::Throttled
        }
        // 507: the plan's limit of objects is reached; nothing changes by itself.
        507 => Kind::Refused(status),
        500.. => Kind::Failed(status),
        _ => Kind::Refused(status),
    };
    let mut message = message(&answer.body);
    if status == 500 && area == Area::B2b {
        message.push_str(" (a wrong store hash in the target's base_url looks like this too)");
    }
    Err(Error { kind, call: described.to_owned(), message, wait, body: answer.body })
}

/// What a body says went wrong, in any of the shapes these APIs have.
fn message(body: &Json) -> String {
    let data = body.get("data");
    let first = body.as_array().and_then(|list| list.first());
    let found = [
        data.and_then(|d| d.get("errMsg")),
        data.and_then(|d| d.get("errors")),
        body.get("errors").filter(|e| !is_empty(e)),
        first.and_then(|f| f.get("message")),
        body.get("title"),
        body.pointer("/meta/message"),
        body.get("message"),
        data.filter(|d| !is_empty(d)),
    ];
    let found = found.into_iter().flatten().next().unwrap_or(body);
    let title = body.get("title").and_then(Json::as_str).filter(|_| body.get("errors").is_some());
    let text = api::beginning(flat(found).as_bytes());
    match title {
        Some(title) => format!("{title}: {text}"),
        None => text,
    }
}

fn is_empty(value: &Json) -> bool {
    value.is_null()
        || value.as_object().is_some_and(|o| o.is_empty())
        || value.as_array().is_some_and(|a| a.is_empty())
}

/// Maps of fields and lists of messages as one line: `companyName: This field is required.`
fn flat(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "no reason was given".into(),
        Json::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join("; "),
        Json::Object(map) => {
            map.iter().map(|(key, inner)| format!("{key}: {}", flat(inner))).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
