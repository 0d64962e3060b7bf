//! Extends the leases of what takes long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};
use tracing::{debug, warn};

use super::running::Held;
use super::Shared;
use crate::db;

/// The shortest lease the database gives: what is given back is free after it.
const SHORTEST: Duration = Duration::from_secs(1);

/// Every third of a lease: two may fail before one is lost.
pub async fn run(shared: Arc<Shared>) {
    let third = shared.lease / 3;
    let mut clock = tokio::time::interval(third / 2);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let long = shared.running.older_than(third);
        if long.is_empty() {
            continue;
        }
        let at = Instant::now();
        match shared.answer(extend(&shared, &long, shared.lease)).await {
            Ok(refused) => {
                debug!(actions = long.len(), "leases extended");
                for (id, _) in long.iter().filter(|(id, _)| !refused.contains(id)) {
                    shared.running.extended(*id, at);
                }
                for id in refused {
                    warn!(id, "its lease was lost; its completion will be refused");
                    shared.running.extended(id, at);
                }
            }
            Err(error) => warn!(%error, actions = long.len(), "leases could not be extended"),
        }
    }
}

/// Lets go of actions that did not begin: no failed attempt, others may have them at once.
pub async fn give_back(shared: &Shared, held: Vec<Held>) {
    if held.is_empty() {
        return;
    }
    let patience = Duration::from_secs(3);
    match tokio::time::timeout(patience, extend(shared, &held, SHORTEST)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            warn!(%error, "actions could not be given back; their leases will end by themselves")
        }
        Err(_) => warn!("actions could not be given back in time; their leases will end by themselves"),
    }
}

/// Sets leases anew; the ids that are no longer held.
async fn extend(shared: &Shared, held: &[Held], lease: Duration) -> Result<Vec<i64>, db::Error> {
    let (ids, attempts): (Vec<i64>, Vec<i32>) = held.iter().copied().unzip();
    let client = shared.pool.get().await?;
    let seconds = lease.as_secs_f64();
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ids, Type::INT8_ARRAY), (&attempts, Type::INT4_ARRAY), (&seconds, Type::FLOAT8)];
    let rows = client.query_typed(include_str!("../db/extend.sql"), &values).await?;
    let mut refused = Vec::new();
    for row in rows {
        if !row.try_get::<_, bool>("accepted")? {
            refused.push(row.try_get("id")?);
        }
    }
    Ok(refused)
}
