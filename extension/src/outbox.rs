//! Writing what the rules said: firings into the outbox in one insert, incidents, cancellations of what waits.

use crate::cache::TableRules;
use crate::error::Failure;
use crate::evaluate::{Firing, Results};
use crate::index::RuleNumber;
use crate::owner::ActAs;
use crate::pending;
use crate::spi::{self, Value};
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Writes the results, and reports the tables' rules that do not compile. The tables are tradeflow's own: written as
/// its owner, whoever changed the row.
pub fn write(results: &Results, tables: &[Rc<TableRules>]) {
    let mut incidents: Vec<Incident> = results
        .faults
        .iter()
        .map(|f| {
            let rule = &f.table.rules[f.rule as usize].definition.name;
            let message = format!("rule \"{rule}\" for {}: {}", f.subject, f.failure.message);
            Incident::of("rule_error", rule, &f.table, Some(f.subject.clone()), message, &f.failure, f.count)
        })
        .collect();
    for table in tables.iter().filter(|t| t.to_report()) {
        for (rule, failure) in &table.quarantined {
            let message = format!("rule \"{rule}\" no longer compiles: {}", failure.message);
            incidents.push(Incident::of("rule_invalid", rule, table, None, message, failure, 1));
        }
        pending::reported(table);
    }
    let held = over_limit(&results.firings);
    for ((_, number), (table, count)) in &held {
        let definition = &table.rules[*number as usize].definition;
        incidents.push(Incident {
            kind: "held_burst",
            rule: definition.name.clone(),
            source: table.name.clone(),
            subject: None,
            message: format!("rule \"{}\" fired {count} times in one statement; more than {} are held", definition.name, definition.max_firings),
            detail: None,
            hint: Some(format!("look at them, then select tradeflow.release_held('{0}'); or select tradeflow.discard_held('{0}');", definition.name)),
            sqlstate: None,
            count: *count,
        });
    }

    let owner = results
        .firings
        .iter()
        .map(|f| &f.table)
        .chain(results.left.iter().map(|l| &l.table))
        .chain(results.faults.iter().map(|f| &f.table))
        .chain(tables)
        .map(|t| t.extension_owner)
        .next();
    let Some(owner) = owner else { return };
    let _as_owner = ActAs::extension_owner(owner);
    spi::connected(|| {
        cancel_waiting(results);
        insert_firings(&results.firings, |f| held.contains_key(&(Rc::as_ptr(&f.table), f.rule)));
        insert_incidents(&incidents);
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

fn text(value: &str) -> Value {
    value.into_datum()
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Value {
    let values: Vec<Value> = values.map(|v| v.and_then(text)).collect();
    Some(spi::array(pg_sys::TEXTOID, &values))
}

fn rule_name(firing: &Firing) -> &str {
    &firing.table.rules[firing.rule as usize].definition.name
}

fn insert_firings(firings: &[Firing], held: impl Fn(&Firing) -> bool) {
    if firings.is_empty() {
        return;
    }
    let each = |of: fn(&Firing) -> &str| texts(firings.iter().map(|f| Some(of(f))));
    let datums = |element, of: &dyn Fn(&Firing) -> Value| {
        let values: Vec<Value> = firings.iter().map(of).collect();
        Some(spi::array(element, &values))
    };
    let plan = spi::plan(
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
        ],
    );
    let arguments = [
        each(rule_name),
        each(|f| &f.table.name),
        each(|f| f.event.name()),
        each(|f| &f.subject),
        each(|f| &f.occurrence),
        datums(pg_sys::JSONBOID, &|f| f.key),
        datums(pg_sys::JSONBOID, &|f| Some(f.facts)),
        datums(pg_sys::TIMESTAMPTZOID, &|f| f.fire_at),
        datums(pg_sys::BOOLOID, &|f| held(f).into_datum()),
    ];
    spi::write(plan, &arguments);
}

/// A later match replaces what still waits for its time; a "no" cancels it.
fn cancel_waiting(results: &Results) {
    let timed: Vec<&Firing> =
        results.firings.iter().filter(|f| f.table.rules[f.rule as usize].timed).collect();
    if timed.is_empty() && results.left.is_empty() {
        return;
    }
    // What a row's rule said about the row, and what it said under the same name.
    struct Cancel<'a> {
        rule: &'a str,
        name: Option<(&'a str, &'a str)>,
        key: Value,
        reason: &'a str,
    }
    let left = results.left.iter().map(|l| Cancel {
        rule: &l.table.rules[l.rule as usize].definition.name,
        name: None,
        key: Some(l.key),
        reason: l.reason,
    });
    let replaced = timed.iter().map(|f| Cancel {
        rule: rule_name(f),
        name: Some((&f.subject, &f.occurrence)),
        key: None,
        reason: "replaced by a later match",
    });
    let rows: Vec<Cancel> = left.chain(replaced).collect();
    let keys: Vec<Value> = rows.iter().map(|r| r.key).collect();
    let types = [
        pg_sys::TEXTARRAYOID,
        pg_sys::TEXTARRAYOID,
        pg_sys::TEXTARRAYOID,
        pg_sys::JSONBARRAYOID,
        pg_sys::TEXTARRAYOID,
    ];
    let plan = spi::plan(include_str!("sql/cancel_waiting.sql"), &types);
    let arguments = [
        texts(rows.iter().map(|r| Some(r.rule))),
        texts(rows.iter().map(|r| r.name.map(|n| n.0))),
        texts(rows.iter().map(|r| r.name.map(|n| n.1))),
        Some(spi::array(pg_sys::JSONBOID, &keys)),
        texts(rows.iter().map(|r| Some(r.reason))),
    ];
    spi::write(plan, &arguments);
}

struct Incident {
    kind: &'static str,
    rule: String,
    source: String,
    subject: Option<String>,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    sqlstate: Option<String>,
    count: usize,
}

impl Incident {
    fn of(
        kind: &'static str,
        rule: &str,
        table: &TableRules,
        subject: Option<String>,
        message: String,
        failure: &Failure,
        count: usize,
    ) -> Incident {
        Incident {
            kind,
            rule: rule.to_string(),
            source: table.name.clone(),
            subject,
            message,
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            sqlstate: Some(failure.sqlstate()),
            count,
        }
    }
}

fn insert_incidents(incidents: &[Incident]) {
    if incidents.is_empty() {
        return;
    }
    let each = |of: fn(&Incident) -> Option<&str>| texts(incidents.iter().map(of));
    let counts: Vec<Value> = incidents.iter().map(|i| (i.count as i32).into_datum()).collect();
    let mut types = [pg_sys::TEXTARRAYOID; 9];
    types[8] = pg_sys::INT4ARRAYOID;
    let plan = spi::plan(include_str!("sql/insert_incidents.sql"), &types);
    let arguments = [
        each(|i| Some(i.kind)),
        each(|i| Some(&i.rule)),
        each(|i| Some(&i.source)),
        each(|i| i.subject.as_deref()),
        each(|i| Some(&i.message)),
        each(|i| i.detail.as_deref()),
        each(|i| i.hint.as_deref()),
        each(|i| i.sqlstate.as_deref()),
        Some(spi::array(pg_sys::INT4OID, &counts)),
    ];
    spi::write(plan, &arguments);
}
