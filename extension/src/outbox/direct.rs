//! Firings that are due at once, written into the outbox without a statement: as logical replication applies rows.
//!
//! The statement (sql/insert_firings.sql) knows all that may become of a firing, and costs accordingly. Most are executed
//! at once, or only recorded: here that is known from the compiled rule, and a row costs its place in the table and its
//! indexes. Timers, once rules, bursts, loops, delays, lanes by template are left to the statement.

use super::recent::Recent;
use super::table::Table;
use crate::cache::TableRules;
use crate::definition::{self, FirstAction};
use crate::index::RuleNumber;
use crate::results::Firing;
use crate::spi::Value;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use rustc_hash::{FxHashMap, FxHashSet};
use std::rc::Rc;

/// Writes the firings that it can and takes them out of `firings`. Acting as the owner of tradeflow's tables. `held`: what
/// is one of too many in its statement.
pub fn write(firings: &mut Vec<&Firing>, held: impl Fn(&Firing) -> bool) {
    let plain: Vec<&Firing> = firings.iter().filter(|f| is_plain(f) && !held(f)).copied().collect();
    let Some(one) = plain.first().filter(|_| !traced()) else { return };
    // SAFETY: what was done so far is seen by the scans below, as SPI has it for a statement; reads the time of the
    // transaction's start.
    let now = unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::GetCurrentTransactionStartTimestamp()
    };
    let Some(mut outbox) = Table::open(c"outbox", OUTBOX) else { return };
    let Some(mut recent) = Recent::open(one.table.clock.unwrap_or(now)) else { return outbox.close() };

    let hashes: Vec<i64> = plain.iter().map(|f| Recent::hash(&rule(f).name, &f.subject)).collect();
    let looping = looping(&plain, &hashes, &mut recent);
    let firing_ids = outbox.sequence(c"firing_id");
    let mut ready = false;
    let mut texts = FxHashMap::default();
    for (firing, hash) in plain.iter().zip(&hashes).filter(|(f, _)| !looping.contains(&key(f))) {
        let first = first(firing);
        if firing.edge == "leave" && first.is_none() {
            continue; // told only to those who asked
        }
        let (rule, state) = (rule(firing), state(firing));
        // Names that many rows share are told apart by where they lie.
        let mut shared = |text: &str| {
            Some(*texts.entry((text.as_ptr(), text.len())).or_insert_with(|| outbox.keep_text(text)))
        };
        let values = [
            next_value(firing_ids),
            shared(&rule.name),
            rule.version.into_datum(),
            shared(&firing.table.name),
            shared(firing.event.name()),
            outbox.text(&[&firing.subject]),
            outbox.text(&[&firing.occurrence]),
            firing.key,
            shared(firing.edge),
            first.and_then(|a| a.step.into_datum()),
            first.and_then(|a| shared(a.name.as_deref()?)),
            first.and_then(|a| shared(&a.kind)),
            first.and_then(|a| shared(a.target.as_deref()?)),
            outbox.text(&[&firing.table.name, ":", &firing.subject]),
            shared(state),
            Some(firing.facts),
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
    firings.retain(|f| !is_plain(f) || held(f) || looping.contains(&key(f)));
    if ready {
        let [channel, payload] = ["tradeflow", ""].map(IntoDatum::into_datum);
        // SAFETY: pg_notify(text, text), which returns void; equal notifications of a transaction are one.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::pg_notify, &[channel, payload]) };
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

fn rule(firing: &Firing) -> &definition::Rule {
    &firing.table.rules[firing.rule as usize].definition
}

fn key(firing: &Firing) -> (*const TableRules, RuleNumber) {
    (Rc::as_ptr(&firing.table), firing.rule)
}

fn first(firing: &Firing) -> Option<&FirstAction> {
    rule(firing).first.get(firing.edge)
}

/// Whether the firing is due now, whatever else there is.
fn is_plain(firing: &Firing) -> bool {
    let compiled = &firing.table.rules[firing.rule as usize];
    firing.fire_at.is_none()
        && !compiled.timed
        && compiled.definition.fires != "once"
        && !first(firing).is_some_and(|action| action.special)
}

fn state(firing: &Firing) -> &'static str {
    match (rule(firing).mode.as_str(), first(firing)) {
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
fn looping(
    firings: &[&Firing],
    hashes: &[i64],
    recent: &mut Recent,
) -> FxHashSet<(*const TableRules, RuleNumber)> {
    let mut counts: FxHashMap<i64, i32> = FxHashMap::default();
    let mut looping = FxHashSet::default();
    for (firing, hash) in firings.iter().zip(hashes) {
        if rule(firing).mode == "shadow" {
            continue;
        }
        let count = counts.entry(*hash).or_insert_with(|| recent.count(*hash));
        *count += 1;
        if *count > rule(firing).max_per_subject {
            looping.insert(key(firing));
        }
    }
    looping
}
