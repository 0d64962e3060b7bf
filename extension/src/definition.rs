//! The rules of a table as they stand in tradeflow's tables, and the table's own columns.

use crate::own;
use crate::owner::ActAs;
use crate::spi;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
use pgrx::pg_sys::panic::ErrorReport;
use serde::Deserialize;
use std::collections::HashMap;

/// A watched table with its rules.
#[derive(Debug, Deserialize)]
pub struct Table {
    /// As watched_tables has it: schema and name.
    pub name: String,
    /// The watched table; the changed one may be a partition of it.
    pub root: u32,
    pub key: Vec<String>,
    pub ignore: Vec<String>,
    pub settings: HashMap<String, String>,
    /// The test clock: microseconds since 1970.
    pub clock: Option<i64>,
    pub extension_owner: u32,
    /// The watched table's owner.
    pub owner: u32,
    /// Whether its changes are logged.
    pub log: bool,
    /// Rules are asked about changes of the past: the clock is a parameter.
    #[serde(skip)]
    pub replayed: bool,
    /// Rules that read this table's changes, and inputs of view rules.
    pub rules: Vec<Rule>,
}

/// A rule as its author wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Rule {
    pub name: String,
    pub events: Vec<String>,
    #[serde(default)]
    pub condition: Option<String>,
    pub fires: String,
    #[serde(default)]
    pub still: Option<String>,
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    #[serde(default)]
    pub query: Option<String>,
    #[serde(default)]
    pub fire_at: Option<String>,
    pub max_firings: usize,
    pub search_path: String,
    pub owner: u32,
    /// Whether one of its actions has a delay.
    #[serde(default)]
    pub delayed: bool,
    /// Whether it has actions for the edge leave.
    #[serde(default)]
    pub leaves: bool,
    #[serde(default)]
    pub version: i32,
    #[serde(default)]
    pub mode: String,
    #[serde(default)]
    pub max_per_subject: i32,
    /// The first action of each edge that has one.
    #[serde(default)]
    pub first: HashMap<String, FirstAction>,
    /// For an input of a view rule: maps a row of this table to the view's subjects; an expression or a SELECT.
    #[serde(default)]
    pub subject: Option<String>,
    /// The type of the view's subject.
    #[serde(default)]
    pub subject_type: u32,
    /// The view, by its qualified name.
    #[serde(default)]
    pub view: Option<String>,
}

/// What a firing becomes.
#[derive(Clone, Debug, Deserialize)]
pub struct FirstAction {
    pub step: i32,
    pub name: Option<String>,
    pub kind: String,
    pub target: Option<String>,
    pub max_attempts: i32,
    /// It has a delay, or a lane of its own.
    pub special: bool,
}

impl Rule {
    /// Whether this is an input of a view rule: it says which subjects to ask the view about.
    pub fn maps_to_view(&self) -> bool {
        self.subject.is_some()
    }
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub attno: i16,
    pub len: i16,
    pub by_value: bool,
    pub dropped: bool,
    /// A change of it alone is no change.
    pub ignored: bool,
    /// It is stored nowhere.
    pub computed: bool,
}

/// Reads the definition of a table, as committed now, with its rules or without; None when the table is not watched.
pub fn load(relid: pg_sys::Oid, with_rules: bool) -> Option<Table> {
    // The tables are tradeflow's own: read with its owner's rights, whoever changes the row.
    let owner = extension_owner()?;
    let _as_owner = ActAs::extension_owner(owner);
    // SAFETY: a snapshot of its own: under REPEATABLE READ the transaction's would show rules as they were, and the
    // compiled ones outlive the transaction. Popped below; an error's abort pops it too.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let text = spi::connected(|| {
        require_same_version();
        let plan = spi::plan(include_str!("sql/load_table.sql"), &[pg_sys::OIDOID, pg_sys::BOOLOID]);
        let rows = spi::execute(plan, &[Some(relid.into()), Some(with_rules.into())], true, 1);
        (rows.len() > 0).then(|| rows.text(0, 0)).flatten()
    });
    // SAFETY: see above.
    unsafe { pg_sys::PopActiveSnapshot() };
    match text.as_deref().map(serde_json::from_str) {
        None => None,
        Some(Ok(table)) => Some(table),
        Some(Err(error)) => panic!("sql/load_table.sql and the definition disagree: {error}"),
    }
}

/// A new library is there before `alter extension` has run: its statements would not fit the older tables. Not to ask the
/// rules would lose what they have to say, so the write is refused.
fn require_same_version() {
    const VERSION: &str = env!("TRADEFLOW_VERSION");
    let plan = spi::plan("select extversion from pg_catalog.pg_extension where extname = 'tradeflow'", &[]);
    let rows = spi::execute(plan, &[], true, 1);
    let installed = (rows.len() > 0).then(|| rows.text(0, 0)).flatten();
    if let Some(installed) = installed.filter(|installed| installed != VERSION) {
        std::panic::panic_any(
            ErrorReport::new(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("tradeflow's library is of version {VERSION}, its tables are of {installed}"),
                "tradeflow",
            )
            .set_hint("alter extension tradeflow update;"),
        )
    }
}

/// The owner of tradeflow's tables; None while the extension is not there.
pub fn extension_owner() -> Option<pg_sys::Oid> {
    // SAFETY: catalogue look-ups; the tuple is released.
    unsafe {
        let outbox = own::relation(c"outbox").into();
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, outbox);
        if tuple.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

/// The columns of a relation, in order of their numbers, dropped ones included.
///
/// # Safety
/// `descriptor` is a valid descriptor.
pub unsafe fn columns(descriptor: pg_sys::TupleDesc, ignore: &[String]) -> Vec<Column> {
    // SAFETY: the caller's promise; the copy is dropped here.
    let descriptor = unsafe { pgrx::PgTupleDesc::from_pg_copy(descriptor) };
    descriptor
        .iter()
        .map(|a| Column {
            name: a.name().to_string(),
            attno: a.attnum,
            len: a.attlen,
            by_value: a.attbyval,
            dropped: a.attisdropped,
            ignored: ignore.iter().any(|name| name == a.name()),
            computed: a.attgenerated as u8 == b'v',
        })
        .collect()
}
