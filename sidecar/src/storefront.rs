//! `GET /storefront/messages`: what kind `storefront_message` stored for the buyer who asks.
//!
//! Who asks is told by the store: its "current customer" token, a JWT of 15 minutes that the storefront's script gets from
//! the store itself and that is signed with the app's client secret. Only the store's own pages may read the answer (CORS).

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::{HeaderMap, HeaderValue};
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use ring::hmac;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{json, Value};
use tokio_postgres::types::{ToSql, Type};
use tracing::warn;

use crate::bigcommerce::value;
use crate::config;
use crate::db;
use crate::secret::Secrets;

/// The script that a merchant pastes into the theme.
const SCRIPT: &str = include_str!("storefront/messages.js");

/// The clocks of the store and of this host may differ by so many seconds.
const SKEW: i64 = 60;

struct Storefront {
    pool: db::Pool,
    config: config::Storefront,
    secrets: Secrets,
}

/// The customer that a token names.
#[derive(Debug, PartialEq, Eq)]
pub struct Customer {
    pub id: i64,
    pub email: String,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Disbelief {
    #[error("there is no token: send Authorization: Bearer <the store's current customer token>")]
    Absent,
    #[error("the token is no JWT of this store")]
    Malformed,
    #[error("the token is signed with another key")]
    Signature,
    #[error("the token has ended; fetch a new one")]
    Ended,
    #[error("the token is for another app")]
    Audience,
    #[error("the token names no customer: nobody is signed in")]
    Nobody,
}

/// The routes, when storefront.origins is set.
pub fn router(pool: db::Pool, config: &config::Storefront, secrets: &config::Secrets) -> Option<Router> {
    if config.origins.is_empty() {
        return None;
    }
    let state = Storefront { pool, config: config.clone(), secrets: Secrets::new(secrets) };
    let routes = Router::new()
        .route("/storefront/messages", get(messages).options(preflight))
        .route("/storefront/messages.js", get(script));
    Some(routes.with_state(Arc::new(state)))
}

async fn script() -> Response {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "max-age=300")],
        SCRIPT,
    )
        .into_response()
}

async fn preflight(State(storefront): State<Arc<Storefront>>, headers: HeaderMap) -> Response {
    storefront.allow(&headers, StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Asked {
    page: Option<String>,
}

async fn messages(
    State(storefront): State<Arc<Storefront>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let answer = match storefront.answer(&headers, asked.page.as_deref()).await {
        Ok(body) => (StatusCode::OK, Json(body)).into_response(),
        Err((status, reason)) => (status, Json(json!({"error": reason}))).into_response(),
    };
    storefront.allow(&headers, answer)
}

impl Storefront {
    /// Lets the store's pages read the answer, and nobody keep it.
    fn allow(&self, asked: &HeaderMap, mut answer: Response) -> Response {
        let headers = answer.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let origin = asked.get(header::ORIGIN).filter(|origin| {
            origin.to_str().is_ok_and(|origin| self.config.origins.iter().any(|allowed| allowed == origin))
        });
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        answer
    }

    async fn answer(&self, headers: &HeaderMap, page: Option<&str>) -> Result<Value, (StatusCode, String)> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = bearer.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        let broken = |reason: String| {
            warn!(reason, "the storefront's messages cannot be served");
            (StatusCode::SERVICE_UNAVAILABLE, "not available now".to_owned())
        };
        let secret = self.secrets.read(&self.config.client_secret).map_err(|e| broken(e.to_string()))?;
        let now = chrono::Utc::now().timestamp();
        let customer = verify(token, secret.expose_secret().as_bytes(), &self.config.client_id, now)
            .map_err(|disbelief| (StatusCode::UNAUTHORIZED, disbelief.to_string()))?;
        let client = self.pool.get().await.map_err(|e| broken(e.to_string()))?;
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&customer.id, Type::INT8), (&customer.email, Type::TEXT), (&page, Type::TEXT)];
        let sql = "select coalesce(jsonb_agg(jsonb_build_object('key', m.key, 'page', m.page, 'level', m.level, 'text', m.text, 'data', m.data, 'created_at', m.created_at)
                     order by m.created_at desc), '[]') from tradeflow.messages_for($1, $2, $3) m";
        let row = client.query_typed_one(sql, &values).await.map_err(|e| broken(db::reason(&e)))?;
        let messages: Value = row.try_get(0).map_err(|e| broken(db::reason(&e)))?;
        Ok(json!({"messages": messages}))
    }
}

/// Believes a current customer token, or says why not.
pub fn verify(token: &str, secret: &[u8], client_id: &str, now: i64) -> Result<Customer, Disbelief> {
    if token.is_empty() {
        return Err(Disbelief::Absent);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return Err(Disbelief::Malformed) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Disbelief::Malformed);
    let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| Disbelief::Malformed);
    // The algorithm is one of the store's two, never one that the token wishes for.
    let algorithm = match json(header)?["alg"].as_str() {
        Some("HS256") => hmac::HMAC_SHA256,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => return Err(Disbelief::Malformed),
    };
    let key = hmac::Key::new(algorithm, secret);
    let signed = format!("{header}.{claims}");
    hmac::verify(&key, signed.as_bytes(), &decode(signature)?).map_err(|_| Disbelief::Signature)?;
    let claims = json(claims)?;
    let ends = claims["exp"].as_i64().ok_or(Disbelief::Malformed)?;
    let begins = claims["iat"].as_i64().unwrap_or(now);
    if ends + SKEW < now || begins > now + SKEW {
        return Err(Disbelief::Ended);
    }
    let audience = [&claims["aud"], &claims["application_id"]];
    if !audience.iter().any(|aud| aud.as_str() == Some(client_id)) {
        return Err(Disbelief::Audience);
    }
    let customer = &claims["customer"];
    let id = value::int(&customer["id"]).filter(|id| *id > 0).ok_or(Disbelief::Nobody)?;
    Ok(Customer { id, email: customer["email"].as_str().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(alg: &str, secret: &str, claims: Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({"alg": alg, "typ": "JWT"})), encode(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    #[test]
    fn only_the_stores_own_tokens_are_believed() {
        let claims = |exp: i64, aud: &str, id: i64| json!({"customer": {"id": id, "email": "a@example.com"}, "iat": 900, "exp": exp, "aud": aud});
        let verify = |token: &str| verify(token, b"secret", "app", 1000);
        let good = token("HS256", "secret", claims(1900, "app", 7));
        assert_eq!(verify(&good), Ok(Customer { id: 7, email: "a@example.com".into() }));
        assert_eq!(verify(""), Err(Disbelief::Absent));
        assert_eq!(verify("a.b"), Err(Disbelief::Malformed));
        assert_eq!(verify(&token("none", "secret", claims(1900, "app", 7))), Err(Disbelief::Malformed));
        assert_eq!(verify(&token("HS256", "guess", claims(1900, "app", 7))), Err(Disbelief::Signature));
        assert_eq!(verify(&token("HS256", "secret", claims(900, "app", 7))), Err(Disbelief::Ended));
        assert_eq!(verify(&token("HS256", "secret", claims(1900, "other", 7))), Err(Disbelief::Audience));
        assert_eq!(verify(&token("HS256", "secret", claims(1900, "app", 0))), Err(Disbelief::Nobody));
    }
}
