//! Waiting for what another process does.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for a slow machine; a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the answer is something, and panics with `what` when [`PATIENCE`] is used up.
pub async fn eventually<T, F, Fut>(what: &str, mut probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
