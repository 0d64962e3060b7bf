//! Rules over several rows: asks view rules about subjects, and compares the answers with what they answered last.
//!
//! `tradeflow._settle_transaction` is the deferred trigger of view_checks (sql/22_view_rules.sql) and takes what the
//! transaction left there ([`checks`]); `tradeflow._settle` is told whom to ask about. Both lock the subjects, [`ask`]
//! the views with a fresh snapshot, each as its rule's owner, have [`members`] compare, and fire.

mod ask;
mod checks;
mod members;
mod target;

use crate::error::{sql_function, Failure};
use crate::incident::{self, Incident};
use crate::outbox::{self, Row};
use crate::owner::ActAs;
use crate::pending;
use crate::spi;
use ask::Asked;
use members::Change;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use target::Target;

pub use checks::queue;
pub use target::forget;

sql_function!(tradeflow_settle, pg_finfo_tradeflow_settle, settle_named);
sql_function!(tradeflow_settle_transaction, pg_finfo_tradeflow_settle_transaction, settle_transaction);

/// Whom a view rule is to be asked about.
#[derive(Default)]
struct Question {
    /// All there are; true: silently.
    everybody: Option<bool>,
    /// These; true: silently.
    subjects: BTreeMap<String, bool>,
}

impl Question {
    /// One more subject, or everybody. What is asked both silently and not is not silent.
    fn add(&mut self, subject: Option<String>, silent: bool) {
        match subject {
            None => self.everybody = Some(silent && self.everybody.unwrap_or(true)),
            Some(subject) => {
                self.subjects.entry(subject).and_modify(|known| *known &= silent).or_insert(silent);
            }
        }
    }

    fn is_silent(&self, subject: &str) -> bool {
        self.everybody.unwrap_or(true) && self.subjects.get(subject).copied().unwrap_or(true)
    }
}

/// By the rules' names.
type Questions = BTreeMap<String, Question>;

/// (rules text[], subjects text[], silent boolean[]): what to ask; a subject that is NULL asks about everybody.
fn settle_named(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared so.
    let (rules, subjects, silent) = unsafe {
        (
            pgrx::fcinfo::pg_getarg::<Vec<String>>(fcinfo, 0).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<Vec<Option<String>>>(fcinfo, 1).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<Vec<bool>>(fcinfo, 2).unwrap_or_default(),
        )
    };
    let mut questions = Questions::new();
    for ((rule, subject), silent) in rules.into_iter().zip(subjects).zip(silent) {
        questions.entry(rule).or_default().add(subject, silent);
    }
    // SAFETY: the callers are functions of ours that run as the extension's owner.
    Ok(settle(unsafe { pg_sys::GetUserId() }, questions).into_datum())
}

/// Asks about what the transaction left; the first of its deferred events does it for all.
fn settle_transaction(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    let first = checks::of_event(fcinfo)?;
    // SAFETY: reads backend state.
    let may_see_what_others_commit =
        unsafe { pg_sys::XactIsoLevel } <= pg_sys::XACT_READ_COMMITTED as std::ffi::c_int;
    if let (true, Some(owner)) = (may_see_what_others_commit, crate::definition::extension_owner()) {
        let mut questions = Questions::new();
        {
            let _as_owner = ActAs::extension_owner(owner);
            for check in checks::take(first) {
                for rule in check.rules {
                    let question = questions.entry(rule).or_default();
                    check.subjects.iter().for_each(|s| question.add(Some(s.clone()), check.silent));
                }
            }
        }
        settle(owner, questions);
    }
    // The result of an AFTER trigger is ignored; a datum of zero is what it returns.
    Ok(Some(pg_sys::Datum::from(0usize)))
}

/// Returns how many entered or left.
fn settle(extension_owner: pg_sys::Oid, mut questions: Questions) -> i32 {
    if questions.is_empty() {
        return 0;
    }
    // First all locks, then the questions: locks taken in between could deadlock.
    lock(&questions);
    let targets = target::of(extension_owner, questions.keys());
    let known = {
        let _as_owner = ActAs::extension_owner(extension_owner);
        spi::connected(|| members::known(&targets, &questions))
    };
    let Asked { answers, failed } = ask::ask(&targets, &questions, &known);
    // Of those that failed nothing is known, and a rule that is not asked any more is not asked: what was answered last stays.
    let failed_rules: Vec<&str> = failed.iter().map(|(target, _)| target.rule.name.as_str()).collect();
    questions.retain(|rule, _| {
        !failed_rules.contains(&rule.as_str()) && targets.iter().any(|t| &t.rule.name == rule)
    });
    let incidents: Vec<Incident> = failed
        .iter()
        .map(|(target, failure)| Incident::failed(&target.rule.name, &target.view, None, failure, 1))
        .collect();

    let _as_owner = ActAs::extension_owner(extension_owner);
    let changes = spi::connected(|| {
        incident::insert(&incidents);
        let changes = members::remember(&targets, &questions, known, &answers);
        fire(&targets, &questions, &changes);
        changes
    });
    let count = changes.len() as i32;
    drop((answers, changes));
    pending::release();
    count
}

/// What the advisory locks of this kind have in common: `tradeflow` in ASCII, as far as 31 bits go.
const LOCKS: i32 = 1_953_655_923;

/// Locks the subjects until the end of the transaction: in a bounded number of buckets, in one order, so that neither the
/// lock table fills nor two transactions wait for each other. A subject has one bucket for all rules: they are mostly
/// asked together, and a bucket for each would leave none to others.
fn lock(questions: &Questions) {
    const BUCKETS: i64 = 1024;
    let subjects = questions.values().flat_map(|q| q.subjects.keys());
    let buckets: BTreeSet<i32> = subjects.map(|s| (outbox::hash(&[s]) & (BUCKETS - 1)) as i32).collect();
    for bucket in buckets {
        let arguments = [LOCKS.into_datum(), bucket.into_datum()];
        // SAFETY: pg_advisory_xact_lock(int, int), which returns void.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::pg_advisory_xact_lock_int4, &arguments) };
    }
}

/// Firings of those who entered and left; what still waits for those who left is cancelled.
fn fire(targets: &[Rc<Target>], questions: &Questions, changes: &[Change]) {
    let loud = |c: &&Change| {
        questions.get(&targets[c.target].rule.name).is_some_and(|question| !question.is_silent(&c.subject))
    };
    let mut counts = vec![0; targets.len()];
    changes.iter().filter(loud).for_each(|c| counts[c.target] += 1);
    let bursts: Vec<Incident> = targets
        .iter()
        .zip(&counts)
        .filter(|(target, count)| **count > target.rule.max_firings)
        .map(|(target, count)| {
            Incident::burst(&target.rule.name, &target.view, *count, target.rule.max_firings)
        })
        .collect();
    incident::insert(&bursts);
    outbox::cancel_left(
        changes
            .iter()
            .filter(loud)
            .filter(|c| c.edge == "leave")
            .map(|c| (targets[c.target].rule.name.as_str(), c.subject.as_str(), c.occurrence.as_str())),
    );
    let rows = changes.iter().filter(loud).map(|c| {
        let target = &targets[c.target];
        Row {
            rule: &target.rule.name,
            definition: Some(&target.rule),
            source: &target.view,
            event: "view",
            edge: c.edge,
            subject: &c.subject,
            occurrence: &c.occurrence,
            key: None,
            facts: c.facts,
            fire_at: None,
            held: counts[c.target] > target.rule.max_firings,
        }
    });
    outbox::insert(rows.collect());
}
