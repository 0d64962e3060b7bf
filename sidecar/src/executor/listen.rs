//! Waits for the database's word that something is ready. Without it, polling finds the same a little later.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Row};
use tracing::{debug, warn};

use super::rest::State;
use super::Shared;
use crate::db;

/// How often the listening connection is asked whether it still is one.
const PROBE: Duration = Duration::from_secs(30);

/// How often what was refused is tried again: to be the one who says that somebody is awake, to find everybody settled.
const AGAIN: Duration = Duration::from_secs(1);

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
        shared.rest.is(State::Deaf);
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

/// Gives the command, rests and wakes as the claims want it, and asks from time to time whether the connection still is one: of
/// one that the network forgot nothing is heard. Ends when it is not.
async fn listen_on(shared: &Shared, client: &Client, connected: &mut bool) -> Result<Infallible, db::Error> {
    shared.answer(async { Ok(client.batch_execute("listen tradeflow").await?) }).await?;
    debug!("listening");
    *connected = true;
    let mut much = shared.rest.much();
    let mut awake = false;
    loop {
        rest(shared, client, awake).await?;
        while !*much.borrow_and_update() {
            if timeout(PROBE, much.changed()).await.is_err() {
                shared.answer(async { Ok(client.batch_execute("").await?) }).await?;
            }
        }
        let row = ask(shared, client, include_str!("../db/rest/end.sql"), &[]).await?;
        awake = row.try_get(1)?;
        shared.rest.is(State::Awake);
        shared.wake.notify_one();
        debug!(told = awake, "there is much: looking without being told");
        while *much.borrow_and_update() {
            if timeout(AGAIN, much.changed()).await.is_err() {
                // Whoever said so may have gone to rest; and it is an answer of the connection.
                awake |= ask(shared, client, include_str!("../db/rest/awake.sql"), &[(&awake, Type::BOOL)])
                    .await?
                    .try_get::<_, bool>(0)?;
            }
        }
    }
}

/// From now on those who fire tell. Those who did not are waited for; what they wrote is found by one more look.
async fn rest(shared: &Shared, client: &Client, awake: bool) -> Result<(), db::Error> {
    let values: [(&(dyn ToSql + Sync), Type); 1] = [(&awake, Type::BOOL)];
    ask(shared, client, include_str!("../db/rest/begin.sql"), &values).await?;
    shared.rest.is(State::Unsettled);
    let mut pause = Duration::from_millis(5);
    while !ask(shared, client, include_str!("../db/rest/settled.sql"), &[]).await?.try_get::<_, bool>(0)? {
        shared.wake.notify_one();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN);
    }
    shared.rest.is(State::Resting);
    shared.wake.notify_one();
    debug!("resting until something is told");
    Ok(())
}

async fn ask(
    shared: &Shared,
    client: &Client,
    sql: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Row, db::Error> {
    shared.answer(async { Ok(client.query_typed_one(sql, values).await?) }).await
}
