//! `tradeflow sync`: copies of the store's resources in schema `store`, each kept by its own rule.
//!
//! ```text
//!  fetch ── pages ─▶ prepare ── rows as COPY takes them ─▶ store::Writer ─▶ commit, with sync_state
//! ```
//! Fetching, reading and writing go on side by side, with a channel between each. A batch is committed together with its position (or
//! before it, where something is to be told first), so a sync that is killed anywhere reads again what was not committed, and an upsert
//! that changes nothing fires nothing.
//!
//! | module | what |
//! |---|---|
//! | `resource` | what there is, and how each list is asked for |
//! | `fetch` | walking the lists: ascending by time, descending to a time, one request a thing |
//! | `run`, `write` | one run of one resource |
//! | [`sheets`] | tabs of spreadsheets, each read whole when its file changed |
//! | `state` | `tradeflow.sync_state`, incidents, the lock |
//! | `sweep` | deleting what is gone at the source |
//! | `watch` | runs again and again |
//! | `report` | what a run says |
//! | [`hooks`] | webhooks: believed, kept, worked on; their registration |

use crate::bigcommerce;
use crate::{api, db, secret, store};

mod fetch;
pub mod hooks;
mod report;
mod resource;
mod run;
pub mod sheets;
mod state;
mod sweep;
mod watch;
mod write;

pub use report::{Outcome, Summary};
pub use resource::Resource;
pub use run::{once, Env, Options};
pub use state::{status, Status};
pub use watch::{watch, Intervals};

/// Why a resource could not be synced, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Api(#[from] bigcommerce::Error),
    #[error(transparent)]
    Google(#[from] api::Error),
    #[error("sheets.{key} {problem}")]
    Sheets { key: &'static str, problem: String },
    #[error(
        "no sheet is named\nhint: set sheets.synced and sheets.account (`tradeflow config` explains them)"
    )]
    NoSheets,
    #[error("sheets.account: {0}")]
    Account(#[from] secret::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error("GET {path} answers the same page again and again\nhint: nothing of it is taken as new; the next run begins where this one stopped")]
    Repeats { path: &'static str },
    #[error("GET {path} ignores its time filter: {found} is older than {edge}, which was asked for\nhint: the API may have renamed the parameter; the run stops rather than read everything")]
    FilterIgnored { path: &'static str, edge: String, found: String },
    #[error("GET {path}: a row has no {key} that can be read ({found})")]
    NoKey { path: &'static str, key: &'static str, found: String },
    #[error("GET {path} changes while it is read; it was begun anew {times} times")]
    Restless { path: &'static str, times: usize },
    #[error("the database has no tradeflow.sync_state\nhint: run `create extension tradeflow`, or `alter extension tradeflow update`, or `tradeflow init`")]
    NoState,
    #[error(
        "{user} may not write what a sync remembers: {reason}\nhint: grant tradeflow_sync to \"{user}\""
    )]
    NotAllowed { user: String, reason: String },
    #[error("{user} may not load silently\nhint: grant tradeflow_silent to \"{user}\", or say that rules shall fire for all rows: sync.first_load = \"fire\", or --fire")]
    NotSilent { user: String },
    #[error("there is no resource \"{name}\"; there are {known}")]
    NoResource { name: String, known: String },
}

impl Error {
    /// Whether the next run may succeed without anybody doing anything.
    pub fn passes(&self) -> bool {
        match self {
            Error::Api(error) => error.passes(),
            Error::Google(error) => !matches!(error.kind, api::Kind::Denied(_) | api::Kind::Refused(_)),
            Error::Store(store::Error::Database(_)) | Error::Database(_) | Error::Restless { .. } => true,
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        Error::Store(store::Error::from_postgres(error))
    }
}
