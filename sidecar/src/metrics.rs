//! What `/metrics` counts. Names and labels are said here alone.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const CLAIMED: &str = "tradeflow_claimed_total";
const CLAIM_DURATION: &str = "tradeflow_claim_duration_seconds";
const DELIVERED: &str = "tradeflow_delivered_total";
const FAILED: &str = "tradeflow_failed_total";
const REFUSED: &str = "tradeflow_refused_total";
const LATENCY: &str = "tradeflow_delivery_latency_seconds";
const DURATION: &str = "tradeflow_execution_duration_seconds";
const QUEUE: &str = "tradeflow_queue_actions";
const OLDEST: &str = "tradeflow_queue_oldest_ready_seconds";
const TICK_AGE: &str = "tradeflow_last_tick_age_seconds";

/// From a connection in the same room to a mail server that thinks for a minute.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// A row of queue.sql.
#[derive(Debug)]
pub struct QueueRow {
    pub state: String,
    pub kind: String,
    pub target: String,
    pub actions: i64,
    pub lag: Option<f64>,
}

/// Begins counting. The handle writes the text that Prometheus reads; none when something else counts already.
pub fn install() -> Option<PrometheusHandle> {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(suffix, &SECONDS).ok()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe_counter!(CLAIMED, "Actions this sidecar claimed.");
    describe_histogram!(CLAIM_DURATION, "How long a claim took.");
    describe_counter!(DELIVERED, "Actions executed with success.");
    describe_counter!(
        FAILED,
        "Failed attempts by outcome: retry, dead, uncertain, lost (the lease was, before it began)."
    );
    describe_counter!(REFUSED, "Completions refused because the lease was lost.");
    describe_histogram!(
        LATENCY,
        "From the time an action was due (or committed) to its end, by the clocks of both hosts."
    );
    describe_histogram!(DURATION, "How long an execution took.");
    describe_gauge!(QUEUE, "Actions in the outbox by state, kind and target.");
    describe_gauge!(OLDEST, "How long the oldest ready action has been due.");
    describe_gauge!(TICK_AGE, "Since the database last answered tick().");
    Some(handle)
}

/// A claim that brought these kinds.
pub fn claimed<'a>(took: Duration, kinds: impl Iterator<Item = &'a str>) {
    histogram!(CLAIM_DURATION).record(took);
    for kind in kinds {
        counter!(CLAIMED, "kind" => kind.to_owned()).increment(1);
    }
}

/// An execution that succeeded; `latency` since it was due.
pub fn delivered(kind: &str, target: &str, took: Duration, latency: Duration) {
    let labels = [("kind", kind.to_owned()), ("target", target.to_owned())];
    histogram!(DURATION, &labels).record(took);
    histogram!(LATENCY, &labels).record(latency);
    counter!(DELIVERED, &labels).increment(1);
}

/// An execution that failed.
pub fn failed(kind: &str, target: &str, outcome: &'static str, took: Duration) {
    let labels = [("kind", kind.to_owned()), ("target", target.to_owned())];
    histogram!(DURATION, &labels).record(took);
    let [kind, target] = labels;
    counter!(FAILED, &[kind, target, ("outcome", outcome.to_owned())]).increment(1);
}

pub fn refused(kind: &str) {
    counter!(REFUSED, "kind" => kind.to_owned()).increment(1);
}

pub fn tick_age(age: Duration) {
    gauge!(TICK_AGE).set(age.as_secs_f64());
}

/// The queue as it is now; what was there before and is no longer becomes zero.
pub fn queue(before: &mut Vec<QueueRow>, now: Vec<QueueRow>) {
    let labels = |row: &QueueRow| {
        [("state", row.state.clone()), ("kind", row.kind.clone()), ("target", row.target.clone())]
    };
    for gone in before.iter() {
        gauge!(QUEUE, &labels(gone)).set(0.0);
    }
    for row in &now {
        gauge!(QUEUE, &labels(row)).set(row.actions as f64);
    }
    let oldest = now.iter().filter_map(|row| row.lag).fold(0.0, f64::max);
    gauge!(OLDEST).set(oldest);
    *before = now;
}
