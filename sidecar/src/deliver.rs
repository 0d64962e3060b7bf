//! What it means to execute an action: one trait, one implementation a kind.

use std::time::Duration;

use futures_util::future::BoxFuture;
use minijinja::value::Value;
use serde_json::Value as Json;

use crate::render::{self, Renderer};
use crate::secret::{self, Secrets};

pub mod email;
pub mod http;
pub mod noop;
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

    /// The system a target of this kind must be of.
    fn system(&self) -> System;

    /// Parameters that are templates of HTML: values are escaped in them.
    fn html_params(&self) -> &'static [&'static str] {
        &[]
    }

    /// Executes. The result is a JSON object whose key `request` is the request without secrets.
    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Json, Failure>>;
}

/// What becomes of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not happen; again later.
    Retry,
    /// It did not happen and will not, until somebody mends it.
    Dead,
    /// It may have happened.
    Uncertain,
    /// The lease was lost before it began: somebody else has it now.
    Lost,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Retry => "retry",
            Outcome::Dead => "dead",
            Outcome::Uncertain => "uncertain",
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
}

impl Failure {
    pub fn retry(message: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::Retry, message: message.into(), retry_after: None }
    }

    pub fn dead(message: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::Dead, message: message.into(), retry_after: None }
    }

    pub fn uncertain(message: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::Uncertain, message: message.into(), retry_after: None }
    }

    pub fn lost() -> Failure {
        Failure {
            outcome: Outcome::Lost,
            message: "the lease was lost before it began".into(),
            retry_after: None,
        }
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
