//! Which rules a changed row can concern: found without asking them.
//!
//! Most rules say nothing about most rows. A rule's [`Gate`] knows which columns must have changed, and has cheap
//! tests taken from its condition. Rules that test a column, or what is [`computed`] from one, for equality are found by
//! the row's value in a hash table, those that compare it with a bound in a sorted list; the rest is walked through, in
//! groups that read the same columns, and sorted out by what remains of their tests ([`formula`], [`pattern`]).

mod computed;
mod extract;
mod formula;
mod pattern;
mod test;

pub use computed::Computed;
pub use test::{Side, Versions};

use crate::change::{self, ColumnSet};
use crate::compile::{Event, Expression, Rule};
use crate::definition::Column;
use rustc_hash::FxHashMap;
use test::{Check, Scale, Seen, Single, Subject, Test};

/// What must be so for a rule's condition to be worth asking.
pub struct Gate {
    /// In an update, each of these sets must have a changed column.
    changes: Vec<ColumnSet>,
    pub tests: Vec<Test>,
    /// A row that passed the tests before matters as well: what waits may have to be cancelled.
    also_before: bool,
}

impl Gate {
    /// `must_change`: what the rule's kind demands; `filter`: positions of its `columns`, to which `key` is added.
    ///
    /// # Safety
    /// The condition is a valid expression over `columns`.
    pub unsafe fn of(
        condition: Option<&Expression>,
        must_change: ColumnSet,
        filter: Option<&[usize]>,
        key: ColumnSet,
        columns: &[Column],
        also_before: bool,
    ) -> Gate {
        // SAFETY: the caller's promise.
        let found = condition.map(|c| unsafe { extract::extract(c.planned, columns) }).unwrap_or_default();
        let mut changes = found.changes;
        if must_change != change::ALL {
            changes.push(must_change);
        }
        if let Some(filter) = filter {
            changes
                .push(filter.iter().fold(key, |set, position| set | change::bit(columns[*position].attno)));
        }
        Gate { changes, tests: found.tests, also_before }
    }

    fn changed_enough(&self, changed: ColumnSet) -> bool {
        self.changes.iter().all(|set| changed & set != 0)
    }

    /// # Safety
    /// As for [`Versions::value`].
    unsafe fn admits(&self, event: Event, changed: ColumnSet, row: &Versions) -> bool {
        if event == Event::Update && !self.changed_enough(changed) {
            return false;
        }
        // SAFETY: the caller's promise.
        unsafe {
            self.tests.iter().all(|t| t.may_hold(row))
                || (self.also_before && event != Event::Insert && {
                    let before = row.before();
                    self.tests.iter().all(|t| t.may_hold(&before))
                })
        }
    }
}

/// A rule's place among its table's.
pub type RuleNumber = u32;

/// The rules of a table by what can concern them, for one event.
#[derive(Default)]
pub struct EventIndex {
    columns: Vec<ColumnIndex>,
    /// Rules without a test to find them by, in groups: the sets of columns that must change, and the rules.
    others: Vec<(Vec<ColumnSet>, Vec<RuleNumber>)>,
}

/// The rules that test one value of one version of the row.
struct ColumnIndex {
    side: Side,
    subject: Subject,
    len: i16,
    /// What must have changed for any of its rules.
    changes: ColumnSet,
    integers: FxHashMap<i64, Vec<RuleNumber>>,
    bytes: FxHashMap<Box<[u8]>, Vec<RuleNumber>>,
    ranges: Vec<RangeList>,
}

/// Rules that want a value above (or below) their bound, the easiest to please first.
struct RangeList {
    scale: Scale,
    above: bool,
    bounds: Vec<(f64, RuleNumber)>,
}

impl EventIndex {
    pub fn build(event: Event, rules: &[Rule]) -> EventIndex {
        let mut index = EventIndex::default();
        for (number, rule) in rules.iter().enumerate() {
            let number = number as RuleNumber;
            // Whatever waits for the row must be cancelled when the answer is no longer yes, at any event.
            let cancels = rule.gate.also_before && event != Event::Insert;
            if !rule.listens_to(event) && !cancels {
                continue;
            }
            // On delete nothing holds after: only a condition over old, or none at all, has something to say.
            if event == Event::Delete && rule.condition.is_some() && !rule.mentions_old && !cancels {
                continue;
            }
            match rule.gate.best_test().filter(|_| !cancels) {
                Some(test) => {
                    index.add(number, test, rule.gate.changes.first().copied().unwrap_or(change::ALL))
                }
                None => match index.others.iter_mut().find(|(changes, _)| *changes == rule.gate.changes) {
                    Some((_, group)) => group.push(number),
                    None => index.others.push((rule.gate.changes.clone(), vec![number])),
                },
            }
        }
        for column in &mut index.columns {
            for list in &mut column.ranges {
                let above = list.above;
                list.bounds.sort_by(|a, b| if above { a.0.total_cmp(&b.0) } else { b.0.total_cmp(&a.0) });
            }
        }
        index
    }

    fn add(&mut self, number: RuleNumber, test: &Single, changes: ColumnSet) {
        let known = self.columns.iter().position(|c| (c.side, c.subject) == (test.side, test.subject));
        let at = known.unwrap_or_else(|| {
            self.columns.push(ColumnIndex {
                side: test.side,
                subject: test.subject,
                len: test.len,
                changes: 0,
                integers: FxHashMap::default(),
                bytes: FxHashMap::default(),
                ranges: Vec::new(),
            });
            self.columns.len() - 1
        });
        let column = &mut self.columns[at];
        column.changes |= changes;
        match &test.check {
            Check::IntIn(values) => {
                for value in values {
                    push_once(column.integers.entry(*value).or_default(), number);
                }
            }
            Check::BytesIn(values) => {
                for value in values {
                    push_once(column.bytes.entry(value.clone()).or_default(), number);
                }
            }
            Check::Above(scale, bound) => column.range(*scale, true).push((*bound, number)),
            Check::Below(scale, bound) => column.range(*scale, false).push((*bound, number)),
            Check::IsNull | Check::NotNull | Check::Like(_) => {}
        }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.others.is_empty()
    }

    /// Adds to `found` the rules that the row may concern. `changed` is [`change::ALL`] but for updates.
    ///
    /// # Safety
    /// `row` holds deformed tuples of the table that the rules were compiled for.
    pub unsafe fn candidates(
        &self,
        event: Event,
        rules: &[Rule],
        changed: ColumnSet,
        row: &Versions,
        found: &mut Vec<RuleNumber>,
    ) {
        let mut consider = |number: &RuleNumber| {
            // SAFETY: the caller's promise.
            if unsafe { rules[*number as usize].gate.admits(event, changed, row) } {
                found.push(*number);
            }
        };
        for column in self.columns.iter().filter(|c| c.changes & changed != 0) {
            // SAFETY: the caller's promise.
            unsafe { column.visit(row, &mut consider) };
        }
        for (changes, group) in &self.others {
            if event != Event::Update || changes.iter().all(|set| changed & set != 0) {
                group.iter().for_each(&mut consider);
            }
        }
    }
}

fn push_once(numbers: &mut Vec<RuleNumber>, number: RuleNumber) {
    if numbers.last() != Some(&number) {
        numbers.push(number);
    }
}

impl Gate {
    /// The test that a rule is best found by: equality before a bound.
    fn best_test(&self) -> Option<&Single> {
        let singles = self.tests.iter().filter_map(|t| match t {
            Test::Single(Single { subject: Subject::Expression(_), .. }) | Test::Inequality(_) => None,
            Test::Single(single) => Some(single),
        });
        singles
            .filter_map(|t| match &t.check {
                Check::IntIn(_) | Check::BytesIn(_) => Some((0, t)),
                Check::Above(..) | Check::Below(..) => Some((1, t)),
                Check::IsNull | Check::NotNull | Check::Like(_) => None,
            })
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, t)| t)
    }
}

impl ColumnIndex {
    fn range(&mut self, scale: Scale, above: bool) -> &mut Vec<(f64, RuleNumber)> {
        let at = self.ranges.iter().position(|r| (r.scale, r.above) == (scale, above)).unwrap_or_else(|| {
            self.ranges.push(RangeList { scale, above, bounds: Vec::new() });
            self.ranges.len() - 1
        });
        &mut self.ranges[at].bounds
    }

    fn every_rule(&self, consider: &mut impl FnMut(&RuleNumber)) {
        let (integers, bytes) = (self.integers.values().flatten(), self.bytes.values().flatten());
        let ranges = self.ranges.iter().flat_map(|list| list.bounds.iter().map(|(_, rule)| rule));
        integers.chain(bytes).chain(ranges).for_each(consider);
    }

    /// Calls `consider` with the rules whose test the row's value passes.
    ///
    /// # Safety
    /// As for [`EventIndex::candidates`].
    unsafe fn visit(&self, row: &Versions, consider: &mut impl FnMut(&RuleNumber)) {
        // SAFETY: the caller's promise; each table is of tests on a column of the type it reads.
        unsafe {
            let datum = match row.value(self.side, self.subject) {
                // Comparisons are strict: NULL pleases none.
                Seen::Null => return,
                Seen::Unknown => return self.every_rule(consider),
                Seen::Value(datum) => datum,
            };
            if !self.integers.is_empty() {
                self.integers
                    .get(&test::integer(datum, self.len))
                    .into_iter()
                    .flatten()
                    .for_each(&mut *consider);
            }
            if !self.bytes.is_empty() {
                match test::byte_string(datum, self.len) {
                    Some(bytes) => self.bytes.get(bytes).into_iter().flatten().for_each(&mut *consider),
                    // The value is stored elsewhere: fetching it costs more than asking the rules.
                    None => self.bytes.values().flatten().for_each(&mut *consider),
                }
            }
            for list in &self.ranges {
                match test::number(datum, self.len, list.scale, row.now) {
                    Some(n) if list.above => {
                        list.bounds.iter().take_while(|(b, _)| n >= *b).for_each(|(_, r)| consider(r))
                    }
                    Some(n) => list.bounds.iter().take_while(|(b, _)| n <= *b).for_each(|(_, r)| consider(r)),
                    None => list.bounds.iter().for_each(|(_, r)| consider(r)),
                }
            }
        }
    }
}
