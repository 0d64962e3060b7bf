//! Whether a target answers, and accepts who we are, without asking it to do anything.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::{failure, request, Http};
use crate::api::check_literal;
use crate::deliver::{Failure, Target};
use crate::secret::Secrets;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a target answered to a request for its base_url.
#[derive(Debug)]
pub struct Answered {
    /// HEAD, or GET where the destination has no HEAD.
    pub method: Method,
    pub status: StatusCode,
    /// Where it would send us, which we do not follow.
    pub location: Option<String>,
}

impl Http {
    /// Asks for the head of the target's base_url, with its credentials.
    pub async fn probe(&self, target: &Target, secrets: &Secrets) -> Result<Answered, Failure> {
        let wrong = |why: String| Failure::retry(format!("base_url {} is no URL: {why}", target.base_url));
        let url = Url::parse(&target.base_url).map_err(|e| wrong(e.to_string()))?;
        if url.host().is_none() {
            return Err(wrong("it names no host".into()));
        }
        check_literal(&url, target.allow_private).map_err(|refused| Failure::dead(refused.to_string()))?;
        let mut headers = HeaderMap::new();
        request::authorize(target, secrets, &mut headers)?;
        let answered = self.ask(target, &url, &headers, Method::HEAD).await?;
        match answered.status {
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                self.ask(target, &url, &headers, Method::GET).await
            }
            _ => Ok(answered),
        }
    }

    async fn ask(
        &self,
        target: &Target,
        url: &Url,
        headers: &HeaderMap,
        method: Method,
    ) -> Result<Answered, Failure> {
        let sending = self
            .clients
            .of(target.allow_private)
            .request(method.clone(), url.clone())
            .headers(headers.clone())
            .send();
        let limit = target.timeout.min(PATIENCE);
        let response = tokio::time::timeout(limit, sending)
            .await
            .map_err(|_| {
                Failure::retry(format!("it does not answer within {}", humantime::format_duration(limit)))
            })?
            .map_err(|e| failure(&target.name, &e))?;
        let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Answered { method, status: response.status(), location })
    }
}
