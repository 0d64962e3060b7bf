//! One run of one resource: fetching and writing side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tracing::{info, warn};

use super::fetch::Fetch;
use super::report::{Outcome, Summary};
use super::sheets::{self, Source};
use super::state::{self, Incident, State};
use super::write::{prepare_all, Writing};
use super::{sweep, Error, Resource};
use crate::bigcommerce::{self, Client};
use crate::config::{Config, FirstLoad};
use crate::db;
use crate::store::report::Report;
use crate::store::Writer;

/// What every run needs.
#[derive(Clone)]
pub struct Env {
    pub pool: db::Pool,
    /// The store's API, where a store is synced.
    client: Option<Arc<Client>>,
    /// The sheets, where there are some to be synced.
    sheets: Option<Arc<Source>>,
    pub overlap: TimeDelta,
    pub sweep_interval: Duration,
    pub sweep_max_deleted: u8,
    pub first_load: FirstLoad,
    pub details_at_once: usize,
}

impl Env {
    /// As the configuration says, for these resources.
    pub fn new(config: &Config, pool: db::Pool, resources: &[Resource]) -> Result<Env, Error> {
        let of_store = resources.iter().any(|resource| resource.is_of_store());
        let client = of_store.then(|| Client::new(config).map(Arc::new)).transpose()?;
        let of_sheets = resources.contains(&Resource::SheetRows);
        Ok(Env {
            pool,
            client,
            sheets: of_sheets.then(|| Source::new(config).map(Arc::new)).transpose()?,
            overlap: TimeDelta::from_std(config.sync.overlap).unwrap_or_default(),
            sweep_interval: config.sync.sweep_interval,
            sweep_max_deleted: config.sync.sweep_max_deleted,
            first_load: config.sync.first_load,
            details_at_once: config.sync.details_at_once,
        })
    }

    /// The store's API.
    pub fn client(&self) -> Result<&Client, Error> {
        self.client.as_deref().ok_or(Error::Api(bigcommerce::Error::NoStore))
    }

    /// Requests made so far for a resource's system.
    fn requests(&self, resource: Resource) -> u64 {
        match resource.is_of_store() {
            true => self.client.as_ref().map_or(0, |client| client.requests()),
            false => self.sheets.as_ref().map_or(0, |sheets| sheets.requests()),
        }
    }
}

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Read what changed since then, whatever is remembered.
    pub since: Option<DateTime<Utc>>,
    /// Write nothing.
    pub dry_run: bool,
    /// Read everything and delete what is gone, whenever that was done last.
    pub sweep: bool,
    /// Fire nothing; `Some(false)`: fire, also at a first load.
    pub silent: Option<bool>,
    /// Draw progress bars on a terminal.
    pub progress: bool,
}

/// Payloads written in one transaction at most; pages are smaller, and those that wait are written together.
pub(super) const BATCH: usize = 500;

/// Pages read ahead of the writing. Memory holds so many and no more, however long the list is.
const AHEAD: usize = 4;

/// Runs resources once, one after the other: they share the store's budget of requests.
pub async fn once(env: &Env, resources: &[Resource], options: &Options) -> Summary {
    let bars = if options.progress {
        MultiProgress::new()
    } else {
        MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden())
    };
    let mut summary = Summary { dry_run: options.dry_run, resources: Vec::new() };
    for resource in resources {
        let bar = bars.add(bar(*resource));
        summary.resources.push(run(env, *resource, options, &bar).await);
        bar.finish_and_clear();
    }
    summary
}

fn bar(resource: Resource) -> ProgressBar {
    let look = "{prefix:16} {bar:30} {pos}/{len} {elapsed} {msg}";
    let style = ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style).with_prefix(resource.name())
}

/// Runs a resource once. What goes wrong is in the outcome, in `sync_state` and in an incident.
pub async fn run(env: &Env, resource: Resource, options: &Options, bar: &ProgressBar) -> Outcome {
    let began = Instant::now();
    let requests = env.requests(resource);
    let mut outcome = Outcome { resource: resource.name(), ..Outcome::default() };
    let done = attempt(env, resource, options, bar, &mut outcome).await;
    outcome.requests = env.requests(resource) - requests;
    outcome.seconds = began.elapsed().as_secs_f64();
    let mut passing = false;
    let at = match done {
        Ok(at) => at,
        Err((at, error)) => {
            warn!(resource = outcome.resource, %error, "sync failed");
            outcome.error = Some(error.to_string());
            passing = error.passes();
            at
        }
    };
    if let Some(at) = at.filter(|_| !options.dry_run && !outcome.busy) {
        if let Err(error) = note(env, &outcome, at, passing).await {
            warn!(resource = outcome.resource, %error, "what the sync did could not be noted");
            outcome.error.get_or_insert(error.to_string());
        }
    }
    if outcome.error.is_none() && !outcome.busy {
        info!(
            resource = outcome.resource,
            read = outcome.read,
            inserted = outcome.inserted,
            updated = outcome.updated,
            deleted = outcome.deleted,
            requests = outcome.requests,
            seconds = outcome.seconds,
            "synced"
        );
    }
    outcome
}

/// What may pass by itself becomes an incident only when it happens so often in a row.
const PATIENCE: i32 = 3;

async fn note(env: &Env, outcome: &Outcome, began: DateTime<Utc>, passing: bool) -> Result<(), Error> {
    let client = env.pool.get().await?;
    let failures = state::finish(&client, outcome, began).await?;
    if let Some(error) = outcome.error.as_ref().filter(|_| !passing || failures >= PATIENCE) {
        let (message, hint) =
            error.split_once("\nhint: ").map_or((error.as_str(), None), |(m, h)| (m, Some(h)));
        let incident = Incident {
            kind: "sync_error",
            resource: outcome.resource,
            subject: None,
            message,
            detail: None,
            hint: hint.or(Some("the next run goes on where this one stopped")),
        };
        state::incident(&client, incident).await?;
    }
    Ok(())
}

/// The database's time at which the run began, with the error if there was one.
type Failed = (Option<DateTime<Utc>>, Error);

async fn attempt(
    env: &Env,
    resource: Resource,
    options: &Options,
    bar: &ProgressBar,
    outcome: &mut Outcome,
) -> Result<Option<DateTime<Utc>>, Failed> {
    let before = |error: Error| (None, error);
    let mut writer = Writer::new(&env.pool, BATCH, options.dry_run).await.map_err(|e| before(e.into()))?;
    if !state::lock(writer.client(), resource.name()).await.map_err(before)? {
        outcome.busy = true;
        return Ok(None);
    }
    let (state, began) = state::begin(writer.client(), resource, options.dry_run).await.map_err(before)?;
    let failed = |error: Error| (Some(began), error);
    outcome.silent = match options.silent {
        Some(silent) => silent,
        None => !state.loaded && env.first_load == FirstLoad::Silent,
    };
    if outcome.silent {
        silence(writer.client()).await.map_err(failed)?;
    }
    let sweep = is_due(env, &state, options, began);
    let writing = Writing { writer: &mut writer, resource, options, bar, outcome, sweep, began };
    let read = match &env.sheets {
        Some(source) if resource == Resource::SheetRows => sheets::read(source, env, &state, writing).await,
        _ => walk(env, &state, writing).await,
    };
    read.map_err(failed)?;
    outcome.swept = sweep;
    let mut report = Report::new(options.dry_run);
    writer.finish(&mut report).await.map_err(|e| failed(e.into()))?;
    Ok(Some(began))
}

/// Fetches what changed in the store, or everything, and writes it.
async fn walk(env: &Env, state: &State, mut writing: Writing<'_>) -> Result<(), Error> {
    let (resource, sweep, began) = (writing.resource, writing.sweep, writing.began);
    let from = match (writing.options.since, sweep) {
        (Some(since), _) => Some(since),
        (None, true) => None,
        (None, false) => state.watermark.map(|watermark| watermark - env.overlap),
    };
    let (batches, fetched) = mpsc::channel(1);
    let (prepared, ready) = mpsc::channel(AHEAD);
    let fetch = Fetch {
        client: env.client()?,
        pool: &env.pool,
        from,
        position: state.position.clone(),
        overlap: env.overlap,
        sweep,
        at_once: env.details_at_once,
        batches,
    };
    // On a thread of its own. The sender goes when the fetching ends, and with it the reading and the writing.
    let reading = tokio::spawn(prepare_all(fetched, prepared));
    let fetching = async move { fetch.run(resource).await };
    let (fetched, written) = tokio::join!(fetching, writing.run(ready));
    // Had it died, the list would look shorter than it is.
    if let Err(Ok(panic)) = reading.await.map_err(JoinError::try_into_panic) {
        std::panic::resume_unwind(panic);
    }
    let seen = written?;
    fetched?;
    // Reps are read whole each time.
    if sweep || resource == Resource::SalesStaff {
        let most = env.sweep_max_deleted;
        writing.outcome.deleted +=
            sweep::sweep(writing.writer.client(), resource, &seen, began, most).await?;
    }
    Ok(())
}

/// Whether everything is to be read. The first load is no sweep: there is nothing to compare with.
fn is_due(env: &Env, state: &State, options: &Options, now: DateTime<Utc>) -> bool {
    let overdue = || {
        let last = state.swept_at.or(state.finished_at);
        let age = last.map(|last| (now - last).to_std().unwrap_or_default());
        state.loaded && age.is_some_and(|age| age >= env.sweep_interval)
    };
    options.since.is_none() && (options.sweep || overdue())
}

/// From here on nothing fires.
pub(super) async fn silence(client: &tokio_postgres::Client) -> Result<(), Error> {
    let (allowed, user) = state::may_be_silent(client).await?;
    if !allowed {
        return Err(Error::NotSilent { user });
    }
    client.batch_execute("set tradeflow.mode = 'silent'").await?;
    Ok(())
}
