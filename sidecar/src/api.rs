//! One request to a vendor's API: what came back, or why nothing did, in terms that all vendors share.
//!
//! Redirects are not followed and proxies not used: both would lead elsewhere than the target says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::Method;
use rustls::ClientConfig;
use serde_json::Value as Json;
use url::Url;

use crate::db::reason;

pub mod address;

/// Of an answer that is no JSON, so many characters go into the message.
const QUOTED: usize = 300;

/// An answer longer than this is no answer of these APIs.
const LONGEST: usize = 64 << 20;

/// HTTP clients with connections kept open. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    public: reqwest::Client,
    anywhere: reqwest::Client,
}

impl Clients {
    /// Sets up both.
    pub fn new(tls: ClientConfig) -> Result<Clients, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .user_agent(concat!("tradeflow/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Clients {
            public: builder().dns_resolver(Arc::new(address::PublicOnly)).build()?,
            anywhere: builder().build()?,
        })
    }

    /// The client of a target: unless it allows private addresses, they are refused, also those a name resolves to.
    pub fn of(&self, allow_private: bool) -> &reqwest::Client {
        if allow_private {
            &self.anywhere
        } else {
            &self.public
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Call<'a> {
    /// Whom it goes to, for messages: `BigCommerce`.
    pub api: &'static str,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<&'a Json>,
    /// For the whole exchange.
    pub timeout: Duration,
}

/// What came back, whatever the status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as JSON with its digits kept; null when it is empty; the beginning as text of what is no JSON, which only
    /// answers that are no success have.
    pub body: Json,
}

impl Answer {
    /// A header's number: the digits it begins with (`0.397 s`, `150 times`).
    pub fn number(&self, header: &str) -> Option<f64> {
        let text = self.headers.get(header)?.to_str().ok()?.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].parse().ok()
    }

    /// `Retry-After`, as seconds or as a date.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get("retry-after")?.to_str().ok()?;
        crate::deliver::http::retry_after(text, chrono::Utc::now())
    }
}

/// What is known of a request that brought no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It never left: nothing happened.
    Unreachable,
    /// It left, and no or no whole answer came: it may have happened.
    Lost,
    /// 5xx: it may have happened.
    Failed(u16),
    /// An answer that is not what the API answers, such as HTML: it may have happened.
    Garbled,
    /// Not now (a lock, a migration): nothing happened.
    Busy(u16),
    /// Too many requests: nothing happened, and nothing else should be sent for a while.
    Throttled,
    /// The token, or what it may do: nothing happened, and nothing else will.
    Denied(u16),
    /// Not like this: nothing happened, and it will not.
    Refused(u16),
}

/// A request without success.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: Kind,
    /// What was asked of whom.
    pub call: String,
    /// What the other side said, or what went wrong.
    pub message: String,
    /// Not before.
    pub wait: Option<Duration>,
    /// The answer's body.
    pub body: Json,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, said) = (&self.call, &self.message);
        match self.kind {
            Kind::Unreachable => write!(f, "{call}: it cannot be reached: {said}"),
            Kind::Lost => write!(f, "{call}: no answer came back ({said}); it may have been done"),
            Kind::Failed(status) => write!(f, "{call}: it failed with status {status}: {said}"),
            Kind::Garbled => write!(f, "{call}: the answer is not what this API answers: {said}"),
            Kind::Busy(status) => write!(f, "{call}: not now (status {status}): {said}"),
            Kind::Throttled => write!(f, "{call}: too many requests: {said}"),
            Kind::Denied(status) => write!(f, "{call}: refused with status {status}: {said}; check the target's secret, and what its token may do"),
            Kind::Refused(status) => write!(f, "{call}: refused with status {status}: {said}"),
        }
    }
}

impl Error {
    /// Whether it may have been done all the same.
    pub fn may_have_happened(&self) -> bool {
        matches!(self.kind, Kind::Lost | Kind::Failed(_) | Kind::Garbled)
    }

    /// Refused with this status.
    pub fn is(&self, status: u16) -> bool {
        self.kind == Kind::Refused(status)
    }

    /// An answer that lacks what must be in it.
    pub fn garbled(call: &str, message: impl Into<String>) -> Error {
        let kind = Kind::Garbled;
        Error { kind, call: call.to_owned(), message: message.into(), wait: None, body: Json::Null }
    }
}

/// Appends a path below the base, each part escaped, and a query.
pub fn go_to(url: &mut Url, path: &[&str], query: &[(&str, &str)]) {
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
}

/// What is asked, for messages: without the query, which may name people.
pub fn described(api: &str, method: &Method, url: &Url) -> String {
    format!("{api}: {method} {}", url.path())
}

/// Sends a request and reads the answer, whatever its status.
pub async fn send(client: &reqwest::Client, call: Call<'_>) -> Result<Answer, Error> {
    let described = described(call.api, &call.method, &call.url);
    let error = |kind, message: String| Error {
        kind,
        call: described.clone(),
        message,
        wait: None,
        body: Json::Null,
    };
    let mut request = client.request(call.method, call.url).headers(call.headers);
    if let Some(body) = call.body {
        request = request.header("content-type", HeaderValue::from_static("application/json"));
        request = request.body(body.to_string());
    }
    let exchange = async {
        let mut response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST {
                break;
            }
        }
        Ok::<_, reqwest::Error>((status, headers, bytes))
    };
    let (status, headers, bytes) = match tokio::time::timeout(call.timeout, exchange).await {
        Ok(Ok(received)) => received,
        Ok(Err(e)) => match refused(&e) {
            Some(refused) => return Err(error(Kind::Refused(0), refused)),
            None if e.is_connect() => return Err(error(Kind::Unreachable, reason(&e.without_url()))),
            None => return Err(error(Kind::Lost, reason(&e.without_url()))),
        },
        Err(_) => {
            let limit = humantime::format_duration(call.timeout);
            return Err(error(Kind::Lost, format!("nothing within {limit}")));
        }
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Answer { status, headers, body: Json::Null });
    }
    match serde_json::from_slice(&bytes) {
        Ok(body) => Ok(Answer { status, headers, body }),
        Err(_) if !(200..300).contains(&status) => {
            let body = Json::String(beginning(&bytes));
            Ok(Answer { status, headers, body })
        }
        Err(e) => Err(error(Kind::Garbled, format!("{} (status {status}; {e})", no_json(&headers, &bytes)))),
    }
}

/// What came instead of JSON.
fn no_json(headers: &HeaderMap, bytes: &[u8]) -> String {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match content_type {
        kind if kind.contains("html") => format!("an HTML page instead of JSON: {}", beginning(bytes)),
        kind if kind.contains("json") => "JSON that breaks off or is damaged".to_owned(),
        _ => format!("no JSON: {}", beginning(bytes)),
    }
}

/// The first words of a text, on one line.
pub fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * QUOTED)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// A private address that the target does not allow.
fn refused(error: &reqwest::Error) -> Option<String> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<address::Refused>() {
            return Some(refused.to_string());
        }
        source = inner.source();
    }
    None
}

/// Refuses an address that stands in a URL itself; names are checked when they are resolved.
pub fn check_literal(url: &Url, allow_private: bool) -> Result<(), address::Refused> {
    let literal = match url.host() {
        Some(url::Host::Ipv4(v4)) => v4.into(),
        Some(url::Host::Ipv6(v6)) => v6.into(),
        _ => return Ok(()),
    };
    if allow_private || !address::is_private(literal) {
        return Ok(());
    }
    Err(address::Refused { host: url.host_str().unwrap_or_default().to_owned(), address: literal })
}
