//! One action from its claim to its report.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{json, Value as Json};
use tokio_postgres::types::{ToSql, Type};
use tracing::{debug, warn};

use super::claim::Claimed;
use super::{context, Shared};
use crate::db;
use crate::deliver::strategy::CLAIM_ONCE;
use crate::deliver::{Action, Done, Failure, Job, Outcome, Start, Target};
use crate::metrics;
use crate::trace::Execution;

/// A line of the log about an action: which one it is, and what is said of it.
macro_rules! say {
    ($level:ident, $claimed:expr, $($more:tt)+) => {
        $level!(
            id = $claimed.action.id,
            rule = $claimed.action.rule,
            step = $claimed.action.step,
            kind = $claimed.action.kind,
            target = $claimed.target.as_deref().unwrap_or_default(),
            subject = $claimed.subject,
            attempt = $claimed.action.attempt,
            $($more)+
        )
    };
}

/// Executes an action and reports what became of it.
pub async fn run(shared: &Shared, claimed: Arc<Claimed>) {
    let began = Instant::now();
    let waited = claimed.waited + claimed.at.elapsed();
    metrics::began(&claimed.action.kind, claimed.target.as_deref().unwrap_or_default(), waited);
    let (action, target) = (&claimed.action, claimed.target.as_deref().unwrap_or_default());
    let traced = Execution::begin(&claimed.origin, action, target, &claimed.subject);
    let result = match unharmed(execute(shared, &claimed, traced.traceparent())).await {
        Ok(result) => result,
        Err(fault) => {
            let kind = shared.kinds.iter().find(|k| k.kind() == action.kind);
            let delivery = kind.map_or("", |k| k.delivery());
            Err(of_fault(delivery, shared.running.is_started(action.id), &fault))
        }
    };
    shared.hands.executed(target, began.elapsed());
    traced.end(result.as_ref().err().map(|failure| (failure.outcome.as_str(), failure.message.as_str())));
    match result {
        Ok(done) => {
            metrics::delivered(&action.kind, target, began.elapsed(), waited + began.elapsed());
            say!(debug, claimed, took_ms = began.elapsed().as_millis() as u64, "done");
            // From here on it is done, whatever the database hears of it.
            shared.running.mark_started(action.id);
            match done {
                Done::Result(result) => shared.report.complete(action, result).await,
                Done::Recorded => {
                    shared.running.remove([(action.id, action.attempt)]);
                    // What it held up in its lane may go on.
                    shared.wake.notify_one();
                }
            }
        }
        Err(failure) => {
            let (outcome, took) = (failure.outcome.as_str(), began.elapsed());
            if failure.outcome == Outcome::Cancelled {
                say!(debug, claimed, reason = failure.message, "cancelled");
            } else {
                say!(warn, claimed, outcome, error = failure.message, "failed");
            }
            if let Some(became) = super::report::fail(shared, action, failure).await {
                metrics::failed(&action.kind, target, became, took);
            }
        }
    }
}

/// Does the work, and survives its panic: a fault of ours, or of a library's, would otherwise leave an action behind that is
/// neither executed nor reported, while its lease is prolonged for ever.
async fn unharmed<T>(work: impl Future<Output = T>) -> Result<T, String> {
    // What the work held is dropped with it.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".into())
    })
}

/// What becomes of an action whose execution panicked: what cannot be repeated, and had begun, may have happened.
fn of_fault(delivery: &str, started: bool, fault: &str) -> Failure {
    let message = format!("a fault of the sidecar itself, to be reported as one: {fault}");
    if delivery == CLAIM_ONCE && started {
        Failure::uncertain(message)
    } else {
        Failure::retry(message)
    }
}

async fn execute(
    shared: &Shared,
    claimed: &Arc<Claimed>,
    traceparent: Option<&str>,
) -> Result<Done, Failure> {
    let action = &claimed.action;
    let kind = shared
        .kinds
        .iter()
        .find(|k| k.kind() == action.kind)
        .ok_or_else(|| Failure::retry(format!("this sidecar does not know kind \"{}\"", action.kind)))?;
    let template = claimed
        .params
        .as_ref()
        .map(|raw| shared.catalog.params(raw))
        .ok_or_else(|| Failure::dead("the action was deleted from tradeflow.actions after it fired"))?;
    let none = Target::none();
    let target = match kind.system() {
        None => None,
        Some(system) => {
            let name = claimed.target.as_deref().ok_or_else(|| {
                Failure::dead(format!("an action of kind \"{}\" needs a target", action.kind))
            })?;
            let target = shared.catalog.target(name).ok_or_else(|| {
                Failure::retry(format!("there is no target \"{name}\"; insert it into tradeflow.targets"))
            })?;
            if target.system != system {
                return Err(Failure::dead(format!(
                    "target \"{name}\" is of system {}, but kind \"{}\" needs one of system {}",
                    target.system.as_str(),
                    action.kind,
                    system.as_str()
                )));
            }
            Some(target)
        }
    };
    let context = context::of(claimed.clone(), shared.catalog.settings());
    let Some(params) = shared.catalog.renderer.step(&template, kind.html_params(), &context)? else {
        return Ok(Done::Result(not_wanted()));
    };
    let start = Lease { shared, action, since: claimed.at };
    let job = Job {
        action,
        target: target.as_deref().unwrap_or(&none),
        params,
        context: &context,
        renderer: &shared.catalog.renderer,
        secrets: &shared.secrets,
        start: &start,
        traceparent,
    };
    kind.deliver(job).await
}

/// The result of a step whose `when` said no.
pub fn not_wanted() -> Json {
    json!({"skipped": crate::render::WHEN})
}

/// The lease of one action.
struct Lease<'a> {
    shared: &'a Shared,
    action: &'a Action,
    since: Instant,
}

impl Lease<'_> {
    async fn ask(&self) -> Result<bool, db::Error> {
        let client = self.shared.pool.get().await?;
        let values: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.action.id, Type::INT8), (&self.action.attempt, Type::INT4)];
        let row = client.query_typed_one(include_str!("../db/started.sql"), &values).await?;
        Ok(row.try_get(0)?)
    }
}

impl Start for Lease<'_> {
    fn start(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        // Whatever the answer was, when none arrives it may have been yes.
        self.shared.running.mark_started(self.action.id);
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .without_max_times();
        let within = self.shared.lease / 2;
        let since = self.since;
        Box::pin(async move {
            (|| self.shared.answer(self.ask()))
                .retry(backoff)
                .when(move |_| since.elapsed() < within)
                .notify(|error, _| warn!(%error, "the database could not be asked whether the lease holds"))
                .await
                .map_err(|error| {
                    Failure::retry(format!(
                        "nothing was sent, since the database could not be asked whether the lease holds: {error}"
                    ))
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An execution that fails as a library might.
    async fn faulty() -> Result<Done, Failure> {
        let digits: Vec<u8> = Vec::new();
        Ok(Done::Result(json!(digits[7])))
    }

    #[tokio::test]
    async fn a_panic_ends_the_execution_and_not_the_action() {
        let fault = unharmed(faulty()).await.unwrap_err();
        assert!(fault.contains("index out of bounds"), "{fault}");
        assert_eq!(unharmed(async { 7 }).await, Ok(7));
        let outcome = |delivery, started| of_fault(delivery, started, &fault).outcome;
        assert_eq!(outcome(CLAIM_ONCE, false), Outcome::Retry);
        assert_eq!(outcome(CLAIM_ONCE, true), Outcome::Uncertain, "it may have been sent");
        assert_eq!(outcome("idempotency_key", true), Outcome::Retry, "it may be repeated");
    }
}
