//! Kind `http`: one request to the target's host, its response as the result.
//!
//! Redirects are not followed and proxies not used: both would lead elsewhere than the target says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use serde_json::{json, Value as Json};

use super::{Deliver, Failure, Job, System, Target};
use crate::db::reason;

mod address;
mod probe;
mod request;
mod response;

pub use address::Refused;
pub use probe::Answered;

/// Sends HTTP requests over connections kept open.
pub struct Http {
    /// Refuses private addresses, also those a name resolves to.
    public: reqwest::Client,
    /// For targets that allow private addresses.
    anywhere: reqwest::Client,
    response_limit: usize,
}

impl Http {
    /// Reads at most `response_limit` bytes of a response.
    pub fn new(tls: ClientConfig, response_limit: usize) -> Result<Http, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .user_agent(concat!("tradeflow/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Http {
            public: builder().dns_resolver(Arc::new(address::PublicOnly)).build()?,
            anywhere: builder().build()?,
            response_limit,
        })
    }

    /// The client that may go where the target allows.
    fn client(&self, target: &Target) -> &reqwest::Client {
        match target.allow_private {
            true => &self.anywhere,
            false => &self.public,
        }
    }

    async fn send(&self, job: Job<'_>) -> Result<Json, Failure> {
        let prepared = request::prepare(&job)?;
        let client = self.client(job.target);
        let sending = async {
            let sent = client
                .request(prepared.method, prepared.url)
                .headers(prepared.headers)
                .body(prepared.body)
                .send()
                .await
                .map_err(|e| failure(&job.target.name, &e))?;
            response::read(sent, self.response_limit).await.map_err(|e| failure(&job.target.name, &e))
        };
        let received = tokio::time::timeout(prepared.timeout, sending).await.map_err(|_| {
            let limit = humantime::format_duration(prepared.timeout);
            Failure::retry(format!("target \"{}\" did not answer within {limit}", job.target.name))
        })??;
        response::judge(&received, &prepared.expect, &job.target.name)?;
        Ok(json!({
            "status": received.status, "headers": received.headers, "body": received.body,
            "truncated": received.truncated, "request": prepared.shown,
        }))
    }
}

/// The kind may be repeated, so whatever is lost under way is tried again.
fn failure(target: &str, error: &reqwest::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Failure::dead(format!("target \"{target}\": {refused}"));
        }
        source = inner.source();
    }
    // Without the URL: what is in its query is in the request already.
    Failure::retry(format!("target \"{target}\": {}", reason(error)))
}

impl Deliver for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn system(&self) -> System {
        System::Http
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(self.send(job))
    }
}
