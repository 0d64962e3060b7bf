//! Waits for the database's word that something is ready. Without it, polling finds the same a little later.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_postgres::{AsyncMessage, Client};
use tracing::{debug, warn};

use super::Shared;
use crate::db;

/// How often the listening connection is asked whether it still is one.
const PROBE: Duration = Duration::from_secs(30);

/// Listens, and connects again whenever the connection is lost.
pub async fn run(shared: Arc<Shared>) {
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(10))
        .without_max_times();
    let mut pauses = backoff.build();
    loop {
        let mut connected = false;
        let error = listen(&shared, &mut connected).await;
        if connected {
            pauses = backoff.build();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(10));
        warn!(%error, retry_in_ms = pause.as_millis() as u64, "the listening connection was lost; polling goes on");
        tokio::time::sleep(pause).await;
    }
}

/// Listens until the connection ends; how it ended.
async fn listen(shared: &Shared, connected: &mut bool) -> db::Error {
    let (client, mut connection) = match shared.pool.dedicated().await {
        Ok(pair) => pair,
        Err(error) => return error,
    };
    // The connection moves only while it is polled, so the command and the waiting go on side by side.
    let command = listen_on(shared, &client, connected);
    let messages = async {
        loop {
            match std::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => shared.wake.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return db::Error::Query(error),
                None => return db::Error::Pool("the server closed the connection".into()),
            }
        }
    };
    tokio::select! {
        Err(error) = command => error,
        error = messages => error,
    }
}

/// Gives the command, and asks from time to time whether the connection still is one: of one that the network forgot nothing
/// is heard. Ends when it is not.
async fn listen_on(shared: &Shared, client: &Client, connected: &mut bool) -> Result<Infallible, db::Error> {
    shared.answer(async { Ok(client.batch_execute("listen tradeflow").await?) }).await?;
    debug!("listening");
    *connected = true;
    // Between the last connection and this one something may have become ready.
    shared.wake.notify_one();
    loop {
        tokio::time::sleep(PROBE).await;
        shared.answer(async { Ok(client.batch_execute("").await?) }).await?;
    }
}
