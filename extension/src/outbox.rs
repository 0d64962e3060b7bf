//! Writing what the rules said: firings into the outbox ([`direct`], or by a statement), incidents, cancellations of what waits.

mod direct;
mod recent;
mod table;
mod tell;
mod waiting;

use crate::cache::TableRules;
use crate::definition::Rule;
use crate::incident::{self, Incident};
use crate::index::RuleNumber;
use crate::owner::ActAs;
use crate::pending;
use crate::results::{Firing, Results};
use crate::spi::{self, texts, Value};
use crate::view;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::rc::Rc;

pub use recent::hash;

/// Writes the results, and reports the tables' rules that do not compile. The tables are tradeflow's own: written as
/// its owner, whoever changed the row.
pub fn write(results: &Results, tables: &[Rc<TableRules>], silent: bool) {
    let mut incidents: Vec<Incident> = results
        .faults
        .iter()
        .map(|f| {
            let rule = &f.table.rules[f.rule as usize].definition.name;
            Incident::failed(rule, &f.table.name, Some(&f.subject), &f.failure, f.count).skipped(f.skipped)
        })
        .collect();
    for table in tables.iter().filter(|t| t.to_report()) {
        incidents.extend(
            table.quarantined.iter().map(|(rule, failure)| Incident::invalid(rule, &table.name, failure)),
        );
        pending::reported(table);
    }
    let held = if silent { Counted::default() } else { over_limit(&results.firings) };
    incidents.extend(held.iter().map(|((_, number), (table, count))| {
        let definition = &table.rules[*number as usize].definition;
        Incident::burst(&definition.name, &table.name, *count, definition.max_firings)
    }));

    let owner = results
        .firings
        .iter()
        .map(|f| &f.table)
        .chain(results.left.iter().map(|l| &l.table))
        .chain(results.faults.iter().map(|f| &f.table))
        .chain(tables)
        .map(|t| t.extension_owner)
        .find(|owner| *owner != pg_sys::InvalidOid);
    let Some(owner) = owner else { return };
    let _as_owner = ActAs::extension_owner(owner);
    spi::connected(|| {
        cancel_waiting(results, silent);
        let is_held = |f: &Firing| held.contains_key(&(Rc::as_ptr(&f.table), f.rule));
        let rows = results.firings.iter().map(|f| {
            let compiled = &f.table.rules[f.rule as usize];
            Row {
                rule: &compiled.definition.name,
                definition: (!compiled.timed).then_some(&compiled.definition),
                source: &f.table.name,
                event: f.event.name(),
                edge: f.edge,
                subject: &f.subject,
                occurrence: &f.occurrence,
                key: f.key,
                facts: Some(f.facts),
                fire_at: f.fire_at,
                held: is_held(f),
            }
        });
        if silent {
            insert_firings(&rows.collect::<Vec<_>>(), Some("silent"));
        } else {
            insert(rows.collect());
        }
        view::queue(&results.concerned, silent);
        incident::insert(&incidents);
    });
}

type Counted<'a> = FxHashMap<(*const TableRules, RuleNumber), (&'a Rc<TableRules>, usize)>;

/// The rules that fired more often than they may in one statement.
fn over_limit(firings: &[Firing]) -> Counted<'_> {
    let mut counts: Counted = FxHashMap::default();
    for firing in firings {
        counts.entry((Rc::as_ptr(&firing.table), firing.rule)).or_insert((&firing.table, 0)).1 += 1;
    }
    counts
        .retain(|(_, number), (table, count)| *count > table.rules[*number as usize].definition.max_firings);
    counts
}

fn rule_name(firing: &Firing) -> &str {
    &firing.table.rules[firing.rule as usize].definition.name
}

/// Cancels what waits for subjects that left a view: (rule, subject, occurrence).
pub fn cancel_left<'a>(left: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
    cancel_named(left, NO_LONGER);
}

/// Cancels what waits and is answered anew: (rule, subject, occurrence).
pub fn cancel_replaced<'a>(replaced: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
    cancel_named(replaced, REPLACED);
}

fn cancel_named<'a>(names: impl Iterator<Item = (&'a str, &'a str, &'a str)>, reason: &'static str) {
    let rows = names.map(|(rule, subject, occurrence)| Cancel {
        rule,
        name: Some((subject, occurrence)),
        key: None,
        reason,
    });
    cancel(&rows.collect::<Vec<_>>());
}

/// A firing as the outbox gets it.
pub struct Row<'a> {
    pub rule: &'a str,
    /// Where the compiled rule says what becomes of the firing. None: the statement finds out.
    pub definition: Option<&'a Rule>,
    pub source: &'a str,
    pub event: &'a str,
    pub edge: &'a str,
    pub subject: &'a str,
    pub occurrence: &'a str,
    pub key: Value,
    pub facts: Value,
    pub fire_at: Value,
    pub held: bool,
}

/// Inserts firings, those that are due at once without a statement. SPI is connected, as the owner of tradeflow's tables.
pub fn insert(mut rows: Vec<Row>) {
    direct::write(&mut rows);
    insert_firings(&rows, None);
}

/// Inserts firings by a statement; returns how many there are to act on or look at. SPI is connected, as the owner of tradeflow's tables.
/// `how` is for all of them: see the statement.
pub fn insert_firings(rows: &[Row], how: Option<&str>) -> usize {
    if rows.is_empty() {
        return 0;
    }
    let each = |of: for<'b> fn(&'b Row<'_>) -> Option<&'b str>| texts(rows.iter().map(of));
    let datums = |element, of: fn(&Row) -> Value| {
        let values: Vec<Value> = rows.iter().map(of).collect();
        Some(spi::array(element, &values))
    };
    let plan = spi::plan_once(
        include_str!("sql/insert_firings.sql"),
        &[
            pg_sys::TEXTARRAYOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::JSONBARRAYOID,
            pg_sys::JSONBARRAYOID,
            pg_sys::TIMESTAMPTZARRAYOID,
            pg_sys::BOOLARRAYOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::TEXTOID,
        ],
    );
    let arguments = [
        each(|r| Some(r.rule)),
        each(|r| Some(r.source)),
        each(|r| Some(r.event)),
        each(|r| Some(r.subject)),
        each(|r| Some(r.occurrence)),
        datums(pg_sys::JSONBOID, |r| r.key),
        datums(pg_sys::JSONBOID, |r| r.facts),
        datums(pg_sys::TIMESTAMPTZOID, |r| r.fire_at),
        datums(pg_sys::BOOLOID, |r| r.held.into_datum()),
        each(|r| Some(r.edge)),
        how.and_then(|how| how.into_datum()),
    ];
    let said = spi::write(plan, &arguments);
    // SAFETY: the statement's one row is a bigint and a boolean.
    let (placed, ready) = unsafe {
        (
            said.datum(0, 0).and_then(|d| i64::from_datum(d, false)),
            said.datum(0, 1).and_then(|d| bool::from_datum(d, false)),
        )
    };
    if ready == Some(true) {
        tell::tell();
    }
    placed.unwrap_or(0) as usize
}

/// What still waits and is cancelled: what a row's rule said about the row, or what it said under the same name.
struct Cancel<'a> {
    rule: &'a str,
    name: Option<(&'a str, &'a str)>,
    key: Value,
    reason: &'a str,
}

/// The answer was yes and is so no more.
pub const NO_LONGER: &str = "no longer holds";

/// What was said before about a row that is still answered yes is said anew.
pub const REPLACED: &str = "replaced by a later match";

/// A later match replaces what still waits for its time; a "no" cancels it. In silence nothing takes its place: it stays,
/// and is asked again when it is due.
fn cancel_waiting(results: &Results, silent: bool) {
    let left = results.left.iter().filter(|l| !silent || l.reason != REPLACED).map(|l| Cancel {
        rule: &l.table.rules[l.rule as usize].definition.name,
        name: None,
        key: Some(l.key),
        reason: l.reason,
    });
    let gone = results.gone.iter().map(|g| Cancel {
        rule: &g.table.rules[g.rule as usize].definition.name,
        name: Some((&g.subject, &g.occurrence)),
        key: None,
        reason: NO_LONGER,
    });
    let timed = |f: &&Firing| !silent && f.edge == "enter" && f.table.rules[f.rule as usize].timed;
    let replaced = results.firings.iter().filter(timed).map(|f| Cancel {
        rule: rule_name(f),
        name: Some((&f.subject, &f.occurrence)),
        key: None,
        reason: REPLACED,
    });
    cancel(&left.chain(gone).chain(replaced).collect::<Vec<_>>());
}

fn cancel(rows: &[Cancel]) {
    let found = waiting::find(rows);
    if found.is_empty() {
        return;
    }
    let plan =
        spi::plan_once(include_str!("sql/cancel_waiting.sql"), &[pg_sys::INT8ARRAYOID, pg_sys::TEXTARRAYOID]);
    let ids: Vec<i64> = found.keys().copied().collect();
    spi::write(plan, &[ids.into_datum(), texts(found.values().map(|reason| Some(*reason)))]);
}
