//! `/metrics` for Prometheus, `/healthz` for whoever restarts sidecars, `/hooks/…` for webhooks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{json, Value as Json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::db;
use crate::executor::Health;
use crate::metrics;
use crate::sync::hooks;

/// Without an answered tick for so long, a sidecar does nothing useful.
const STALE: Duration = Duration::from_secs(60);

/// A scrape waits so long for fresh figures of the database.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counting a queue of many millions takes seconds; the database sees to it that it is done rarely then.
const COUNTING: Duration = Duration::from_secs(120);

const UPKEEP: Duration = Duration::from_secs(5);

/// Why the addresses are not served.
#[derive(Debug, thiserror::Error)]
#[error("listen_address {address}: {reason}\nhint: write host:port, such as 127.0.0.1:9187; port 0 takes a free one")]
pub struct Error {
    address: String,
    reason: String,
}

/// What is told about this sidecar.
pub struct Serving {
    pub pool: db::Pool,
    pub health: Arc<Health>,
    /// One permit for each action that could be executed besides those that are.
    pub slots: Arc<Semaphore>,
    pub concurrency: usize,
}

struct Shared {
    serving: Serving,
    recorder: Option<PrometheusHandle>,
    shown: metrics::Shown,
    counting: Arc<Mutex<()>>,
}

/// Binds the address at once; the future serves until `stop`.
pub async fn start(
    address: &str,
    serving: Serving,
    recorder: Option<PrometheusHandle>,
    hooks: Option<Arc<hooks::Receiver>>,
    storefront: Option<Router>,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()>, Error> {
    let wrong = |e: std::io::Error| Error { address: address.to_owned(), reason: e.to_string() };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    info!(address = %bound, "serving /metrics and /healthz");
    let upkeep = upkeep(recorder.clone());
    let state =
        Arc::new(Shared { serving, recorder, shown: metrics::Shown::default(), counting: Arc::default() });
    let mut router =
        Router::new().route("/metrics", get(metrics_text)).route("/healthz", get(healthz)).with_state(state);
    if let Some(receiver) = hooks {
        let hooks = Router::new()
            .route("/hooks/bigcommerce", post(hooks::receive))
            .layer(DefaultBodyLimit::max(hooks::LARGEST))
            .with_state(receiver);
        router = router.merge(hooks);
    }
    router = router.merge(storefront.unwrap_or_default());
    Ok(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        let served = tokio::select! {
            served = serving => served,
            () = upkeep => Ok(()),
        };
        if let Err(error) = served {
            warn!(%error, "/metrics and /healthz are no longer served");
        }
    })
}

/// Sorts recorded values into their buckets from time to time: a sidecar that nobody scrapes would keep them all.
async fn upkeep(recorder: Option<PrometheusHandle>) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(recorder) = &recorder {
            recorder.run_upkeep();
        }
    }
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> String {
    let Serving { pool, health, slots, concurrency } = &shared.serving;
    metrics::sidecar(health.tick_age(), concurrency.saturating_sub(slots.available_permits()), *concurrency);
    // One counts at a time, and goes on when the scrape waits no longer: the next one shows what it found.
    if let Ok(counting) = shared.counting.clone().try_lock_owned() {
        let (pool, shared) = (pool.clone(), shared.clone());
        let refreshed = tokio::spawn(async move {
            match counted(&pool).await {
                Ok(health) => {
                    metrics::build(health["extension"].as_str().unwrap_or_default());
                    shared.shown.show(&health);
                }
                Err(error) => debug!(%error, "the database could not be asked for its figures"),
            }
            drop(counting);
        });
        if tokio::time::timeout(PATIENCE, refreshed).await.is_err() {
            debug!("the database did not tell its figures in time; those of before are shown");
        }
    }
    shared.recorder.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

async fn counted(pool: &db::Pool) -> Result<Json, db::Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let limit = format!("set local statement_timeout = {}", COUNTING.as_millis());
    transaction.batch_execute(&limit).await?;
    let row = transaction.query_typed_one(include_str!("db/health.sql"), &[]).await?;
    transaction.commit().await?;
    Ok(row.try_get(0)?)
}

async fn healthz(State(shared): State<Arc<Shared>>) -> (StatusCode, axum::Json<Json>) {
    let asked = async {
        shared.serving.pool.get().await?.simple_query("select 1").await?;
        Ok::<_, db::Error>(())
    };
    let database = match tokio::time::timeout(Duration::from_secs(2), asked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer within 2s".to_owned()),
    };
    let age = shared.serving.health.tick_age();
    let healthy = database.is_ok() && age < STALE;
    let body = json!({
        "status": if healthy { "ok" } else { "failing" },
        "database": match &database { Ok(()) => "ok", Err(reason) => reason.as_str() },
        "last_tick_age_seconds": age.as_secs_f64(),
    });
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, axum::Json(body))
}
