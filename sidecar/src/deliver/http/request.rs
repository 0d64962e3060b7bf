//! From parameters to a request.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{json, Map, Value as Json};
use standardwebhooks::Webhook;
use url::Url;

use crate::api::check_literal;
use crate::deliver::{Failure, Job, System, Target};
use crate::secret::Secrets;

/// Headers that the connection or the target decides.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-tradeflow-id",
];

/// A request ready to send, and what is remembered of it.
#[derive(Debug)]
pub struct Prepared {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub timeout: Duration,
    /// Statuses that mean success; empty: every 2xx.
    pub expect: Vec<u16>,
    /// The request without secrets.
    pub shown: Json,
}

/// Builds the request of a job, with its secrets.
pub fn prepare(job: &Job<'_>) -> Result<Prepared, Failure> {
    let mut prepared = build(job)?;
    authorize(job.target, job.secrets, &mut prepared.headers)?;
    sign(job, &prepared.body, &mut prepared.headers)?;
    Ok(prepared)
}

/// Builds the request of a job as far as it can be shown.
pub fn build(job: &Job<'_>) -> Result<Prepared, Failure> {
    let params = &job.params;
    let method = method(params)?;
    let url = url(params, job.target)?;
    let mut headers = HeaderMap::new();
    let mut shown_headers = Map::new();
    for (source, place) in
        [(Some(&job.target.headers), "target.headers"), (params.get("headers"), "params.headers")]
    {
        for (name, value) in pairs(source, place)? {
            if RESERVED.contains(&name.to_lowercase().as_str()) {
                return Err(Failure::dead(format!("{place}.{name}: this header is set by tradeflow")));
            }
            headers.insert(header_name(&name, place)?, header_value(&value, &format!("{place}.{name}"))?);
            shown_headers.insert(name.to_lowercase(), Json::String(value));
        }
    }
    let body = body(params, &mut headers)?;
    headers.insert("idempotency-key", header_value(&job.action.idempotency_key, "idempotency-key")?);
    headers.insert("x-tradeflow-id", header_value(&job.action.idempotency_key, "x-tradeflow-id")?);
    if let Some(traceparent) = job.traceparent.filter(|_| !headers.contains_key("traceparent")) {
        headers.insert("traceparent", header_value(traceparent, "traceparent")?);
    }
    let shown = json!({
        "method": method.as_str(), "url": url.as_str(), "headers": shown_headers,
        "body": params.get("body").cloned().unwrap_or(Json::Null), "idempotency_key": job.action.idempotency_key,
    });
    let timeout = timeout(params)?.map_or(job.target.timeout, |asked| asked.min(job.target.timeout));
    Ok(Prepared { method, url, headers, body, timeout, expect: expect(params)?, shown })
}

fn method(params: &Json) -> Result<Method, Failure> {
    match params.get("method") {
        None | Some(Json::Null) => Ok(Method::POST),
        Some(Json::String(name)) => match name.to_uppercase().as_str() {
            "GET" => Ok(Method::GET),
            "HEAD" => Ok(Method::HEAD),
            "POST" => Ok(Method::POST),
            "PUT" => Ok(Method::PUT),
            "PATCH" => Ok(Method::PATCH),
            "DELETE" => Ok(Method::DELETE),
            _ => Err(Failure::dead(format!(
                "params.method: GET, HEAD, POST, PUT, PATCH or DELETE, not \"{name}\""
            ))),
        },
        Some(other) => Err(Failure::dead(format!("params.method: text such as \"POST\", not {other}"))),
    }
}

/// Where it goes: `url`, or `path` below the target's base, or the base itself; always the target's host.
fn url(params: &Json, target: &Target) -> Result<Url, Failure> {
    let base = Url::parse(&target.base_url).map_err(|e| {
        Failure::retry(format!("target \"{}\": base_url {} is no URL: {e}", target.name, target.base_url))
    })?;
    let text = |key: &str| match params.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(Json::Number(_)) | Some(_) => Err(Failure::dead(format!("params.{key}: text"))),
    };
    let mut url = match (text("url")?, text("path")?) {
        (Some(_), Some(_)) => return Err(Failure::dead("params: url or path, not both")),
        (None, None) => base.clone(),
        (Some(url), None) => {
            Url::parse(url).map_err(|e| Failure::dead(format!("params.url: \"{url}\" is no URL: {e}")))?
        }
        (None, Some(path)) => below(&base, path)?,
    };
    let same = |a: &Url, b: &Url| {
        a.scheme() == b.scheme()
            && a.host() == b.host()
            && a.port_or_known_default() == b.port_or_known_default()
    };
    if !same(&url, &base) || !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::dead(format!(
            "params.url: {}://{} is not the host of target \"{}\" ({}); requests go nowhere else",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            target.name,
            base.origin().ascii_serialization()
        )));
    }
    let query = pairs(params.get("query"), "params.query")?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url.set_fragment(None);
    check_literal(&url, target.allow_private)
        .map_err(|refused| Failure::dead(format!("target \"{}\": {refused}", target.name)))?;
    Ok(url)
}

/// `https://host/v3` and `quotes/7?full=1` make `https://host/v3/quotes/7?full=1`.
fn below(base: &Url, path: &str) -> Result<Url, Failure> {
    let decoded = path.to_lowercase().replace("%2e", ".");
    let climbs = decoded.split(['/', '\\', '?', '#']).any(|segment| segment == "..");
    if climbs {
        return Err(Failure::dead(format!("params.path: \"{path}\" leads out of the target's base_url")));
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut url = base.clone();
    let joined = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
    url.set_path(&joined);
    if query.is_some() {
        url.set_query(query);
    }
    Ok(url)
}

fn body(params: &Json, headers: &mut HeaderMap) -> Result<Vec<u8>, Failure> {
    let given = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_lowercase();
    match params.get("body") {
        None => Ok(Vec::new()),
        // Another type than JSON is text that the author wrote out.
        Some(Json::String(text)) if !given.is_empty() && !given.contains("json") => {
            Ok(text.clone().into_bytes())
        }
        Some(body) => {
            if given.is_empty() {
                headers.insert("content-type", HeaderValue::from_static("application/json"));
            }
            serde_json::to_vec(body).map_err(|e| Failure::dead(format!("params.body: {e}")))
        }
    }
}

/// Adds what the target asks of those who call it.
pub fn authorize(target: &Target, secrets: &Secrets, headers: &mut HeaderMap) -> Result<(), Failure> {
    // A token of OAuth 2 is fetched when the request is sent; Google's takes a signature.
    let vendor = matches!(target.system, System::BigCommerce | System::HubSpot);
    if target.auth == "oauth2" || (target.auth == "none" && !vendor) {
        return Ok(());
    }
    let Some(reference) = &target.secret else {
        return Err(Failure::retry(format!(
            "target \"{}\": auth is {}, but it names no secret; set targets.secret to env:NAME or file:/path",
            target.name, target.auth
        )));
    };
    let secret = secrets.read(reference)?;
    let (name, text) = match target.auth.split_once(':') {
        None if target.system == System::BigCommerce => ("x-auth-token", secret.expose_secret().to_owned()),
        None if target.auth == "bearer" || target.system == System::HubSpot => {
            ("authorization", format!("Bearer {}", secret.expose_secret()))
        }
        None if target.auth == "basic" => {
            let user = target.username.as_deref().unwrap_or_default();
            ("authorization", format!("Basic {}", base64(&format!("{user}:{}", secret.expose_secret()))))
        }
        Some(("header", name)) => (name, secret.expose_secret().to_owned()),
        _ => {
            return Err(Failure::retry(format!(
                "target \"{}\": auth {} is unknown",
                target.name, target.auth
            )))
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Failure::retry(format!("secret {reference}: it holds a character that no header may have"))
    })?;
    value.set_sensitive(true);
    headers.insert(header_name(name, "target.auth")?, value);
    Ok(())
}

/// Sends a token with the request.
pub fn bear(headers: &mut HeaderMap, token: &str, target: &Target) -> Result<(), Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Failure::retry(format!(
            "target \"{}\": the token holds a character that no header may have",
            target.name
        ))
    })?;
    value.set_sensitive(true);
    headers.insert("authorization", value);
    Ok(())
}

/// Standard Webhooks: the receiver can tell that it was us, and that it is no replay.
fn sign(job: &Job<'_>, body: &[u8], headers: &mut HeaderMap) -> Result<(), Failure> {
    let Some(reference) = &job.target.signing_secret else { return Ok(()) };
    let secret = job.secrets.read(reference)?;
    let wrong = |why: String| Failure::retry(format!("signing secret {reference}: {why}"));
    let webhook = Webhook::new(secret.expose_secret())
        .map_err(|_| wrong("it must be base64, with or without whsec_ before it".into()))?;
    let now = chrono::Utc::now().timestamp();
    let id = &job.action.idempotency_key;
    let signature = webhook.sign(id, now, body).map_err(|e| wrong(e.to_string()))?;
    headers.insert("webhook-id", header_value(id, "webhook-id")?);
    headers.insert("webhook-timestamp", HeaderValue::from(now));
    headers.insert("webhook-signature", header_value(&signature, "webhook-signature")?);
    Ok(())
}

fn expect(params: &Json) -> Result<Vec<u16>, Failure> {
    let one = |value: &Json| {
        let number = value.as_u64().or_else(|| value.as_str().and_then(|s| s.trim().parse().ok()));
        number
            .and_then(|n| u16::try_from(n).ok())
            .filter(|n| (100..600).contains(n))
            .ok_or_else(|| Failure::dead(format!("params.expect: a status such as 200, not {value}")))
    };
    match params.get("expect") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(all)) => all.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

fn timeout(params: &Json) -> Result<Option<Duration>, Failure> {
    let wrong = |value: &Json| {
        Failure::dead(format!("params.timeout: seconds, or text such as \"10s\", not {value}"))
    };
    match params.get("timeout") {
        None | Some(Json::Null) => Ok(None),
        Some(value @ Json::Number(n)) => {
            let seconds = n.as_f64().filter(|s| *s > 0.0 && *s < 86_400.0).ok_or_else(|| wrong(value))?;
            Ok(Some(Duration::from_secs_f64(seconds)))
        }
        Some(value @ Json::String(text)) => {
            humantime::parse_duration(text).map(Some).map_err(|_| wrong(value))
        }
        Some(value) => Err(wrong(value)),
    }
}

/// Names and texts of an object; null ones fall away.
fn pairs(object: Option<&Json>, place: &str) -> Result<Vec<(String, String)>, Failure> {
    let map = match object {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Object(map)) => map,
        Some(_) => return Err(Failure::dead(format!("{place}: an object of names and texts"))),
    };
    let mut all = Vec::new();
    for (name, value) in map {
        match value {
            Json::Null => {}
            Json::String(text) => all.push((name.clone(), text.clone())),
            Json::Number(n) => all.push((name.clone(), n.to_string())),
            Json::Bool(b) => all.push((name.clone(), b.to_string())),
            other => return Err(Failure::dead(format!("{place}.{name}: text, not {other}"))),
        }
    }
    Ok(all)
}

fn header_name(name: &str, place: &str) -> Result<HeaderName, Failure> {
    name.parse().map_err(|_| Failure::dead(format!("{place}: \"{name}\" is no name of a header")))
}

fn header_value(text: &str, place: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|_| Failure::dead(format!("{place}: a header is one line of visible characters")))
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[cfg(test)]
mod tests;
