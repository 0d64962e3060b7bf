//! Tells the database what became of actions: successes in batches, failures one by one, neither ever lost while
//! this process lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::{json, Value as Json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{timeout_at, Instant};
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::raw::RawJson;
use super::Shared;
use crate::db;
use crate::deliver::{Action, Failure, Outcome};
use crate::metrics;

/// An executed action.
#[derive(Debug)]
pub struct Completion {
    id: i64,
    attempt: i32,
    rule: String,
    kind: String,
    result: RawJson,
}

/// Results that are sent in one statement hold no more bytes than this, unless a single one does: the server takes no message
/// of a gigabyte.
const MOST_BYTES: usize = 32 << 20;

/// How many from the first on are sent together.
fn fit(batch: &[Completion]) -> usize {
    let mut bytes = 0;
    let within = batch.iter().take_while(|one| {
        bytes += one.result.text().len();
        bytes <= MOST_BYTES
    });
    within.count().max(1)
}

/// Where executions leave their completions.
pub struct Sender(Mutex<Option<mpsc::Sender<Completion>>>);

/// As many completions may wait as two batches hold: then executions wait too, and nothing more is claimed.
pub fn channel(batch: usize) -> (Sender, mpsc::Receiver<Completion>) {
    let (sender, receiver) = mpsc::channel(batch.saturating_mul(2));
    (Sender(Mutex::new(Some(sender))), receiver)
}

impl Sender {
    /// Hands over a success.
    pub async fn complete(&self, action: &Action, mut result: Json) {
        make_storable(&mut result);
        let completion = Completion {
            id: action.id,
            attempt: action.attempt,
            rule: action.rule.clone(),
            kind: action.kind.clone(),
            result: RawJson::of(&result),
        };
        let sender = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let sent = match sender {
            Some(sender) => sender.send(completion).await.is_ok(),
            None => false,
        };
        if !sent {
            error!(id = action.id, "its completion could not be written any more: the sidecar is leaving");
        }
    }

    /// No completion comes any more.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    }
}

/// Writes completions until the channel is closed and empty, or `halt`.
pub async fn run(
    shared: Arc<Shared>,
    mut completions: mpsc::Receiver<Completion>,
    most: usize,
    flush: Duration,
    halt: CancellationToken,
) {
    let mut batch = Vec::with_capacity(most);
    // What the database refuses for reasons of its own is tried again, each beside all others.
    let mut aside = JoinSet::new();
    while completions.recv_many(&mut batch, most).await > 0 {
        let deadline = Instant::now() + flush;
        // There is nothing to wait for when all that runs is in the batch.
        while batch.len() < most.min(shared.running.len()) {
            let room = most - batch.len();
            match timeout_at(deadline, completions.recv_many(&mut batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        if halt.run_until_cancelled(write(&shared, &mut batch, &mut aside)).await.is_none() {
            return;
        }
        while aside.try_join_next().is_some() {}
        // What these actions held up in their lanes may go on.
        shared.wake.notify_one();
    }
    halt.run_until_cancelled(async { while aside.join_next().await.is_some() {} }).await;
}

/// Writes a batch; when the database refuses it, one by one, so that a bad one spoils no other.
async fn write(shared: &Arc<Shared>, batch: &mut Vec<Completion>, aside: &mut JoinSet<()>) {
    while !batch.is_empty() {
        let part: Vec<Completion> = batch.drain(..fit(batch)).collect();
        if complete(shared, &part, Refusal::is).await.is_ok() {
            heard(shared, &part);
            continue;
        }
        let alone = part.len() == 1;
        for one in part {
            let first = if alone {
                None
            } else {
                complete(shared, std::slice::from_ref(&one), Refusal::is).await.ok()
            };
            match first {
                Some(()) => heard(shared, std::slice::from_ref(&one)),
                None => drop(aside.spawn(insist(shared.clone(), one))),
            }
        }
    }
}

/// Tries until the database takes a completion, without its result if that cannot be stored.
async fn insist(shared: Arc<Shared>, mut one: Completion) {
    let refused = match complete(&shared, std::slice::from_ref(&one), Refusal::is_of_data).await {
        Ok(()) => Ok(()),
        Err(error) => {
            warn!(id = one.id, rule = one.rule, %error, "its result cannot be stored; it is completed without");
            one.result = RawJson::of(&json!({"request": null, "not_stored": error.to_string()}));
            complete(&shared, std::slice::from_ref(&one), Refusal::is_of_data).await
        }
    };
    if let Err(error) = refused {
        error!(id = one.id, rule = one.rule, %error, "a completion could not be written; its lease will end by itself");
    }
    heard(&shared, std::slice::from_ref(&one));
    shared.wake.notify_one();
}

/// There is nothing more to say of these.
fn heard(shared: &Shared, completions: &[Completion]) {
    shared.running.remove(completions.iter().map(|one| (one.id, one.attempt)));
}

/// Tries until the database answers; an error is a refusal of the kind that is asked for.
async fn complete(
    shared: &Shared,
    batch: &[Completion],
    refusal: fn(&db::Error) -> bool,
) -> Result<(), db::Error> {
    let ids: Vec<i64> = batch.iter().map(|c| c.id).collect();
    let attempts: Vec<i32> = batch.iter().map(|c| c.attempt).collect();
    let results: Vec<&RawJson> = batch.iter().map(|c| &c.result).collect();
    let once = || async {
        let client = shared.pool.get().await?;
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&ids, Type::INT8_ARRAY), (&attempts, Type::INT4_ARRAY), (&results, Type::JSONB_ARRAY)];
        Ok(client.query_typed(include_str!("../db/complete.sql"), &values).await?)
    };
    let repeated = AtomicBool::new(false);
    let rows = (|| shared.answer(once()))
        .retry(forever())
        .when(|error: &db::Error| !refusal(error))
        .notify(|error, pause| {
            repeated.store(true, Ordering::Relaxed);
            warn!(%error, completions = batch.len(), retry_in_ms = pause.as_millis() as u64, "completions could not be written yet")
        })
        .await?;
    let mut refused = rows.iter().map(|row| row.try_get::<_, i64>("id")).collect::<Result<Vec<_>, _>>()?;
    if !refused.is_empty() && repeated.into_inner() {
        let before = done_before(shared, &refused).await;
        refused.retain(|id| !before.contains(id));
    }
    for one in batch.iter().filter(|one| refused.contains(&one.id)) {
        metrics::refused(&one.kind);
        warn!(
            id = one.id,
            rule = one.rule,
            attempt = one.attempt,
            "completion refused: the lease was lost, another attempt may have done it too"
        );
    }
    Ok(())
}

/// Which of these this worker has completed already: an earlier try of which no answer arrived.
async fn done_before(shared: &Shared, ids: &[i64]) -> Vec<i64> {
    let asking = async {
        let client = shared.pool.get().await?;
        let values: [(&(dyn ToSql + Sync), Type); 2] =
            [(&ids, Type::INT8_ARRAY), (&shared.worker, Type::TEXT)];
        let rows = client.query_typed(include_str!("../db/done_before.sql"), &values).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    };
    shared
        .answer(asking)
        .await
        .inspect_err(|error| warn!(%error, "it could not be asked whether completions had been heard before"))
        .unwrap_or_default()
}

/// Reports a failed attempt. What became of the action: retry, not_yet, dead, uncertain, cancelled, lost; none when it was not ours any more.
pub async fn fail(shared: &Shared, action: &Action, failure: Failure) -> Option<&'static str> {
    let mut became = Some(failure.outcome.as_str());
    if failure.outcome != Outcome::Lost {
        let message = failure.message.replace('\0', "\u{fffd}");
        let wait = failure.retry_after.map(|d| d.as_secs_f64());
        let once = || async {
            let client = shared.pool.get().await?;
            let outcome = failure.outcome.as_str();
            let values: [(&(dyn ToSql + Sync), Type); 6] = [
                (&action.id, Type::INT8),
                (&action.attempt, Type::INT4),
                (&message, Type::TEXT),
                (&outcome, Type::TEXT),
                (&wait, Type::FLOAT8),
                (&failure.throttle, Type::BOOL),
            ];
            let row = client.query_typed_one(include_str!("../db/fail.sql"), &values).await?;
            Ok(row.try_get::<_, Option<String>>(0)?)
        };
        let repeated = AtomicBool::new(false);
        let state = (|| shared.answer(once()))
            .retry(forever())
            .when(|error: &db::Error| !Refusal::is_of_data(error))
            .notify(|error, pause| {
                repeated.store(true, Ordering::Relaxed);
                warn!(%error, id = action.id, retry_in_ms = pause.as_millis() as u64, "a failure could not be written yet")
            })
            .await;
        match state {
            // The last attempt of a retry is death.
            Ok(Some(state)) if state == "dead" => became = Some(Outcome::Dead.as_str()),
            Ok(Some(_)) => {}
            // An earlier try may have been heard; whether it was is told by the action itself.
            Ok(None) if repeated.into_inner() => {
                became = None;
                warn!(
                    id = action.id,
                    attempt = action.attempt,
                    "its failure was reported before, or its lease was lost"
                )
            }
            Ok(None) => {
                became = None;
                metrics::refused(&action.kind);
                warn!(id = action.id, attempt = action.attempt, "failure refused: the lease was lost")
            }
            Err(error) => {
                error!(id = action.id, %error, "a failure could not be written; its lease will end by itself")
            }
        }
    }
    shared.running.remove([(action.id, action.attempt)]);
    shared.wake.notify_one();
    became
}

fn forever() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .without_max_times()
}

/// What the database does not take. Everything else passes, or an operator mends it, for all alike.
struct Refusal;

impl Refusal {
    /// It is about this report: its data, or a constraint that it meets with.
    fn is(error: &db::Error) -> bool {
        Refusal::is_of_data(error) || error.sqlstate().is_some_and(|code| code.starts_with("23"))
    }

    /// Trying again is useless: the classes of data and limit errors. A constraint is not about the result, whose links and
    /// pushes are put as they come: a partition that is being attached, a check that somebody added; it may be gone the next time.
    fn is_of_data(error: &db::Error) -> bool {
        error.sqlstate().is_some_and(|code| ["22", "54"].iter().any(|class| code.starts_with(class)))
    }
}

/// Postgres' jsonb holds no NUL.
fn make_storable(json: &mut Json) {
    match json {
        Json::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Json::Array(items) => items.iter_mut().for_each(make_storable),
        Json::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                let pairs = std::mem::take(map).into_iter();
                *map = pairs.map(|(key, value)| (key.replace('\0', "\u{fffd}"), value)).collect();
            }
            map.values_mut().for_each(make_storable);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_results_are_not_sent_together() {
        let of = |bytes: usize| Completion {
            id: 1,
            attempt: 1,
            rule: String::new(),
            kind: String::new(),
            result: RawJson::of(&json!("x".repeat(bytes - 2))),
        };
        let third = MOST_BYTES / 3;
        assert_eq!(fit(&[of(third), of(third), of(third), of(third)]), 3);
        assert_eq!(fit(&[of(MOST_BYTES + 1), of(3)]), 1, "one is sent whatever it holds");
        assert_eq!(fit(&[of(3), of(MOST_BYTES)]), 1);
    }

    #[test]
    fn nul_never_reaches_jsonb() {
        let mut json = json!({"a\u{0}": ["x\u{0}y", {"b": "\u{0}"}], "n": 1});
        make_storable(&mut json);
        assert_eq!(json, json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}], "n": 1}));
    }
}
