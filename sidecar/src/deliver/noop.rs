//! Kind `noop`: nothing, for trying rules out and for measuring the outbox.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Deliver, Done, Failure, Job, System};

/// Does nothing, at once.
pub struct Noop;

impl Deliver for Noop {
    fn kind(&self) -> &'static str {
        "noop"
    }

    fn system(&self) -> Option<System> {
        None
    }

    fn delivery(&self) -> &'static str {
        "idempotency_key"
    }

    fn deliver<'a>(&'a self, _: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { Ok(Done::Result(json!({}))) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[tokio::test]
    async fn it_is_done_and_asks_nobody() {
        let bench = Bench::new(System::Http, "http://127.0.0.1:1");
        let done = Noop.deliver(bench.job(json!({}))).await;
        assert!(matches!(done, Ok(Done::Result(result)) if result == json!({})));
    }
}
