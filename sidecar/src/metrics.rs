//! What `/metrics` counts. Names and labels are said here alone; docs/operations.md explains them.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, Label, SharedString,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::Value as Json;

const BUILD: &str = "tradeflow_build_info";
const CLAIMED: &str = "tradeflow_claimed_total";
const CLAIM_DURATION: &str = "tradeflow_claim_duration_seconds";
const DELIVERED: &str = "tradeflow_delivered_total";
const FAILED: &str = "tradeflow_failed_total";
const REFUSED: &str = "tradeflow_refused_total";
const QUEUE_LATENCY: &str = "tradeflow_queue_latency_seconds";
const DURATION: &str = "tradeflow_execution_duration_seconds";
const LATENCY: &str = "tradeflow_delivery_latency_seconds";
const EXECUTING: &str = "tradeflow_executing";
const CONCURRENCY: &str = "tradeflow_concurrency";
const TICK_AGE: &str = "tradeflow_last_tick_age_seconds";
const QUEUE: &str = "tradeflow_queue_actions";
const OLDEST: &str = "tradeflow_queue_oldest_ready_seconds";
const INCIDENTS: &str = "tradeflow_incidents_open";
const RULES: &str = "tradeflow_rules";
const PAUSED: &str = "tradeflow_target_paused";
const BREAKER: &str = "tradeflow_target_breaker";
const THROTTLED: &str = "tradeflow_target_throttled";
const FAILURES: &str = "tradeflow_target_failures";
const SIDECARS: &str = "tradeflow_sidecars";
const SYNC_LAG: &str = "tradeflow_sync_lag_seconds";
const HEALTH_AGE: &str = "tradeflow_health_age_seconds";

/// From a connection in the same room to a mail server that thinks for a minute.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Begins counting. The handle writes the text that Prometheus reads; none when something else counts already.
pub fn install() -> Option<PrometheusHandle> {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(suffix, &SECONDS).ok()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe_gauge!(BUILD, "Always 1; its labels are the versions of sidecar and extension.");
    describe_counter!(CLAIMED, "Actions this sidecar claimed.");
    describe_histogram!(CLAIM_DURATION, "How long a claim took.");
    describe_counter!(DELIVERED, "Actions this sidecar executed with success.");
    describe_counter!(
        FAILED,
        "Attempts of this sidecar that failed, by what became of the action: retry, not_yet (what it needs is not there yet), dead, uncertain, cancelled (not wanted any more), lost (the lease was, before it began)."
    );
    describe_counter!(REFUSED, "Reports of this sidecar that were refused because the lease was lost.");
    describe_histogram!(
        QUEUE_LATENCY,
        "From the time an action was due (or its transaction began) to the begin of its execution, by the database's clock."
    );
    describe_histogram!(DURATION, "How long an execution took.");
    describe_histogram!(
        LATENCY,
        "From the time an action was due (or its transaction began) to its success."
    );
    describe_gauge!(EXECUTING, "Actions this sidecar executes now.");
    describe_gauge!(CONCURRENCY, "Actions this sidecar may execute at the same time.");
    describe_gauge!(TICK_AGE, "Since the database last answered this sidecar's tick().");
    describe_gauge!(QUEUE, "Actions in the outbox by state, kind and target. The same from every sidecar.");
    describe_gauge!(
        OLDEST,
        "How long the oldest ready action of a target has been due. The same from every sidecar."
    );
    describe_gauge!(INCIDENTS, "Open incidents by kind. The same from every sidecar.");
    describe_gauge!(
        RULES,
        "Rules by status: live, shadow, off, invalid, paused. The same from every sidecar."
    );
    describe_gauge!(PAUSED, "1: a person paused the target. The same from every sidecar.");
    describe_gauge!(
        BREAKER,
        "Circuit breaker of a target: 0 closed, 1 half-open, 2 open. The same from every sidecar."
    );
    describe_gauge!(
        THROTTLED,
        "1: the target asked not to be called for a while. The same from every sidecar."
    );
    describe_gauge!(FAILURES, "Transient failures of a target in a row. The same from every sidecar.");
    describe_gauge!(SIDECARS, "Sidecars that run. The same from every sidecar.");
    describe_gauge!(
        SYNC_LAG,
        "Since the last successful sync of a resource began. The same from every sidecar."
    );
    describe_gauge!(
        HEALTH_AGE,
        "How old the figures of the database are: those that are the same from every sidecar."
    );
    Some(handle)
}

/// Which versions run.
pub fn build(extension: &str) {
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION"), "extension" => extension.to_owned()).set(1.0);
}

/// A claim that brought these kinds.
pub fn claimed<'a>(took: Duration, kinds: impl Iterator<Item = &'a str>) {
    histogram!(CLAIM_DURATION).record(took);
    for kind in kinds {
        counter!(CLAIMED, "kind" => kind.to_owned()).increment(1);
    }
}

/// An execution begins, so long after it could have.
pub fn began(kind: &str, target: &str, waited: Duration) {
    histogram!(QUEUE_LATENCY, "kind" => kind.to_owned(), "target" => target.to_owned()).record(waited);
}

/// An execution that succeeded; `latency` since it was due.
pub fn delivered(kind: &str, target: &str, took: Duration, latency: Duration) {
    let labels = [("kind", kind.to_owned()), ("target", target.to_owned())];
    histogram!(DURATION, &labels).record(took);
    histogram!(LATENCY, &labels).record(latency);
    counter!(DELIVERED, &labels).increment(1);
}

/// An execution that failed, and what became of the action: retry, not_yet, dead, uncertain, cancelled, lost.
pub fn failed(kind: &str, target: &str, outcome: &'static str, took: Duration) {
    let labels = [("kind", kind.to_owned()), ("target", target.to_owned())];
    histogram!(DURATION, &labels).record(took);
    let [kind, target] = labels;
    counter!(FAILED, &[kind, target, ("outcome", outcome.to_owned())]).increment(1);
}

/// A report that the database refused.
pub fn refused(kind: &str) {
    counter!(REFUSED, "kind" => kind.to_owned()).increment(1);
}

/// What this sidecar does now.
pub fn sidecar(tick_age: Duration, executing: usize, concurrency: usize) {
    gauge!(TICK_AGE).set(tick_age.as_secs_f64());
    gauge!(EXECUTING).set(executing as f64);
    gauge!(CONCURRENCY).set(concurrency as f64);
}

/// A figure's name and labels.
type Series = (&'static str, Vec<(&'static str, String)>);

/// Figures of the database that were shown last: what is there no longer becomes zero.
#[derive(Default)]
pub struct Shown(Mutex<HashSet<Series>>);

impl Shown {
    /// Shows what `tradeflow.health()` said; nothing while it is counted for the first time.
    pub fn show(&self, health: &Json) {
        if health["taken_at"].is_null() {
            return;
        }
        let mut now = HashSet::new();
        let mut set = |name: &'static str, labels: Vec<(&'static str, String)>, value: f64| {
            put(name, &labels, value);
            now.insert((name, labels));
        };
        let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let flag = |row: &Json, key: &str| f64::from(u8::from(row[key].as_bool().unwrap_or(false)));
        let mut oldest: Vec<(String, f64)> = Vec::new();
        for row in list(&health["queue"]) {
            let (state, kind, target) = (text(row, "state"), text(row, "kind"), text(row, "target"));
            if let Some(lag) = row["lag"].as_f64() {
                match oldest.iter_mut().find(|(of, _)| *of == target) {
                    Some((_, longest)) => *longest = longest.max(lag),
                    None => oldest.push((target.clone(), lag)),
                }
            }
            set(QUEUE, vec![("state", state), ("kind", kind), ("target", target)], number(&row["actions"]));
        }
        for target in list(&health["targets"]) {
            let name = text(target, "target");
            let labels = || vec![("target", name.clone())];
            let breaker = match target["breaker"].as_str() {
                Some("open") => 2.0,
                Some("half_open") => 1.0,
                _ => 0.0,
            };
            if !oldest.iter().any(|(of, _)| *of == name) {
                oldest.push((name.clone(), 0.0));
            }
            set(PAUSED, labels(), flag(target, "paused"));
            set(BREAKER, labels(), breaker);
            set(THROTTLED, labels(), flag(target, "throttled"));
            set(FAILURES, labels(), number(&target["failures"]));
        }
        for (target, lag) in oldest {
            set(OLDEST, vec![("target", target)], lag);
        }
        for (kind, open) in health["incidents"].as_object().into_iter().flatten() {
            set(INCIDENTS, vec![("kind", kind.clone())], number(open));
        }
        for (status, rules) in health["rules"].as_object().into_iter().flatten() {
            set(RULES, vec![("status", status.clone())], number(rules));
        }
        for resource in list(&health["sync"]) {
            set(SYNC_LAG, vec![("resource", text(resource, "resource"))], number(&resource["lag"]));
        }
        set(SIDECARS, Vec::new(), number(&health["sidecars"]));
        set(HEALTH_AGE, Vec::new(), number(&health["age"]));
        let mut shown = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (name, labels) in shown.difference(&now) {
            put(name, labels, 0.0);
        }
        *shown = now;
    }
}

fn put(name: &'static str, labels: &[(&'static str, String)], value: f64) {
    let labels: Vec<Label> =
        labels.iter().map(|(key, text)| Label::new(*key, SharedString::from(text.clone()))).collect();
    gauge!(name, labels).set(value);
}

fn list(rows: &Json) -> &[Json] {
    rows.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or(0.0)
}
