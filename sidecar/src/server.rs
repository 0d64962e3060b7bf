//! `/metrics` for Prometheus and `/healthz` for whoever restarts sidecars.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::db;
use crate::executor::Health;
use crate::metrics::{self, QueueRow};

/// Without an answered tick for so long, a sidecar does nothing useful.
const STALE: Duration = Duration::from_secs(60);

/// Counting a very large queue must not take longer than a scrape.
const COUNTING: Duration = Duration::from_secs(3);

/// Why the addresses are not served.
#[derive(Debug, thiserror::Error)]
#[error("listen_address {address}: {reason}\nhint: write host:port, such as 127.0.0.1:9187; port 0 takes a free one")]
pub struct Error {
    address: String,
    reason: String,
}

struct Shared {
    pool: db::Pool,
    health: Arc<Health>,
    recorder: Option<PrometheusHandle>,
    queue: Mutex<Vec<QueueRow>>,
}

/// Binds the address at once; the future serves until `stop`.
pub async fn start(
    address: &str,
    pool: db::Pool,
    health: Arc<Health>,
    recorder: Option<PrometheusHandle>,
    storefront: Option<Router>,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()>, Error> {
    let wrong = |e: std::io::Error| Error { address: address.to_owned(), reason: e.to_string() };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    info!(address = %bound, "serving /metrics and /healthz");
    let state = Arc::new(Shared { pool, health, recorder, queue: Mutex::default() });
    let router =
        Router::new().route("/metrics", get(metrics_text)).route("/healthz", get(healthz)).with_state(state);
    let router = router.merge(storefront.unwrap_or_default());
    Ok(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            warn!(%error, "/metrics and /healthz are no longer served");
        }
    })
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> String {
    metrics::tick_age(shared.health.tick_age());
    match tokio::time::timeout(COUNTING * 2, queue(&shared.pool)).await {
        Ok(Ok(rows)) => metrics::queue(&mut *shared.queue.lock().await, rows),
        Ok(Err(error)) => debug!(%error, "the queue could not be counted"),
        Err(_) => debug!("the queue could not be counted in time"),
    }
    shared.recorder.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

async fn queue(pool: &db::Pool) -> Result<Vec<QueueRow>, db::Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let limit = format!("set local statement_timeout = {}", COUNTING.as_millis());
    transaction.batch_execute(&limit).await?;
    let rows = transaction.query_typed(include_str!("db/queue.sql"), &[]).await?;
    transaction.commit().await?;
    rows.iter()
        .map(|row| {
            Ok(QueueRow {
                state: row.try_get("state")?,
                kind: row.try_get("kind")?,
                target: row.try_get("target")?,
                actions: row.try_get("actions")?,
                lag: row.try_get("lag")?,
            })
        })
        .collect()
}

async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<serde_json::Value>) {
    let asked = async {
        shared.pool.get().await?.simple_query("select 1").await?;
        Ok::<_, db::Error>(())
    };
    let database = match tokio::time::timeout(Duration::from_secs(2), asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer within 2s".to_owned()),
    };
    let age = shared.health.tick_age();
    let healthy = database.is_ok() && age < STALE;
    let body = json!({
        "status": if healthy { "ok" } else { "failing" },
        "database": match &database { Ok(()) => "ok", Err(reason) => reason.as_str() },
        "last_tick_age_seconds": age.as_secs_f64(),
    });
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}
