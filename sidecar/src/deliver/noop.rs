//! Kind `noop`: nothing, for trying rules out and for measuring the outbox.

use futures_util::future::BoxFuture;
use serde_json::{json, Value as Json};

use super::{Deliver, Failure, Job, System};

/// Does nothing, at once.
pub struct Noop;

impl Deliver for Noop {
    fn kind(&self) -> &'static str {
        "noop"
    }

    fn system(&self) -> System {
        System::Http
    }

    fn deliver<'a>(&'a self, _: Job<'a>) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(json!({})) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[tokio::test]
    async fn it_is_done_and_asks_nobody() {
        let bench = Bench::new(System::Http, "http://127.0.0.1:1");
        assert_eq!(Noop.deliver(bench.job(json!({}))).await, Ok(json!({})));
    }
}
