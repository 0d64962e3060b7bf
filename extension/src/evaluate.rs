//! Asking the rules that a row may concern.
//!
//! Rows come as copies, some time after their change; conditions are asked as the rule's owner, many in one
//! subtransaction. An error costs its rule this row, and the subtransaction: the rest goes on in the next.
//! Queries are left to the statement's end ([`query`](crate::query)): they must see all that it wrote.

use crate::cache::TableRules;
use crate::change;
use crate::compile::{Event, Expression, Rule};
use crate::definition::Column;
use crate::error::{attempt, Failure};
use crate::index::RuleNumber;
use crate::outbox::{NO_LONGER, REPLACED};
use crate::owner::{ActAs, PinnedPath};
use crate::pending::{keep_varlena, Entry};
use crate::results::{short, Asked, Concerned, Fault, Firing, Left, Results};
use crate::subtransaction::in_subtransaction;
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use std::rc::Rc;

/// Asks the rules of these rows and adds what they say to `results`, but for the late ones, which are left there.
pub fn evaluate(entries: &[Rc<Entry>], results: &mut Results) {
    for rows in entries.chunk_by(|a, b| Rc::ptr_eq(&a.table, &b.table)) {
        let table = &rows[0].table;
        let pairs = rows.iter().flat_map(|entry| entry.rules.iter().map(move |rule| (entry, *rule)));
        let is_late = |rule: RuleNumber| table.rules[rule as usize].late;
        if table.has_late {
            let late = pairs.clone().filter(|p| is_late(p.1)).map(|(entry, rule)| (Rc::clone(entry), rule));
            results.late.extend(late);
        }
        Evaluation::new(table).run(pairs.filter(|p| !is_late(p.1)), results);
    }
}

/// Asks the late rules, with a snapshot that has what the statement wrote.
pub fn evaluate_late(results: &mut Results) {
    if results.late.is_empty() {
        return;
    }
    let late = std::mem::take(&mut results.late);
    // SAFETY: what SPI does before a statement that is not read-only. An error that unwinds ends the transaction or
    // subtransaction, and its snapshots with it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
    for rows in late.chunk_by(|a, b| Rc::ptr_eq(&a.0.table, &b.0.table)) {
        Evaluation::new(&rows[0].0.table).run(rows.iter().map(|(entry, rule)| (entry, *rule)), results);
    }
    // SAFETY: the one pushed above: evaluation leaves the stack as it was.
    unsafe { pg_sys::PopActiveSnapshot() };
}

/// The executor state for the rows of one table. Its own for every call: evaluation may be entered again while it is
/// at work, by a statement of a trigger.
pub struct Evaluation<'a> {
    table: &'a Rc<TableRules>,
    pub context: *mut pg_sys::ExprContext,
    pub old: *mut pg_sys::TupleTableSlot,
    pub new: *mut pg_sys::TupleTableSlot,
}

impl Drop for Evaluation<'_> {
    fn drop(&mut self) {
        // When an error unwinds, the memory goes with its context.
        if !std::thread::panicking() {
            // SAFETY: made by `new`.
            unsafe {
                pg_sys::ExecDropSingleTupleTableSlot(self.old);
                pg_sys::ExecDropSingleTupleTableSlot(self.new);
                pg_sys::FreeExprContext(self.context, true);
            }
        }
    }
}

impl<'a> Evaluation<'a> {
    pub fn new(table: &'a Rc<TableRules>) -> Self {
        Evaluation::over(table, &raw const pg_sys::TTSOpsMinimalTuple)
    }

    /// The same over slots of another kind.
    pub fn over(table: &'a Rc<TableRules>, slots: *const pg_sys::TupleTableSlotOps) -> Self {
        // SAFETY: the table's descriptor lives as long as the table.
        unsafe {
            let slot = || pg_sys::MakeSingleTupleTableSlot(table.descriptor, slots);
            let (old, new, context) = (slot(), slot(), pg_sys::CreateStandaloneExprContext());
            // What expressions keep from one evaluation to the next must live as long as they do.
            (*context).ecxt_per_query_memory = table.context;
            Evaluation { table, context, old, new }
        }
    }

    fn run<'e>(&self, pairs: impl Iterator<Item = (&'e Rc<Entry>, RuleNumber)>, results: &mut Results) {
        let mut todo = pairs.peekable();
        while todo.peek().is_some() {
            let mut current = None;
            let mut loaded: *const Entry = std::ptr::null();
            let outcome = in_subtransaction(|| {
                let mut identity: Option<(Identity, &Rule)> = None;
                for (entry, number) in todo.by_ref() {
                    current = Some((entry, number));
                    if results.gave_up(self.table, number) {
                        continue;
                    }
                    if !std::ptr::eq(loaded, Rc::as_ptr(entry)) {
                        self.load(entry);
                        loaded = Rc::as_ptr(entry);
                    }
                    let rule = &self.table.rules[number as usize];
                    if !identity.as_ref().is_some_and(|(_, r)| r.owner == rule.owner && r.path == rule.path) {
                        drop(identity.take());
                        identity = Some((Identity::of(rule), rule));
                    }
                    self.ask(entry, number, rule, results)?;
                }
                Ok(())
            });
            if let (Err(failure), Some((entry, rule))) = (outcome, current) {
                let subject = self.subject_of(entry);
                results.add_fault(Fault::new(self.table, rule, subject, failure));
            }
        }
    }

    /// Puts a row's versions into the slots; what is not there is all NULL.
    pub fn load(&self, entry: &Entry) {
        // SAFETY: copies of rows of the table; the slots are ours.
        unsafe {
            pg_sys::MemoryContextReset((*self.context).ecxt_per_tuple_memory);
            for (slot, tuple) in [(self.old, &entry.old), (self.new, &entry.new)] {
                if tuple.0.is_null() {
                    pg_sys::ExecStoreAllNullTuple(slot);
                } else {
                    pg_sys::ExecStoreMinimalTuple(tuple.0, slot, false);
                }
            }
        }
    }

    /// One version as a composite datum; None when it is not there.
    pub fn row_datum(&self, version: Version, entry: &Entry) -> Option<pg_sys::Datum> {
        let (slot, tuple) = match version {
            Version::Old => (self.old, &entry.old),
            Version::New => (self.new, &entry.new),
        };
        // SAFETY: the slot holds the tuple.
        (!tuple.0.is_null()).then(|| unsafe { pg_sys::ExecFetchSlotHeapTupleDatum(slot) })
    }

    /// Evaluates with this version in the place of new, and the old one (or nothing) in the place of old.
    fn with<T>(&self, new: Version, f: impl FnOnce(*mut pg_sys::ExprContext) -> T) -> T {
        // SAFETY: the context and the slots are ours, and the expressions were compiled for the table. Values are
        // made in the row's memory, emptied by `load`.
        unsafe {
            (*self.context).ecxt_innertuple = self.old;
            (*self.context).ecxt_outertuple = if new == Version::New { self.new } else { self.old };
            let before = pg_sys::MemoryContextSwitchTo((*self.context).ecxt_per_tuple_memory);
            let value = f(self.context);
            pg_sys::MemoryContextSwitchTo(before);
            value
        }
    }

    fn holds(&self, rule: &Rule, version: Version) -> bool {
        match &rule.condition {
            None => true,
            // SAFETY: see `with`.
            Some(condition) => self.with(version, |context| unsafe { condition.holds(context) }),
        }
    }

    /// The value of an expression over the loaded row.
    pub fn value(&self, expression: &Expression, version: Version) -> Option<pg_sys::Datum> {
        // SAFETY: see `with`.
        self.with(version, |context| unsafe { expression.evaluate(context) })
    }

    /// Asks a rule about the loaded row.
    pub fn ask(
        &self,
        entry: &Rc<Entry>,
        number: RuleNumber,
        rule: &Rule,
        results: &mut Results,
    ) -> Result<(), Failure> {
        if rule.definition.maps_to_view() {
            return self.map(entry, number, rule, results);
        }
        let (event, follows) = (entry.event, rule.follows());
        let had_key = follows && event == Event::Update && self.key_changed();
        if event == Event::Update && !had_key && !self.filter_passes(rule) {
            return Ok(());
        }
        // On insert nothing held before, on delete nothing holds after, whatever NULLs make of the condition.
        let holds = match event {
            Event::Delete => {
                rule.condition.is_none() || (rule.mentions_old && self.holds(rule, Version::New))
            }
            Event::Insert | Event::Update => self.holds(rule, Version::New),
        };
        let gone = event == Event::Delete || (event == Event::Update && (!holds || had_key));
        if follows && gone && self.holds(rule, Version::Old) {
            self.leave(number, NO_LONGER, results);
            if rule.definition.leaves {
                self.fire_leave(number, event, results)?;
            }
        }
        if !holds || !rule.listens_to(event) {
            return Ok(());
        }
        let version = if event == Event::Delete { Version::Old } else { Version::New };
        let fire_at = rule.fire_at.as_ref().and_then(|e| self.value(e, version));
        let entered =
            event != Event::Update || !rule.on_enter || had_key || !self.holds(rule, Version::Old) || {
                // While the condition holds, a new due time is a match too.
                rule.fire_at.as_ref().is_some_and(|e| {
                    self.value(e, Version::Old).map(|d| d.value()) != fire_at.map(|d| d.value())
                })
            };
        // The query may say that an answer is due at another time, which is a match too.
        let held_before = !entered;
        if held_before && !rule.query.as_ref().is_some_and(|query| query.timed) {
            return Ok(());
        }
        if follows && event == Event::Update && !had_key && entered {
            self.leave(number, REPLACED, results);
        }
        let subject = short(self.subject(version))?;
        let key = (follows || rule.definition.still.is_some())
            .then(|| self.key(version))
            .flatten()
            .filter(|_| event != Event::Delete);
        if rule.query.is_some() {
            let entry = Rc::clone(entry);
            let version = Version::New;
            results.asked.push(Asked { entry, rule: number, subject, key, fire_at, version, held_before });
        } else if let Some(facts) = self.facts(version) {
            results.firings.push(Firing {
                table: Rc::clone(self.table),
                rule: number,
                event,
                edge: "enter",
                subject,
                occurrence: String::new(),
                key,
                facts,
                fire_at,
            });
        }
        Ok(())
    }

    /// The answer was yes for old and is so no longer: what the rule's leave actions get.
    fn fire_leave(&self, rule: RuleNumber, event: Event, results: &mut Results) -> Result<(), Failure> {
        let Some(facts) = self.facts(Version::Old) else {
            return Ok(());
        };
        results.firings.push(Firing {
            table: Rc::clone(self.table),
            rule,
            event,
            edge: "leave",
            subject: short(self.subject(Version::Old))?,
            occurrence: String::new(),
            key: None,
            facts,
            fire_at: None,
        });
        Ok(())
    }

    /// The subjects of a view rule that the row belongs to: what it was and what it is both count.
    fn map(
        &self,
        entry: &Rc<Entry>,
        number: RuleNumber,
        rule: &Rule,
        results: &mut Results,
    ) -> Result<(), Failure> {
        for (version, tuple) in [(Version::Old, &entry.old), (Version::New, &entry.new)] {
            if tuple.0.is_null() {
                continue;
            }
            if rule.query.is_some() {
                let (entry, subject) = (Rc::clone(entry), self.subject(version));
                results.asked.push(Asked {
                    entry,
                    rule: number,
                    subject,
                    key: None,
                    fire_at: None,
                    version,
                    held_before: false,
                });
            } else if let Some(expression) = &rule.subject {
                let datum = self.value(expression, version);
                // SAFETY: a subject expression is of type text.
                if let Some(subject) = datum.and_then(|d| unsafe { String::from_datum(d, false) }) {
                    results
                        .concerned
                        .push(Concerned { rule: rule.definition.name.clone(), subject: short(subject)? });
                }
            }
        }
        Ok(())
    }

    fn leave(&self, rule: RuleNumber, reason: &'static str, results: &mut Results) {
        if let Some(key) = self.key(Version::Old) {
            results.left.push(Left { table: Rc::clone(self.table), rule, key, reason });
        }
    }

    /// The key columns with their values, as jsonb that is kept.
    fn key(&self, version: Version) -> Option<pg_sys::Datum> {
        self.table.row.as_ref().and_then(|row| self.value(&row.key, version)).map(keep_varlena)
    }

    /// A version of the loaded row as jsonb that is kept.
    pub fn facts(&self, version: Version) -> Option<pg_sys::Datum> {
        self.table.row.as_ref().and_then(|row| row.facts.of(self, version))
    }

    pub fn columns(&self) -> &[Column] {
        &self.table.columns
    }

    /// Whether one of the rule's `columns` changed.
    fn filter_passes(&self, rule: &Rule) -> bool {
        rule.columns.as_ref().is_none_or(|positions| positions.iter().any(|i| self.differs(*i)))
    }

    fn key_changed(&self) -> bool {
        let Some(row) = &self.table.row else { return false };
        row.subject.new.attributes.iter().any(|attno| self.differs(*attno as usize - 1))
    }

    fn differs(&self, column: usize) -> bool {
        let columns = &self.table.columns;
        // SAFETY: both slots hold rows of the table, deformed here.
        unsafe {
            change::deform(self.old, columns);
            change::deform(self.new, columns);
            change::differs(&columns[column], column, self.old, self.new)
        }
    }

    /// The key of a version of the loaded row, as text.
    pub fn subject(&self, version: Version) -> String {
        let datum = self.table.row.as_ref().and_then(|row| self.value(&row.subject, version));
        // SAFETY: the subject is an expression of type text.
        datum.and_then(|d| unsafe { String::from_datum(d, false) }).unwrap_or_default()
    }

    /// The subject of a row that a rule failed for.
    pub fn subject_of(&self, entry: &Entry) -> String {
        self.load(entry);
        let version = if entry.event == Event::Delete { Version::Old } else { Version::New };
        attempt(|| Ok(self.subject(version))).unwrap_or_default()
    }
}

/// One of a row's two versions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Old,
    New,
}

impl Version {
    pub fn other(self) -> Version {
        match self {
            Version::Old => Version::New,
            Version::New => Version::Old,
        }
    }
}

/// A rule's identity while it is evaluated: its owner and its path.
pub struct Identity {
    _path: PinnedPath,
    _owner: ActAs,
}

impl Identity {
    pub fn of(rule: &Rule) -> Identity {
        let owner = ActAs::rule_owner(rule.owner);
        Identity { _path: PinnedPath::new(&rule.path), _owner: owner }
    }
}
