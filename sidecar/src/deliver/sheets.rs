//! Kinds `sheets.*`: rows of a Google spreadsheet, found by their keys and by the names of columns.
//!
//! A sheet has one writer at a time, among all sidecars: it reads the tab, decides what changes, and sends all of it in one
//! request that is done as a whole or not at all. What waits meanwhile goes with the next. Rows may be sorted and columns
//! added by people in between: nothing is remembered from one time to the next.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{json, Value as Json};

use super::account::Accounts;
use super::batch::Batcher;
use super::strategy::{kind, Operation, Upsert, UpsertByKey};
use super::{Deliver, Failure, Job, System, Tools};
use crate::api;
use crate::google::{range, Google};

mod cell;
mod grid;
mod params;

use grid::{Change, Grid};

/// All of them.
pub fn kinds(tools: &Arc<Tools>) -> Vec<Box<dyn Deliver>> {
    vec![
        kind::<Rows<params::Upsert>>(tools, "sheets.upsert_rows"),
        kind::<Rows<params::Delete>>(tools, "sheets.delete_rows"),
        kind::<Rows<params::WriteBack>>(tools, "sheets.write_back"),
    ]
}

/// The most actions in one request: with usual rows well below the 2 MB that Google recommends.
const BATCH: usize = 200;

/// How long the first of a batch waits for others: reads and writes are counted by the minute, 60 each.
const GATHER: Duration = Duration::from_millis(100);

/// How long a batch waits for another sidecar's.
const PATIENCE: Duration = Duration::from_secs(30);

fn batches() -> &'static Arc<Batcher<Change, Json>> {
    static BATCHES: OnceLock<Arc<Batcher<Change, Json>>> = OnceLock::new();
    BATCHES.get_or_init(|| Arc::new(Batcher::new(BATCH, GATHER)))
}

/// One action on a tab.
pub struct Rows<P> {
    tools: Arc<Tools>,
    google: Arc<Google>,
    lane: String,
    place: Place,
    change: Change,
    unique: String,
    params: std::marker::PhantomData<fn() -> P>,
}

/// Which tab, and where its header is.
#[derive(Clone)]
pub struct Place {
    pub spreadsheet: String,
    pub tab: String,
    /// Whether a tab that is not there is made.
    pub create: bool,
}

impl<P: params::Read> Operation for Rows<P> {
    type Strategy = UpsertByKey<Rows<P>>;
    const SYSTEM: System = System::Google;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Rows<P>, Failure> {
        let (place, change) = P::read(&job.params)?;
        let (google, account) = account(tools, job)?;
        // Who may make the tab does not go with who may not.
        let lane = format!("{account} {} {} {}", place.spreadsheet, place.tab, place.create);
        let unique = job.action.id.to_string();
        Ok(Rows {
            tools: tools.clone(),
            google,
            lane,
            place,
            change,
            unique,
            params: std::marker::PhantomData,
        })
    }
}

impl<P: params::Read> Upsert for Rows<P> {
    async fn upsert(&self) -> Result<Json, Failure> {
        let (tools, google, place) = (self.tools.clone(), self.google.clone(), self.place.clone());
        let run = move |changes: Vec<Change>| {
            let (tools, google, place) = (tools.clone(), google.clone(), place.clone());
            async move { execute(&tools, &google, &place, &changes).await }
        };
        batches().submit(&self.lane, self.unique.clone(), self.change.clone(), run).await
    }
}

/// The service account that a job's target is, with a name that changes when its key does.
fn account(tools: &Tools, job: &Job<'_>) -> Result<(Arc<Google>, String), Failure> {
    static ACCOUNTS: Accounts<Google> = Accounts::new();
    let target = job.target;
    ACCOUNTS.of(job, "the service account's JSON key", |key, _| {
        let client = tools.clients.of(target.allow_private).clone();
        Google::new(&target.base_url, key, client, target.timeout, target.allow_private)
    })
}

async fn execute(
    tools: &Tools,
    google: &Google,
    place: &Place,
    changes: &[Change],
) -> Vec<Result<Json, Failure>> {
    match write(tools, google, place, changes).await {
        Ok(results) => results,
        // One of them is wrong, and all were refused: half by half shows which.
        Err(Unwritten::Refused(_)) if changes.len() > 1 => {
            let (first, second) = changes.split_at(changes.len() / 2);
            let mut results = Box::pin(execute(tools, google, place, first)).await;
            results.extend(Box::pin(execute(tools, google, place, second)).await);
            results
        }
        Err(Unwritten::Refused(failure) | Unwritten::Failed(failure)) => {
            changes.iter().map(|_| Err(failure.clone())).collect()
        }
    }
}

/// Why a batch was not written.
enum Unwritten {
    /// What it wanted to write was refused: nothing of it is there.
    Refused(Failure),
    /// Anything else: it is no change's fault.
    Failed(Failure),
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Unwritten {
        Unwritten::Failed(failure)
    }
}

impl From<api::Error> for Unwritten {
    fn from(error: api::Error) -> Unwritten {
        Unwritten::Failed(error.into())
    }
}

async fn write(
    tools: &Tools,
    google: &Google,
    place: &Place,
    changes: &[Change],
) -> Result<Vec<Result<Json, Failure>>, Unwritten> {
    let name = format!("sheet {} {}", place.spreadsheet, place.tab);
    let lock = tools.locks.hold(&name, PATIENCE).await?;
    let done = async {
        let tab = tab(google, place).await?;
        let values = google.values(&place.spreadsheet, &range(&place.tab, "")).await?;
        let mut grid = Grid::new(tab, values);
        let results: Vec<Result<Json, Failure>> = changes.iter().map(|change| grid.apply(change)).collect();
        let requests = grid.requests();
        if !requests.is_empty() {
            lock.check().await?;
            // After an unknown outcome everything is read again: what arrived differs no more.
            google.update(&place.spreadsheet, &requests).await.map_err(|error| match error.is(400) {
                true => Unwritten::Refused(error.into()),
                false => error.into(),
            })?;
        }
        Ok(results)
    };
    let done = done.await;
    lock.release().await;
    done
}

/// The tab, made when it is not there and that is asked for.
async fn tab(google: &Google, place: &Place) -> Result<crate::google::Tab, Failure> {
    let tabs = google.tabs(&place.spreadsheet).await?;
    if let Some(tab) = tabs.iter().find(|tab| tab.title == place.tab) {
        return Ok(tab.clone());
    }
    if !place.create {
        let all: Vec<&str> = tabs.iter().map(|tab| tab.title.as_str()).collect();
        return Err(Failure::dead(format!(
            "the spreadsheet has no tab \"{}\"; it has {}. params.create: true makes it",
            place.tab,
            all.join(", ")
        )));
    }
    google.update(&place.spreadsheet, &[json!({"addSheet": {"properties": {"title": place.tab}}})]).await?;
    let tabs = google.tabs(&place.spreadsheet).await?;
    tabs.into_iter()
        .find(|tab| tab.title == place.tab)
        .ok_or_else(|| Failure::retry(format!("the tab \"{}\" was made and is not there", place.tab)))
}
