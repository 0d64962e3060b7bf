//! OAuth 2, client credentials: tokens are fetched from the target's token_url, and kept until shortly before they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde_json::Value as Json;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;

use crate::api::{self, check_literal};
use crate::db::reason;
use crate::deliver::{Failure, Job, Target};

/// A token is not used in its last minute: the request must arrive before its end.
const MARGIN: Duration = Duration::from_secs(60);

/// When the server does not say how long a token lasts.
const USUAL: Duration = Duration::from_secs(300);

/// The tokens of all targets.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<String, Arc<AsyncMutex<Option<Token>>>>>);

struct Token {
    revision: String,
    text: String,
    until: Instant,
}

impl Tokens {
    fn slot(&self, target: &Target) -> Arc<AsyncMutex<Option<Token>>> {
        let mut slots = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        slots.entry(target.name.clone()).or_default().clone()
    }

    /// A valid token of the job's target; fetched once for all who wait.
    pub async fn token(&self, client: &reqwest::Client, job: &Job<'_>) -> Result<String, Failure> {
        let slot = self.slot(job.target);
        let mut kept = slot.lock().await;
        if let Some(token) = kept.as_ref() {
            if token.revision == job.target.revision && token.until > Instant::now() {
                return Ok(token.text.clone());
            }
        }
        let (text, lasts) = fetch(client, job).await?;
        let until = Instant::now() + lasts.saturating_sub(MARGIN).max(lasts / 2);
        *kept = Some(Token { revision: job.target.revision.clone(), text: text.clone(), until });
        Ok(text)
    }

    /// The next request fetches a new one.
    pub fn forget(&self, target: &Target) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&target.name);
    }
}

async fn fetch(client: &reqwest::Client, job: &Job<'_>) -> Result<(String, Duration), Failure> {
    let target = job.target;
    let wrong = |what: String| Failure::retry(format!("target \"{}\": {what}", target.name));
    let address = target
        .token_url
        .as_deref()
        .ok_or_else(|| wrong("auth is oauth2, but it has no token_url; set targets.token_url".into()))?;
    let url = Url::parse(address).map_err(|e| wrong(format!("token_url {address} is no URL: {e}")))?;
    check_literal(&url, target.allow_private)
        .map_err(|e| Failure::dead(format!("target \"{}\": {e}", target.name)))?;
    let reference = target.secret.as_deref().ok_or_else(|| {
        wrong(
            "auth is oauth2, but it names no secret; set targets.secret to where the client secret is".into(),
        )
    })?;
    let secret = job.secrets.read(reference)?;
    let user = target.username.as_deref().unwrap_or_default();
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("client_id", user),
        ("client_secret", secret.expose_secret()),
    ];
    pairs.extend(target.scope.as_deref().map(|scope| ("scope", scope)));
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let sending = client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(form)
        .send();
    let exchange = async {
        let response = sending.await?;
        let status = response.status().as_u16();
        Ok::<_, reqwest::Error>((status, response.bytes().await?))
    };
    let (status, bytes) = tokio::time::timeout(target.timeout, exchange)
        .await
        .map_err(|_| wrong("token_url does not answer".into()))?
        .map_err(|e| wrong(format!("no token: {}", reason(&e.without_url()))))?;
    let body: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    if status != 200 {
        let said = body.get("error_description").or_else(|| body.get("error")).and_then(Json::as_str);
        let said = said.map_or_else(|| api::beginning(&bytes), str::to_owned);
        return Err(wrong(format!("token_url answered {status}: {said}")));
    }
    let text = body.get("access_token").and_then(Json::as_str).filter(|t| !t.is_empty());
    let text = text.ok_or_else(|| wrong("token_url answered without an access_token".into()))?.to_owned();
    let lasts = body.get("expires_in").and_then(crate::bigcommerce::value::int).filter(|s| *s > 0);
    Ok((text, lasts.map_or(USUAL, |s| Duration::from_secs(s as u64))))
}
