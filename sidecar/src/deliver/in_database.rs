//! Kinds whose effect is in the database: `sql`, `task`, `storefront_message`. The effect and the completion are one
//! transaction (`tradeflow.execute`), so both are there or neither.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Json as Jsonb, Type};

use super::{Deliver, Done, Failure, Job, System, Tools};

/// One of these kinds.
pub struct InDatabase {
    kind: &'static str,
    tools: Arc<Tools>,
    /// How long a function may take.
    limit: Duration,
}

impl InDatabase {
    /// All of them. A function that takes longer than `limit` is ended, and tried again.
    pub fn kinds(tools: &Arc<Tools>, limit: Duration) -> Vec<Box<dyn Deliver>> {
        ["sql", "task", "storefront_message"]
            .into_iter()
            .map(|kind| Box::new(InDatabase { kind, tools: tools.clone(), limit }) as Box<dyn Deliver>)
            .collect()
    }

    async fn execute(&self, job: Job<'_>) -> Result<Done, Failure> {
        let mut client = self.tools.pool.get().await?;
        let transaction = client.transaction().await?;
        transaction
            .batch_execute(&format!("set local statement_timeout = {}", self.limit.as_millis()))
            .await?;
        let params = Jsonb(&job.params);
        let row = transaction
            .query_typed_one(
                "select tradeflow.execute($1, $2, $3)",
                &[(&job.action.id, Type::INT8), (&job.action.attempt, Type::INT4), (&params, Type::JSONB)],
            )
            .await
            .map_err(|error| failure(&error))?;
        if row.try_get::<_, Option<serde_json::Value>>(0)?.is_none() {
            return Err(Failure::lost());
        }
        // An unknown outcome of the commit: the lease ends, and the next attempt finds the action done or still to do.
        transaction.commit().await.map_err(|error| failure(&error))?;
        Ok(Done::Recorded)
    }
}

/// What a function's error becomes: conflicts, timeouts and shortages pass; all else stays until somebody mends it.
fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(server) = error.as_db_error() else {
        return Failure::retry(format!(
            "the connection to the database failed: {}",
            crate::db::reason(error)
        ));
    };
    let code = server.code().code();
    if code == "TF001" {
        return Failure::lost();
    }
    let mut message = format!("{} (SQLSTATE {code})", server.message());
    for (label, part) in [("detail", server.detail()), ("hint", server.hint())] {
        if let Some(part) = part {
            message.push_str(&format!("; {label}: {part}"));
        }
    }
    let passes = ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
        || *server.code() == SqlState::LOCK_NOT_AVAILABLE;
    match passes {
        true => Failure::retry(message),
        false => Failure::dead(message),
    }
}

impl Deliver for InDatabase {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn system(&self) -> Option<System> {
        None
    }

    fn delivery(&self) -> &'static str {
        "in_database"
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.execute(job))
    }
}
