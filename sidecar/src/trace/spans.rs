//! The spans, and how they reach the collector.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::Resource;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{Error, Origin};
use crate::config::Config;
use crate::deliver::Action;
use crate::tls;

/// A collector that does not answer must not pile up spans.
const PATIENCE: Duration = Duration::from_secs(10);

static PROVIDER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// Begins to send spans to the collector at `endpoint`.
pub fn start(endpoint: &str, config: &Config) -> Result<(), Error> {
    let wrong = |reason: String| Error::Endpoint { endpoint: endpoint.to_owned(), reason };
    let base = url::Url::parse(endpoint).map_err(|e| wrong(e.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        return Err(wrong("it is no http or https address".into()));
    }
    let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref())?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(roots)?)
        .timeout(PATIENCE)
        .build()
        .map_err(|e| wrong(e.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: tokio::runtime::Handle::current() })
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|e| wrong(e.to_string()))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_id_generator(Ids)
        .with_resource(Resource::builder().with_service_name("tradeflow").build())
        .build();
    let tracer = provider.tracer("tradeflow");
    info!(endpoint, "traces are sent");
    // Begun once a process; a second start keeps the first.
    let _ = PROVIDER.set((provider, tracer));
    Ok(())
}

/// Sends what was not sent yet, without waiting for a collector that does not answer.
pub async fn stop() {
    let Some((provider, _)) = PROVIDER.get() else { return };
    // It blocks its thread while the sending needs the runtime's.
    let ended = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(PATIENCE)).await;
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the last spans were not sent"),
        Err(error) => warn!(%error, "the last spans were not sent"),
    }
}

/// The span of an execution.
pub struct Span(opentelemetry_sdk::trace::Span);

impl Span {
    /// Begins it below the firing's span, which is sent along with the first. Its `traceparent` is for the destination.
    pub fn begin(origin: &Origin, action: &Action, target: &str, subject: &str) -> Option<(Span, String)> {
        let (_, tracer) = PROVIDER.get()?;
        let firing = Firing::of(origin, action);
        if origin.first {
            firing.send(tracer, origin, action, subject);
        }
        let parent = firing.context(firing.span, true);
        let span = tracer
            .span_builder(format!("{} {target}", action.kind))
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("tradeflow.action_id", action.id),
                KeyValue::new("tradeflow.rule", action.rule.clone()),
                KeyValue::new("tradeflow.step", i64::from(action.step)),
                KeyValue::new("tradeflow.attempt", i64::from(action.attempt)),
                KeyValue::new("tradeflow.kind", action.kind.clone()),
                KeyValue::new("tradeflow.target", target.to_owned()),
                KeyValue::new("tradeflow.subject", subject.to_owned()),
                KeyValue::new("tradeflow.idempotency_key", action.idempotency_key.clone()),
            ])
            .start_with_context(tracer, &parent);
        let own = span.span_context();
        let flags = own.trace_flags().to_u8();
        let traceparent = format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id());
        Some((Span(span), traceparent))
    }

    /// Ends it; with what became of the action and why, when it failed.
    pub fn end(mut self, failure: Option<(&str, &str)>) {
        match failure {
            None => self.0.set_status(Status::Ok),
            Some((outcome, message)) => {
                self.0.set_attribute(KeyValue::new("tradeflow.outcome", outcome.to_owned()));
                self.0.set_status(Status::error(message.to_owned()));
            }
        }
        self.0.end();
    }
}

/// The ids of a firing. They follow from its number, so that every sidecar finds the same, and nothing need be stored.
struct Firing {
    trace: TraceId,
    span: SpanId,
    /// The client's span, when its session named one.
    client: Option<SpanId>,
    flags: TraceFlags,
}

impl Firing {
    fn of(origin: &Origin, action: &Action) -> Firing {
        // The key is the installation's id and the action's: two databases never share a trace.
        let key = &action.idempotency_key;
        let installation = key.rsplit_once('-').map_or(key.as_str(), |(installation, _)| installation);
        let digest = Sha256::digest(format!("{installation}/{}", origin.firing_id));
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&digest[..16]);
        span.copy_from_slice(&digest[16..24]);
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        match origin.traceparent.as_deref().and_then(parse) {
            Some((of_client, client, flags)) => {
                Firing { trace: of_client, span, client: Some(client), flags }
            }
            None => Firing { trace, span, client: None, flags: TraceFlags::SAMPLED },
        }
    }

    fn context(&self, span: SpanId, remote: bool) -> Context {
        let context = SpanContext::new(self.trace, span, self.flags, remote, TraceState::NONE);
        Context::new().with_remote_span_context(context)
    }

    /// Sends its span: from the begin of the transaction to now, when it is executed first.
    fn send(&self, tracer: &SdkTracer, origin: &Origin, action: &Action, subject: &str) {
        let parent = self.client.map_or_else(Context::new, |client| self.context(client, true));
        Ids::next(self.trace, self.span);
        let span = tracer
            .span_builder(format!("firing {}", action.rule))
            .with_kind(SpanKind::Producer)
            .with_start_time(std::time::SystemTime::from(origin.fired_at))
            .with_attributes([
                KeyValue::new("tradeflow.firing_id", origin.firing_id),
                KeyValue::new("tradeflow.rule", action.rule.clone()),
                KeyValue::new("tradeflow.subject", subject.to_owned()),
            ])
            .start_with_context(tracer, &parent);
        drop(span);
        Ids::forget();
    }
}

/// Trace, span and flags of a header `traceparent`; the database has checked its form.
fn parse(traceparent: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some((trace, span, TraceFlags::new(flags & 1)))
}

/// Random ids, but where the next ones are known.
#[derive(Debug)]
struct Ids;

thread_local! {
    static TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
    static SPAN: Cell<Option<SpanId>> = const { Cell::new(None) };
}

impl Ids {
    /// The next span that this thread begins gets these ids.
    fn next(trace: TraceId, span: SpanId) {
        TRACE.set(Some(trace));
        SPAN.set(Some(span));
    }

    fn forget() {
        TRACE.set(None);
        SPAN.set(None);
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TRACE.take().unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        SPAN.take().unwrap_or_else(|| RandomIdGenerator::default().new_span_id())
    }
}

/// The exporter works on a thread of its own, our HTTP client on the runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sending<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let status = response.status();
            let mut answer = Response::new(response.bytes().await?);
            *answer.status_mut() = status;
            Ok::<_, HttpError>(answer)
        });
        Box::pin(async move { sending.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_firing_follow_from_its_number() {
        let action = |id: i64| Action {
            id,
            attempt: 1,
            rule: "r".into(),
            step: 1,
            name: None,
            kind: "http".into(),
            idempotency_key: format!("0f1e2d3c-0000-4000-8000-000000000000-{id}"),
            created_at: chrono::Utc::now(),
        };
        let origin = |firing_id, traceparent: Option<&str>| Origin {
            firing_id,
            traceparent: traceparent.map(str::to_owned),
            fired_at: chrono::Utc::now(),
            first: true,
        };
        let first = Firing::of(&origin(7, None), &action(1));
        let second = Firing::of(&origin(7, None), &action(2));
        assert_eq!((first.trace, first.span), (second.trace, second.span), "steps of one firing");
        assert_ne!(first.trace, Firing::of(&origin(8, None), &action(1)).trace);
        assert_eq!(first.client, None);

        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let below = Firing::of(&origin(7, Some(given)), &action(1));
        assert_eq!(below.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(below.client.unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(below.span, first.span);
        assert!(!below.flags.is_sampled(), "the client does not want it kept");
    }
}
