//! Says in the database that this sidecar runs and which kinds it executes, so that people learn of kinds nobody does.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tracing::debug;

use super::Shared;
use crate::db;

/// Whoever was not heard of for 30 seconds is taken for gone: two may be missed.
const EVERY: Duration = Duration::from_secs(10);

/// Says so forever. That the database is away is for others to say.
pub async fn run(shared: Arc<Shared>, concurrency: usize) {
    loop {
        if let Err(error) = shared.answer(present(&shared, concurrency)).await {
            debug!(%error, "the database did not hear that this sidecar runs");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Says it once.
pub async fn present(shared: &Shared, concurrency: usize) -> Result<(), db::Error> {
    let kinds: Vec<&str> = shared.kinds.iter().map(|k| k.kind()).collect();
    let version = env!("CARGO_PKG_VERSION");
    let concurrency = i32::try_from(concurrency).unwrap_or(i32::MAX);
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&shared.worker, Type::TEXT),
        (&kinds, Type::TEXT_ARRAY),
        (&version, Type::TEXT),
        (&concurrency, Type::INT4),
    ];
    shared.pool.get().await?.query_typed(include_str!("../db/present.sql"), &values).await?;
    Ok(())
}

/// Says that it leaves; not for long, since its silence says the same.
pub async fn leave(shared: &Shared) {
    let leaving = async {
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&shared.worker, Type::TEXT)];
        shared.pool.get().await?.query_typed(include_str!("../db/absent.sql"), &values).await?;
        Ok::<_, db::Error>(())
    };
    match tokio::time::timeout(Duration::from_secs(2), leaving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "the database did not hear that this sidecar leaves"),
        Err(_) => debug!("the database did not hear in time that this sidecar leaves"),
    }
}
