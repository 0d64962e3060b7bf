//! `tradeflow run`: claims what is ready, executes it, reports back.
//!
//! ```text
//!  listen ─┐                  ┌─ hand of a target ─┬─ execute ─┐
//!  tick  ──┼─ wake ─▶ claim ──┤                    └─ execute ─┼─▶ report (completions in batches) ─▶ wake
//!  poll  ──┘    a little ahead└─ hand of another  ─── execute ─┘
//! ```
//! No transaction is open while something is sent. What the database does not hear of within the lease, because
//! this process died or the network did, it gives to somebody else, or to a person.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::api::Clients;
use crate::bigcommerce::Pace;
use crate::config::Config;
use crate::db;
use crate::deliver::{
    bigcommerce, email::Email, http::Http, hubspot, in_database::InDatabase, noop::Noop, sheets, Deliver,
    Tools,
};
use crate::metrics;
use crate::secret::Secrets;
use crate::server;
use crate::storefront;
use crate::sync::{self, hooks};
use crate::tls;
use crate::trace;

mod begin;
pub(crate) mod catalog;
pub(crate) mod claim;
pub(crate) mod context;
pub(crate) mod dispatch;
mod hands;
mod heartbeat;
mod listen;
mod presence;
pub(crate) mod raw;
mod report;
mod rest;
mod running;
mod tick;

pub use catalog::target;
pub use tick::Health;

/// Why the sidecar could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error(transparent)]
    Hooks(#[from] hooks::SetupError),
    #[error(transparent)]
    Sync(#[from] sync::Error),
    #[error(transparent)]
    Trace(#[from] trace::Error),
    #[error("configuration: kinds: there is no kind \"{kind}\"; this sidecar knows {known}")]
    Kind { kind: String, known: String },
}

/// What all parts of the executor share.
pub(crate) struct Shared {
    pub pool: db::Pool,
    pub worker: String,
    pub lease: Duration,
    /// How long an answer of the database is waited for.
    pub patience: Duration,
    pub kinds: Vec<Box<dyn Deliver>>,
    pub catalog: catalog::Catalog,
    pub secrets: Secrets,
    pub running: running::Running,
    pub report: report::Sender,
    /// Executions at the same time.
    pub slots: Arc<Semaphore>,
    pub hands: hands::Hands,
    /// Something may be ready.
    pub wake: Notify,
    pub rest: rest::Rest,
    pub health: Arc<Health>,
}

impl Shared {
    /// The database's answer, or an error when none comes: a network may forget a connection and tell neither side. Whoever
    /// asks, asks again; what was asked for may have been done all the same, as with any answer that is lost.
    pub async fn answer<T>(&self, asked: impl Future<Output = Result<T, db::Error>>) -> Result<T, db::Error> {
        answer_within(self.patience, asked).await
    }
}

/// The same with another patience.
pub(crate) async fn answer_within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, db::Error>>,
) -> Result<T, db::Error> {
    tokio::time::timeout(patience, asked).await.unwrap_or(Err(db::Error::Silent(patience)))
}

/// Runs until `stop` is cancelled, then drains. `halt` ends the draining at once.
pub async fn run(config: &Config, stop: CancellationToken, halt: CancellationToken) -> Result<(), Error> {
    let pool = db::Pool::named(config, db::SIDECAR)?;
    let worker = worker_name(&config.worker);
    let kinds = kinds(config, &pool, &worker)?;
    trace::start(config)?;
    let health = Arc::new(Health::default());
    let Some(catalog) = begin::catalog(&pool, &stop).await? else { return Ok(()) };
    let (report, completions) = report::channel(config.completion_batch);
    let hands = hands::Hands::new(config.target_concurrency.min(config.concurrency), claim::most(config));
    let shared = Arc::new(Shared {
        pool: pool.clone(),
        worker,
        lease: config.lease,
        patience: (config.lease / 3).clamp(Duration::from_secs(1), Duration::from_secs(20)),
        kinds,
        catalog,
        secrets: Secrets::new(&config.secrets),
        running: running::Running::default(),
        report,
        slots: Arc::new(Semaphore::new(config.concurrency)),
        hands,
        wake: Notify::new(),
        rest: rest::Rest::default(),
        health: health.clone(),
    });
    let names: Vec<&str> = shared.kinds.iter().map(|k| k.kind()).collect();
    info!(worker = %shared.worker, database = %pool.describe(), kinds = names.join(","), concurrency = config.concurrency, "sidecar is running");

    // The helpers outlive the claiming: what drains still needs heartbeats.
    let helpers = CancellationToken::new();
    let background = TaskTracker::new();
    let hooks = hooks::Receiver::new(config, pool.clone())?.map(Arc::new);
    if !config.listen_address.is_empty() {
        let serving = server::Serving {
            pool: pool.clone(),
            health,
            slots: shared.slots.clone(),
            concurrency: config.concurrency,
        };
        let recorder = metrics::install();
        let storefront = storefront::router(pool.clone(), &config.storefront, &config.secrets);
        let address = &config.listen_address;
        background.spawn(
            server::start(address, serving, recorder, hooks.clone(), storefront, helpers.clone()).await?,
        );
    }
    if let Some(receiver) = hooks {
        if config.listen_address.is_empty() {
            warn!("hooks.url is set and listen_address is empty: this sidecar receives no webhooks");
        }
        let env = sync::Env::new(config, pool.clone(), &sync::Resource::of_store())?;
        background.spawn(hooks::work(env, receiver.wake.clone(), config.hooks.keep, helpers.clone()));
        background.spawn(hooks::keep(config.clone(), pool.clone(), helpers.clone()));
    }
    if config.listen {
        background.spawn(helpers.clone().run_until_cancelled_owned(listen::run(shared.clone())));
    }
    for part in [tick::Part::Outbox, tick::Part::Rules] {
        let ticking = tick::run(shared.clone(), config.tick_interval, part);
        background.spawn(helpers.clone().run_until_cancelled_owned(ticking));
    }
    background.spawn(helpers.clone().run_until_cancelled_owned(heartbeat::run(shared.clone())));
    let presence = presence::run(shared.clone(), config.concurrency);
    background.spawn(helpers.clone().run_until_cancelled_owned(presence));
    let writer = tokio::spawn(report::run(
        shared.clone(),
        completions,
        config.completion_batch,
        config.completion_flush,
        halt.clone(),
    ));

    let tasks = TaskTracker::new();
    claim::run(shared.clone(), config, &tasks, stop).await;
    tasks.close();
    drain(&shared, &tasks, config.shutdown_grace, &halt).await;

    shared.report.close();
    let patience = tokio::time::sleep(Duration::from_secs(10));
    tokio::select! {
        _ = writer => {}
        _ = patience => {
            warn!("the last completions could not be written; their leases will end by themselves");
            halt.cancel();
        }
    }
    helpers.cancel();
    background.close();
    background.wait().await;
    presence::leave(&shared).await;
    trace::stop().await;
    info!("sidecar has stopped");
    Ok(())
}

/// Waits for what runs; after the grace gives back what did not begin and leaves the rest to its leases.
async fn drain(shared: &Arc<Shared>, tasks: &TaskTracker, grace: Duration, halt: &CancellationToken) {
    // What only waited for its turn here, another sidecar may have at once.
    heartbeat::give_back(shared, shared.running.give_up_waiting()).await;
    let running = shared.running.len();
    if running > 0 {
        info!(running, grace = %humantime::format_duration(grace), "finishing what runs");
    }
    let began = Instant::now();
    tokio::select! {
        _ = tasks.wait() => return,
        _ = tokio::time::sleep(grace) => {}
        _ = halt.cancelled() => {}
    }
    let unfinished = shared.running.begin_abort();
    let waited = humantime::format_duration(Duration::from_secs(began.elapsed().as_secs())).to_string();
    warn!(
        waited,
        started = unfinished.started.len(),
        given_back = unfinished.not_started.len(),
        "leaving with work unfinished"
    );
    heartbeat::give_back(shared, unfinished.not_started).await;
}

/// The kinds of action this sidecar executes, as the configuration says.
pub(crate) fn kinds(config: &Config, pool: &db::Pool, worker: &str) -> Result<Vec<Box<dyn Deliver>>, Error> {
    let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref())?;
    let clients = Clients::new(tls::client_config(roots.clone())?)?;
    let store = &config.bigcommerce;
    let pace = Pace { per_minute: store.requests_per_minute, action_share: store.write_share };
    let tools = Arc::new(Tools::new(clients.clone(), pool.clone(), worker, config.lease, pace));
    let mut known: Vec<Box<dyn Deliver>> = vec![
        Box::new(Email::new(&tools, &config.email, roots)),
        Box::new(Http::new(clients, config.http.response_limit)),
        Box::new(Noop),
    ];
    known.extend(InDatabase::kinds(&tools, config.lease / 2));
    known.extend(bigcommerce::kinds(&tools));
    known.extend(hubspot::kinds(&tools));
    known.extend(sheets::kinds(&tools));
    let names: Vec<&str> = known.iter().map(|k| k.kind()).collect();
    if let Some(kind) = config.kinds.iter().find(|k| !names.contains(&k.as_str())) {
        return Err(Error::Kind { kind: kind.clone(), known: names.join(", ") });
    }
    let wanted = |kind: &str| config.kinds.is_empty() || config.kinds.iter().any(|name| name == kind);
    Ok(known.into_iter().filter(|k| wanted(k.kind())).collect())
}

/// Who holds the lease, for people who ask: host, process, and what tells two lives of one process id apart.
fn worker_name(configured: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let host = hostname::get().map(|h| h.to_string_lossy().into_owned()).unwrap_or_else(|_| "sidecar".into());
    let random = std::hash::RandomState::new().build_hasher().finish() as u16;
    format!("{host}-{}-{random:04x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Sources;

    /// What the SQL of the kinds says of system and delivery, by name: `('http', 'http', 'idempotency_key', true, …`.
    fn declared() -> BTreeMap<String, (String, String)> {
        let files = [
            include_str!("../../sql/13_kinds_general.sql"),
            include_str!("../../sql/14_kinds_bigcommerce.sql"),
            include_str!("../../sql/15_kinds_hubspot.sql"),
            include_str!("../../sql/16_kinds_google.sql"),
        ];
        let mut kinds = BTreeMap::new();
        for line in files.iter().flat_map(|text| text.lines()) {
            let words: Vec<&str> = line.trim_start_matches("  (").split(", ").collect();
            let [name, system, delivery, repeatable, ..] = words.as_slice() else { continue };
            let quoted = |text: &str| text.strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned);
            if !["true", "false"].contains(repeatable) {
                continue;
            }
            // Null: it may have a target, and needs none.
            let system = if *system == "null" { Some("none".to_owned()) } else { quoted(system) };
            if let (Some(name), Some(system), Some(delivery)) = (quoted(name), system, quoted(delivery)) {
                kinds.insert(name, (system, delivery));
            }
        }
        // These three are one statement there.
        for record in ["deal", "contact", "company"] {
            kinds.insert(format!("hubspot.upsert_{record}"), ("hubspot".into(), "upsert_by_key".into()));
        }
        kinds
    }

    #[tokio::test]
    async fn the_sidecar_does_what_the_database_says_of_each_kind() {
        let flags = vec![("database_url", "postgres://nobody@localhost/nowhere".to_owned())];
        let config = Config::load(Sources { file: None, env: vec![], flags }).unwrap();
        let pool = db::Pool::new(&config).unwrap();
        let known = kinds(&config, &pool, "test").unwrap();
        let known: BTreeMap<String, (String, String)> = known
            .iter()
            .map(|kind| {
                let system = kind.system().map_or("none", |system| system.as_str());
                (kind.kind().to_owned(), (system.to_owned(), kind.delivery().to_owned()))
            })
            .collect();
        assert_eq!(known, declared());
    }
}
