//! One at a time across all sidecars: what a kind reads, decides by and writes must not be written by another meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tracing::warn;

use super::Failure;
use crate::db;

/// How often a busy lock is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Locks by name, leased from the database.
pub struct Locks {
    pool: db::Pool,
    holder: String,
    lease: Duration,
    number: AtomicU64,
}

/// A lock that is held, and prolonged, until this is dropped or [`Held::release`]d.
pub struct Held {
    pool: db::Pool,
    name: String,
    holder: String,
    lease: Duration,
    prolonging: JoinHandle<()>,
}

impl Locks {
    /// Signs with `holder`.
    pub fn new(pool: db::Pool, holder: &str, lease: Duration) -> Locks {
        // Two sidecars may have been given one name.
        let holder = format!("{holder} {:x}", std::process::id());
        Locks { pool, holder, lease, number: AtomicU64::new(0) }
    }

    /// Waits for a lock, at most so long.
    pub async fn hold(&self, name: &str, patience: Duration) -> Result<Held, Failure> {
        let holder = format!("{} {}", self.holder, self.number.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        while !take(&self.pool, name, &holder, self.lease).await? {
            if began.elapsed() >= patience {
                return Err(
                    Failure::not_yet(format!("{name} is being written by another action")).after(AGAIN)
                );
            }
            tokio::time::sleep(AGAIN).await;
        }
        let (pool, name, lease) = (self.pool.clone(), name.to_owned(), self.lease);
        let prolonging = tokio::spawn(prolong(pool.clone(), name.clone(), holder.clone(), lease));
        Ok(Held { pool, name, holder, lease, prolonging })
    }
}

async fn prolong(pool: db::Pool, name: String, holder: String, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        if let Err(error) = take(&pool, &name, &holder, lease).await {
            warn!(%error, name, "a lock could not be prolonged");
        }
    }
}

async fn take(pool: &db::Pool, name: &str, holder: &str, lease: Duration) -> Result<bool, db::Error> {
    let client = pool.get().await?;
    let seconds = lease.as_secs_f64();
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&name, Type::TEXT), (&holder, Type::TEXT), (&seconds, Type::FLOAT8)];
    let row =
        client.query_typed_one("select tradeflow.lock($1, $2, make_interval(secs => $3))", &values).await?;
    Ok(row.try_get(0)?)
}

impl Held {
    /// Whether it is still held: asked right before a write that must not come late.
    pub async fn check(&self) -> Result<(), Failure> {
        match take(&self.pool, &self.name, &self.holder, self.lease).await? {
            true => Ok(()),
            false => {
                Err(Failure::not_yet(format!("{} was taken over by another action meanwhile", self.name)))
            }
        }
    }

    /// Gives it back, and waits until that is done.
    pub async fn release(self) {
        give_back(self.pool.clone(), self.name.clone(), self.holder.clone()).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.prolonging.abort();
        // Also when the work was ended in the middle; giving back twice does no harm.
        tokio::spawn(give_back(self.pool.clone(), self.name.clone(), self.holder.clone()));
    }
}

async fn give_back(pool: db::Pool, name: String, holder: String) {
    let giving = async {
        let client = pool.get().await?;
        let values: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&holder, Type::TEXT)];
        client.query_typed("select tradeflow.unlock($1, $2)", &values).await?;
        Ok::<_, db::Error>(())
    };
    if let Err(error) = giving.await {
        warn!(%error, name, "a lock could not be given back; its lease will end by itself");
    }
}
