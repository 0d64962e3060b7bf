//! Traces from the change to the delivery (W3C Trace Context).
//!
//! A session that changes rows may say which trace it belongs to: `set tradeflow.traceparent = '00-…'`. The outbox keeps
//! it with each action. HTTP deliveries carry it on. With feature `otel` and `traces.endpoint` two kinds of span are sent
//! to an OpenTelemetry collector: the firing, from the begin of the change's transaction to the first claim, below the
//! client's span; and below it one span for each execution, whose id goes to the destination.

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::deliver::Action;
use crate::tls;

#[cfg(feature = "otel")]
mod spans;

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("configuration: traces.endpoint is set, but this tradeflow was built without traces\nhint: cargo build --release -p tradeflow-sidecar --features otel; or leave traces.endpoint empty")]
    NotBuilt,
    #[error("configuration: traces.endpoint {endpoint}: {reason}\nhint: the base address of an OTLP/HTTP collector, such as http://localhost:4318")]
    Endpoint { endpoint: String, reason: String },
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// Where an action comes from.
#[derive(Debug, Clone)]
// Without feature otel only the traceparent is passed on.
#[cfg_attr(not(feature = "otel"), allow(dead_code))]
pub struct Origin {
    pub firing_id: i64,
    /// The trace of the change, if its session named one.
    pub traceparent: Option<String>,
    /// The begin of the transaction that fired.
    pub fired_at: DateTime<Utc>,
    /// Whether this is the firing's first execution.
    pub first: bool,
}

/// One execution, as traces see it.
pub struct Execution {
    traceparent: Option<String>,
    #[cfg(feature = "otel")]
    span: Option<spans::Span>,
}

/// Begins tracing, if `traces.endpoint` says where to.
pub fn start(config: &Config) -> Result<(), Error> {
    match config.traces.endpoint.as_str() {
        "" => Ok(()),
        #[cfg(feature = "otel")]
        endpoint => spans::start(endpoint, config),
        #[cfg(not(feature = "otel"))]
        _ => Err(Error::NotBuilt),
    }
}

/// Sends what was not sent yet.
pub async fn stop() {
    #[cfg(feature = "otel")]
    spans::stop().await;
}

impl Execution {
    /// An execution begins.
    pub fn begin(origin: &Origin, action: &Action, target: &str, subject: &str) -> Execution {
        #[cfg(feature = "otel")]
        if let Some((span, traceparent)) = spans::Span::begin(origin, action, target, subject) {
            return Execution { traceparent: Some(traceparent), span: Some(span) };
        }
        let _ = (action, target, subject);
        Execution {
            traceparent: origin.traceparent.clone(),
            #[cfg(feature = "otel")]
            span: None,
        }
    }

    /// The header `traceparent` for the destination.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// The execution ends, with what became of the action and why, when it failed.
    pub fn end(self, failure: Option<(&str, &str)>) {
        #[cfg(feature = "otel")]
        if let Some(span) = self.span {
            span.end(failure);
        }
        let _ = failure;
    }
}
