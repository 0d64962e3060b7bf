//! `tradeflow plan`: what apply would do. Everything is done in a transaction, looked at, and rolled back.

use std::time::Duration;

use serde::Serialize;
use tokio_postgres::error::SqlState;
use tokio_postgres::Transaction;

use super::compare::{compare, refuse_foreign, Change, Comparison, Drift, What};
use super::declare::{declare, Declaration};
use super::snapshot::{self, Snapshot};
use super::{extension_version, mentions, merge, Error, Project};
use crate::db;

mod affected;
mod text;

pub use affected::{Match, Waiting};

/// What is asked of plan and apply.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Take away what no file says any more.
    pub prune: bool,
    /// How long to wait for another plan or apply.
    pub wait: Duration,
}

/// What apply does, or would do.
#[derive(Debug, Serialize)]
pub struct Plan {
    pub project: String,
    pub schema: String,
    pub database: String,
    pub changes: Vec<Change>,
    /// What was changed in the database since the last apply.
    pub drift: Vec<Drift>,
    /// Actions that exist already and are concerned.
    pub waiting: Vec<Waiting>,
    /// How many rows new and changed rules hold for now.
    pub matches: Vec<Match>,
    pub warnings: Vec<String>,
    /// What the files only begin with, and nobody has said yet.
    pub to_set: Vec<ToSet>,
    #[serde(skip)]
    pub(super) applied: bool,
}

/// Something that people have to say before what is applied can work: where the store is, who is in the pool.
#[derive(Debug, Serialize)]
pub struct ToSet {
    pub kind: String,
    pub name: String,
    /// What it is now: an example, or nothing.
    pub value: String,
    pub how: String,
}

impl Plan {
    /// Whether apply would change anything.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|c| c.what == What::Left)
    }
}

/// Plans.
pub async fn run(project: &Project, pool: &db::Pool, options: Options) -> Result<Plan, Error> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let prepared = prepare(project, &transaction, options).await?;
    let comparison = prepared.compare(project, options);
    let plan = describe(project, pool, &transaction, &prepared.declaration, &comparison).await?;
    transaction.rollback().await?;
    Ok(plan)
}

/// The files' state made real in the transaction, with what was there before.
pub(super) struct Prepared {
    pub declaration: Declaration,
    before: Snapshot,
    after: Snapshot,
    recorded: std::collections::BTreeMap<(String, String), snapshot::Recorded>,
}

impl Prepared {
    pub fn compare(&self, project: &Project, options: Options) -> Comparison<'_> {
        compare(project, &self.declaration, &self.before, &self.after, &self.recorded, options.prune)
    }
}

/// Locks, runs the files, merges what they say, and checks what templates mention. What no file says is still there.
pub(super) async fn prepare(
    project: &Project,
    transaction: &Transaction<'_>,
    options: Options,
) -> Result<Prepared, Error> {
    begin(transaction, options.wait).await?;
    enter_schema(project, transaction).await?;
    let mut before = snapshot::objects(transaction, &project.schema).await?;
    let declaration = declare(project, transaction).await?;
    let recorded = snapshot::recorded(transaction).await?;
    let decisions = decision_tables(project, transaction, &declaration, &recorded).await?;
    before.extend(snapshot::rows(transaction, &decisions).await?);
    refuse_foreign(project, &declaration, &before, &recorded)?;
    merge::merge(project, transaction, &declaration, &before).await?;
    let mut after = snapshot::objects(transaction, &project.schema).await?;
    after.extend(snapshot::rows(transaction, &decisions).await?);
    mentions::check(transaction, &declaration, &after).await?;
    Ok(Prepared { declaration, before, after, recorded })
}

/// Checks version and rights, and takes the lock that lets one plan or apply work at a time.
async fn begin(transaction: &Transaction<'_>, wait: Duration) -> Result<(), Error> {
    let row = transaction.query_one(include_str!("sql/begin.sql"), &[]).await?;
    let found: Option<String> = row.try_get("version")?;
    let found = found.ok_or(db::Error::NoExtension)?;
    let wanted = extension_version().to_owned();
    let numbers = |v: &str| v.split('.').map(|n| n.parse().unwrap_or(0)).collect::<Vec<u32>>();
    match numbers(&found).cmp(&numbers(&wanted)) {
        std::cmp::Ordering::Less => return Err(Error::Older { found, wanted }),
        std::cmp::Ordering::Greater => return Err(Error::Newer { found, wanted }),
        std::cmp::Ordering::Equal => {}
    }
    if !row.try_get::<_, bool>("author")? {
        let user: String = row.try_get("user")?;
        return Err(Error::Usage(format!(
            "{user} may not write rules\nhint: as a superuser, `grant tradeflow_author to \"{user}\"`"
        )));
    }
    let lock = format!(
        "set local client_min_messages = error; set local lock_timeout = {}; savepoint tradeflow_lock; \
         select pg_advisory_xact_lock(1953655924, 1); set local lock_timeout = '10s'",
        wait.as_millis().max(1)
    );
    match transaction.batch_execute(&lock).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            transaction.batch_execute("rollback to savepoint tradeflow_lock").await?;
            let holder = transaction.query_opt(include_str!("sql/holder.sql"), &[]).await?;
            let holder = holder.map(|row| row.get::<_, String>(0)).unwrap_or_default();
            Err(Error::Busy { holder })
        }
        Err(error) => Err(error.into()),
    }
}

/// Names are looked up in the project's schema first, whoever applies.
async fn enter_schema(project: &Project, transaction: &Transaction<'_>) -> Result<(), Error> {
    let schema = &project.schema;
    let there: bool =
        transaction.query_one("select to_regnamespace($1) is not null", &[schema]).await?.try_get(0)?;
    if !there {
        transaction.batch_execute(&format!("create schema {schema}")).await?;
    }
    Ok(transaction.batch_execute(&format!("set local search_path = {schema}, public")).await?)
}

/// The decision tables that the files fill, and those they filled when they were applied last.
async fn decision_tables(
    project: &Project,
    transaction: &Transaction<'_>,
    declaration: &Declaration,
    recorded: &std::collections::BTreeMap<(String, String), snapshot::Recorded>,
) -> Result<Vec<super::table::Table>, Error> {
    let mut tables: Vec<_> = declaration.tables.iter().filter(|t| t.kind == "row").cloned().collect();
    for ((kind, name), of) in recorded {
        let Some((table, _)) = name.split_once(" (").filter(|_| kind == "row" && of.project == project.name)
        else {
            continue;
        };
        if !tables.iter().any(|t| t.name == table) {
            tables.extend(super::table::Table::find(transaction, &project.schema, table).await?);
        }
    }
    Ok(tables)
}

/// What people want to know of a comparison.
pub(super) async fn describe(
    project: &Project,
    pool: &db::Pool,
    transaction: &Transaction<'_>,
    declaration: &Declaration,
    comparison: &Comparison<'_>,
) -> Result<Plan, Error> {
    let changes = comparison.changes.clone();
    let matches = affected::matches(transaction, &changes).await?;
    // What waits is counted as others see it: the transaction may have cancelled some of it already.
    let waiting = affected::waiting(&*pool.get().await?, &changes).await?;
    let rules: Vec<&str> =
        declaration.objects.iter().filter(|o| o.kind == "rule").map(|o| o.name.as_str()).collect();
    let invalid = "select name, invalid from tradeflow.rules where name = any ($1) and invalid is not null and mode <> 'off' order by name";
    let rows = transaction.query(invalid, &[&rules]).await?;
    let warnings = rows.iter().map(|row| {
        format!("rule {} would be stored and not asked yet: {}", row.get::<_, &str>(0), row.get::<_, &str>(1))
    });
    Ok(Plan {
        project: project.name.clone(),
        schema: project.schema.clone(),
        database: pool.describe(),
        changes,
        drift: comparison.drift.clone(),
        waiting,
        matches,
        warnings: warnings.collect(),
        to_set: to_set(transaction, declaration).await?,
        applied: false,
    })
}

async fn to_set(transaction: &Transaction<'_>, declaration: &Declaration) -> Result<Vec<ToSet>, Error> {
    let of = |kind: &str| -> Vec<&str> {
        declaration.objects.iter().filter(|o| o.kind == kind).map(|o| o.name.as_str()).collect()
    };
    let values = [of("target"), of("setting"), of("pool")];
    let rows =
        transaction.query(include_str!("sql/to_set.sql"), &[&values[0], &values[1], &values[2]]).await?;
    let read = |row: tokio_postgres::Row| {
        let (kind, name): (String, String) = (row.try_get("kind")?, row.try_get("name")?);
        let how: Option<String> = row.try_get("how")?;
        let object = declaration.objects.iter().find(|o| o.kind == kind && o.name == name);
        let how = match (object, kind.as_str()) {
            (Some(object), "setting") => format!("in {}: {}", object.file.name, how.unwrap_or_default()),
            _ => how.unwrap_or_default(),
        };
        Ok(ToSet { kind, name, value: row.try_get("value")?, how })
    };
    rows.into_iter().map(read).collect()
}
