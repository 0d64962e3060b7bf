//! What it means to execute an action: one trait, one implementation a kind.

use std::time::Duration;

use futures_util::future::BoxFuture;
use minijinja::value::Value;
use serde_json::Value as Json;

use crate::api;
use crate::bigcommerce::Pace;
use crate::db;
use crate::render::{self, Renderer};
use crate::secret::{self, Secrets};

mod account;
mod batch;
pub mod bigcommerce;
pub mod email;
pub mod http;
pub mod hubspot;
pub mod in_database;
mod lock;
pub mod noop;
mod params;
pub mod sheets;
pub mod strategy;
mod target;
#[cfg(test)]
mod testing;

pub use target::{System, Target};

/// One claimed action with everything that executing it needs.
pub struct Job<'a> {
    pub action: &'a Action,
    pub target: &'a Target,
    /// The action's parameters, rendered.
    pub params: Json,
    /// What templates read.
    pub context: &'a Value,
    pub renderer: &'a Renderer,
    pub secrets: &'a Secrets,
    /// Asked before what cannot be taken back.
    pub start: &'a (dyn Start + Sync),
    /// The trace it belongs to, for destinations that take such a header.
    pub traceparent: Option<&'a str>,
}

/// An action as `tradeflow.claim()` returns it, less what only the executor needs.
#[derive(Debug, Clone)]
pub struct Action {
    pub id: i64,
    pub attempt: i32,
    pub rule: String,
    pub step: i32,
    pub name: Option<String>,
    pub kind: String,
    pub idempotency_key: String,
    /// When it fired.
    pub created_at: chrono::DateTime<chrono::Utc>,
}

/// What all kinds share that speak to an API or need the database.
pub struct Tools {
    pub clients: api::Clients,
    pub pool: db::Pool,
    pub locks: lock::Locks,
    /// Of stores on BigCommerce.
    pub pace: Pace,
}

impl Tools {
    /// `holder` signs locks; `lease` is how long one is held without a sign of life.
    pub fn new(clients: api::Clients, pool: db::Pool, holder: &str, lease: Duration, pace: Pace) -> Tools {
        let locks = lock::Locks::new(pool.clone(), holder, lease);
        Tools { clients, pool, locks, pace }
    }
}

/// An executed action.
#[derive(Debug)]
pub enum Done {
    /// The result, a JSON object whose key `request` is the request without secrets; `links` and `pushed` are remembered.
    Result(Json),
    /// The effect is in the database, and the completion with it.
    Recorded,
}

/// Says in the database that something irreversible begins.
pub trait Start {
    /// False: the lease is lost, do not begin.
    fn start(&self) -> BoxFuture<'_, Result<bool, Failure>>;
}

/// A kind of action.
pub trait Deliver: Send + Sync {
    /// The name in `action_kinds`.
    fn kind(&self) -> &'static str;

    /// The system a target of this kind must be of; none: it needs no target, and is given none.
    fn system(&self) -> Option<System>;

    /// What keeps a repeat from harming, as `action_kinds.delivery` says it: the name of its [`strategy::Strategy`], or
    /// `idempotency_key`, where the other side is told what a repeat is.
    fn delivery(&self) -> &'static str;

    /// Parameters that are templates of HTML: values are escaped in them.
    fn html_params(&self) -> &'static [&'static str] {
        &[]
    }

    /// What executing would send, without secrets and without sending it: the key `request` of the result.
    fn preview(&self, job: &Job<'_>) -> Result<Json, Failure> {
        Ok(job.params.clone())
    }

    /// Executes.
    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>>;
}

/// What becomes of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not happen; again later.
    Retry,
    /// The same, and no fault of the target: what it needs is not there yet, or somebody else is at it.
    NotYet,
    /// It did not happen and will not, until somebody mends it.
    Dead,
    /// It may have happened.
    Uncertain,
    /// It did not happen and is not wanted any more, nor is what would follow: somebody decided otherwise meanwhile.
    Cancelled,
    /// The lease was lost before it began: somebody else has it now.
    Lost,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Retry => "retry",
            Outcome::NotYet => "not_yet",
            Outcome::Dead => "dead",
            Outcome::Uncertain => "uncertain",
            Outcome::Cancelled => "cancelled",
            Outcome::Lost => "lost",
        }
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub outcome: Outcome,
    pub message: String,
    /// Not before this long, when the other side said so.
    pub retry_after: Option<Duration>,
    /// The other side asked not to be called at all meanwhile.
    pub throttle: bool,
}

impl Failure {
    fn new(outcome: Outcome, message: impl Into<String>) -> Failure {
        Failure { outcome, message: message.into(), retry_after: None, throttle: false }
    }

    /// Not before this long.
    pub fn after(mut self, wait: Duration) -> Failure {
        self.retry_after = Some(wait);
        self
    }

    pub fn retry(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Retry, message)
    }

    pub fn not_yet(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::NotYet, message)
    }

    pub fn dead(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Dead, message)
    }

    pub fn uncertain(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Uncertain, message)
    }

    pub fn cancelled(message: impl Into<String>) -> Failure {
        Failure::new(Outcome::Cancelled, message)
    }

    pub fn lost() -> Failure {
        Failure::new(Outcome::Lost, "the lease was lost before it began")
    }
}

/// A template stays wrong until somebody mends it.
impl From<render::Error> for Failure {
    fn from(error: render::Error) -> Failure {
        Failure::dead(error.to_string())
    }
}

/// An operator can set a secret while the action waits.
impl From<secret::Error> for Failure {
    fn from(error: secret::Error) -> Failure {
        Failure::retry(error.to_string())
    }
}

/// An operator can mend a token while the action waits; meanwhile nothing else need try. What is known to be wrong is
/// dead; all else passes.
impl From<api::Error> for Failure {
    fn from(error: api::Error) -> Failure {
        let outcome = match error.kind {
            api::Kind::Refused(_) => Outcome::Dead,
            _ => Outcome::Retry,
        };
        let mut failure = Failure::new(outcome, error.to_string());
        failure.retry_after = error.wait;
        match error.kind {
            api::Kind::Throttled => failure.throttle = true,
            api::Kind::Denied(_) => {
                failure.throttle = true;
                failure.retry_after = Some(DENIED);
            }
            _ => {}
        }
        failure
    }
}

/// How long a target is left alone whose token was refused.
const DENIED: Duration = Duration::from_secs(60);

/// The database is away for a while.
impl From<db::Error> for Failure {
    fn from(error: db::Error) -> Failure {
        Failure::retry(error.to_string())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        db::Error::from(error).into()
    }
}
