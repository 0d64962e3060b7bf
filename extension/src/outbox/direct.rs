//! Firings that are due at once, written into the outbox without a statement: as logical replication applies rows.
//!
//! The statement (sql/insert_firings.sql) knows all that may become of a firing, and costs accordingly. Most are executed
//! at once, or only recorded: here that is known from the compiled rule, and a row costs its place in the table and its
//! indexes. Timers, once rules, bursts, loops, delays, lanes by template are left to the statement.

use super::recent::{hash, Recent};
use super::table::Table;
use super::tell::tell;
use super::Row;
use crate::definition::{FirstAction, Rule};
use crate::spi::Value;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use rustc_hash::{FxHashMap, FxHashSet};

/// Writes the firings that it can and takes them out of `rows`. Acting as the owner of tradeflow's tables.
pub fn write(rows: &mut Vec<Row>) {
    let due: Vec<(&Row, &Rule)> = rows.iter().filter_map(|r| Some((r, plain(r)?))).collect();
    if due.is_empty() || traced() {
        return;
    }
    // SAFETY: what was done so far is seen by the scans below, as SPI has it for a statement; reads the time of the
    // transaction's start.
    let now = unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::GetCurrentTransactionStartTimestamp()
    };
    let Some(mut outbox) = Table::open(c"outbox", OUTBOX) else { return };
    let Some(mut recent) = Recent::open() else { return outbox.close() };

    let hashes: Vec<i64> = due.iter().map(|(r, _)| hash(&[r.rule, ":", r.subject])).collect();
    let looping = looping(&due, &hashes, &mut recent);
    let firing_ids = outbox.sequence(c"firing_id");
    let mut ready = false;
    let mut texts = FxHashMap::default();
    for ((row, rule), hash) in due.iter().zip(&hashes).filter(|((_, r), _)| !looping.contains(&key(r))) {
        let first = first(row, rule);
        if row.edge == "leave" && first.is_none() {
            continue; // told only to those who asked
        }
        let state = state(rule, first);
        // Names that many rows share are told apart by where they lie.
        let mut shared = |text: &str| {
            Some(*texts.entry((text.as_ptr(), text.len())).or_insert_with(|| outbox.keep_text(text)))
        };
        let values = [
            next_value(firing_ids),
            shared(row.rule),
            rule.version.into_datum(),
            shared(row.source),
            shared(row.event),
            outbox.text(&[row.subject]),
            outbox.text(&[row.occurrence]),
            row.key,
            shared(row.edge),
            first.and_then(|a| a.step.into_datum()),
            first.and_then(|a| shared(a.name.as_deref()?)),
            first.and_then(|a| shared(&a.kind)),
            first.and_then(|a| shared(a.target.as_deref()?)),
            outbox.text(&[row.source, ":", row.subject]),
            shared(state),
            row.facts,
            now.into_datum(),
            first.map_or(1, |a| a.max_attempts).into_datum(),
            now.into_datum(),
        ];
        outbox.insert(&values);
        ready |= state == "ready";
        if state != "shadow" {
            recent.note(*hash);
        }
    }
    recent.close();
    outbox.close();
    rows.retain(|row| plain(row).is_none_or(|rule| looping.contains(&key(rule))));
    if ready {
        tell();
    }
}

fn next_value(sequence: pg_sys::Oid) -> Value {
    // SAFETY: nextval(regclass).
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::nextval_oid, &[sequence.into_datum()]) }
}

/// The columns that are given, in the order of `values`. The others have their defaults.
const OUTBOX: &[&str] = &[
    "firing_id",
    "rule",
    "rule_version",
    "source",
    "event",
    "subject",
    "occurrence",
    "key",
    "edge",
    "step",
    "action",
    "kind",
    "target",
    "lane",
    "state",
    "facts",
    "run_at",
    "max_attempts",
    "created_at",
];

/// A rule by where it lies.
fn key(rule: &Rule) -> *const Rule {
    rule
}

fn first<'a>(row: &Row, rule: &'a Rule) -> Option<&'a FirstAction> {
    rule.first.get(row.edge)
}

/// The rule of a firing that is due now, whatever else there is.
fn plain<'a>(row: &Row<'a>) -> Option<&'a Rule> {
    row.definition.filter(|rule| {
        row.fire_at.is_none()
            && !row.held
            && rule.fires != "once"
            && !first(row, rule).is_some_and(|action| action.special)
    })
}

fn state(rule: &Rule, first: Option<&FirstAction>) -> &'static str {
    match (rule.mode.as_str(), first) {
        ("shadow", _) => "shadow",
        (_, None) => "done",
        (_, Some(_)) => "ready",
    }
}

/// Whether the session named a trace: the statement says what becomes of it.
fn traced() -> bool {
    // SAFETY: reads the value of a setting.
    unsafe {
        let value = pg_sys::GetConfigOption(c"tradeflow.traceparent".as_ptr(), true, false);
        !value.is_null() && *value != 0
    }
}

/// The rules that have fired about one of these subjects as often as they may within an hour, or would by now.
fn looping(due: &[(&Row, &Rule)], hashes: &[i64], recent: &mut Recent) -> FxHashSet<*const Rule> {
    let mut counts: FxHashMap<i64, i32> = FxHashMap::default();
    let mut looping = FxHashSet::default();
    for ((_, rule), hash) in due.iter().zip(hashes) {
        if rule.mode == "shadow" {
            continue;
        }
        let count = counts.entry(*hash).or_insert_with(|| recent.count(*hash));
        *count += 1;
        if *count > rule.max_per_subject {
            looping.insert(key(rule));
        }
    }
    looping
}
