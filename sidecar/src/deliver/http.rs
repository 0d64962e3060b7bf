//! Kind `http`: one request to the target's host, its response as the result.

use futures_util::future::BoxFuture;
use serde_json::{json, Value as Json};

use super::{Deliver, Done, Failure, Job, System, Target};
use crate::api::address::Refused;
use crate::api::Clients;
use crate::db::reason;

mod oauth;
mod probe;
mod request;
mod response;

pub use probe::Answered;
pub use response::retry_after;

/// Sends HTTP requests over connections kept open.
pub struct Http {
    clients: Clients,
    tokens: oauth::Tokens,
    response_limit: usize,
}

impl Http {
    /// Reads at most `response_limit` bytes of a response.
    pub fn new(clients: Clients, response_limit: usize) -> Http {
        Http { clients, tokens: oauth::Tokens::default(), response_limit }
    }

    async fn send(&self, job: Job<'_>) -> Result<Json, Failure> {
        let mut prepared = request::prepare(&job)?;
        let client = self.clients.of(job.target.allow_private);
        let oauth = job.target.auth == "oauth2";
        let mut again = oauth;
        let received = loop {
            if oauth {
                let token = self.tokens.token(client, &job).await?;
                request::bear(&mut prepared.headers, &token, job.target)?;
            }
            let received = self.exchange(client, &prepared, job.target).await?;
            // A token may be taken back before its time: one more try with a new one.
            if received.status != 401 || !again {
                break received;
            }
            again = false;
            self.tokens.forget(job.target);
        };
        response::judge(&received, &prepared.expect, &job.target.name)?;
        Ok(json!({
            "status": received.status, "headers": received.headers, "body": received.body,
            "truncated": received.truncated, "request": prepared.shown,
        }))
    }

    async fn exchange(
        &self,
        client: &reqwest::Client,
        prepared: &request::Prepared,
        target: &Target,
    ) -> Result<response::Received, Failure> {
        let sending = async {
            let sent = client
                .request(prepared.method.clone(), prepared.url.clone())
                .headers(prepared.headers.clone())
                .body(prepared.body.clone())
                .send()
                .await
                .map_err(|e| failure(&target.name, &e))?;
            response::read(sent, self.response_limit).await.map_err(|e| failure(&target.name, &e))
        };
        tokio::time::timeout(prepared.timeout, sending).await.map_err(|_| {
            let limit = humantime::format_duration(prepared.timeout);
            Failure::retry(format!("target \"{}\" did not answer within {limit}", target.name))
        })?
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

    fn system(&self) -> Option<System> {
        Some(System::Http)
    }

    fn preview(&self, job: &Job<'_>) -> Result<Json, Failure> {
        Ok(request::build(job)?.shown)
    }

    fn delivery(&self) -> &'static str {
        "idempotency_key"
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { self.send(job).await.map(Done::Result) })
    }
}
