//! `tradeflow.members`: what views answered last, beside what they answer now.
//!
//! Most answers are what they were, so they are compared here, and only what differs is written.

use super::ask::Answer;
use super::target::Target;
use super::{Question, Questions};
use crate::clock;
use crate::pending::keep_varlena;
use crate::spi::{self, texts, Value};
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Who entered or left.
pub struct Change {
    /// Which of the targets says so.
    pub target: usize,
    pub subject: String,
    pub occurrence: String,
    /// enter or leave.
    pub edge: &'static str,
    pub facts: Value,
}

/// An answer by its name: target, subject, occurrence.
type Name = (usize, String, String);

/// What was answered last.
pub struct Known(FxHashMap<Name, Member>);

impl Known {
    /// Whether the subject is in, by its only occurrence.
    pub fn has_entered(&self, target: usize, subject: &str) -> bool {
        let name = (target, subject.to_string(), String::new());
        self.0.get(&name).is_some_and(|member| member.entered_at.is_some())
    }
}

/// A row of members.
struct Member {
    entered_at: Option<pg_sys::TimestampTz>,
    fire_at: Option<pg_sys::TimestampTz>,
    recheck_at: Option<pg_sys::TimestampTz>,
}

/// Brings members up to date; says who entered and who left. SPI is connected, as the owner of tradeflow's tables.
pub fn remember(
    targets: &[Rc<Target>],
    questions: &Questions,
    known: Known,
    answers: &[Answer],
) -> Vec<Change> {
    let now = clock::now();
    let mut known = known.0;
    // Of a rule that failed, or is not asked any more, nothing is known: what it answered last stays.
    known.retain(|(target, ..), _| questions.contains_key(&targets[*target].rule.name));
    let mut changes = Vec::new();
    let mut to_write = Vec::new();
    for answer in once_each(answers) {
        // Its time to enter is still to come: it is asked about again then.
        let waits = answer.fire_at.is_some_and(|at| at > now);
        let recheck_at = [answer.recheck_at, answer.fire_at.filter(|_| waits)].into_iter().flatten().min();
        let member = known.remove(&(answer.target, answer.subject.clone(), answer.occurrence.clone()));
        let was_in = member.as_ref().is_some_and(|m| m.entered_at.is_some());
        let enters = !waits && !was_in;
        if enters {
            changes.push(Change {
                target: answer.target,
                subject: answer.subject.clone(),
                occurrence: answer.occurrence.clone(),
                edge: "enter",
                facts: answer.facts,
            });
        }
        let same_times = |m: &Member| m.fire_at == answer.fire_at && m.recheck_at == recheck_at;
        if enters || !member.as_ref().is_some_and(same_times) {
            let entered_at = (!waits).then_some(now);
            to_write.push((answer, entered_at, recheck_at));
        }
    }
    write(targets, &to_write);
    changes.extend(forget(targets, known.into_keys().collect()));
    changes
}

/// A view may answer the same twice: the first counts, and the latest times.
fn once_each(answers: &[Answer]) -> Vec<Answer> {
    let mut places: FxHashMap<(usize, &str, &str), usize> = FxHashMap::default();
    let mut once: Vec<Answer> = Vec::with_capacity(answers.len());
    for answer in answers {
        match places.entry((answer.target, &answer.subject, &answer.occurrence)) {
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push(Answer {
                    subject: answer.subject.clone(),
                    occurrence: answer.occurrence.clone(),
                    ..*answer
                });
            }
            Entry::Occupied(place) => {
                let first = &mut once[*place.get()];
                first.fire_at = first.fire_at.max(answer.fire_at);
                first.recheck_at = first.recheck_at.max(answer.recheck_at);
            }
        }
    }
    once
}

/// What was answered last to these questions. SPI is connected, as the owner of tradeflow's tables.
pub fn known(targets: &[Rc<Target>], questions: &Questions) -> Known {
    let numbers: FxHashMap<&str, usize> =
        targets.iter().enumerate().map(|(n, target)| (target.rule.name.as_str(), n)).collect();
    let of = |everybody: bool| questions.iter().filter(move |(_, q)| q.everybody.is_some() == everybody);
    let rules = |everybody| texts(of(everybody).map(|(rule, _)| Some(rule.as_str())));
    let mut known = FxHashMap::default();
    let mut add = |sql, arguments: &[Value]| {
        let plan = spi::plan_once(sql, &[pg_sys::TEXTARRAYOID; 2][..arguments.len()]);
        let rows = spi::execute(plan, arguments, false, 0);
        let time = |i, column| rows.datum(i, column).map(|d| d.value() as pg_sys::TimestampTz);
        known.extend((0..rows.len()).filter_map(|i| {
            let target = *numbers.get(rows.text(i, 0)?.as_str())?;
            let member = Member { entered_at: time(i, 3), fire_at: time(i, 4), recheck_at: time(i, 5) };
            Some(((target, rows.text(i, 1)?, rows.text(i, 2)?), member))
        }));
        rows.free();
    };
    let subjects: BTreeSet<&str> =
        of(false).flat_map(|(_, q)| q.subjects.keys().map(String::as_str)).collect();
    if !subjects.is_empty() {
        let subjects = texts(subjects.into_iter().map(Some));
        add(include_str!("../sql/known_members.sql"), &[rules(false), subjects]);
    }
    if of(true).next().is_some() {
        add(include_str!("../sql/known_everybody.sql"), &[rules(true)]);
    }
    // A subject may be asked about for the sake of another rule.
    known.retain(|(target, subject, _): &Name, _| {
        let asked = |q: &Question| q.everybody.is_some() || q.subjects.contains_key(subject.as_str());
        questions.get(&targets[*target].rule.name).is_some_and(asked)
    });
    Known(known)
}

/// What differs: answer, time of entry, time to ask again.
type ToWrite<'a> = (Answer, Option<pg_sys::TimestampTz>, Option<pg_sys::TimestampTz>);

fn write(targets: &[Rc<Target>], rows: &[ToWrite]) {
    if rows.is_empty() {
        return;
    }
    let mut types = [pg_sys::TEXTARRAYOID; 7];
    types[3] = pg_sys::JSONBARRAYOID;
    types[4..].fill(pg_sys::TIMESTAMPTZARRAYOID);
    let plan = spi::plan_once(include_str!("../sql/remember_members.sql"), &types);
    let array = |element, of: &dyn Fn(&ToWrite) -> Value| {
        let values: Vec<Value> = rows.iter().map(of).collect();
        Some(spi::array(element, &values))
    };
    let times = |of: &dyn Fn(&ToWrite) -> Option<pg_sys::TimestampTz>| {
        array(pg_sys::TIMESTAMPTZOID, &|row| of(row).and_then(IntoDatum::into_datum))
    };
    let arguments = [
        texts(rows.iter().map(|(a, ..)| Some(targets[a.target].rule.name.as_str()))),
        texts(rows.iter().map(|(a, ..)| Some(a.subject.as_str()))),
        texts(rows.iter().map(|(a, ..)| Some(a.occurrence.as_str()))),
        array(pg_sys::JSONBOID, &|(a, ..)| a.facts),
        times(&|(_, entered_at, _)| *entered_at),
        times(&|(a, ..)| a.fire_at),
        times(&|(.., recheck_at)| *recheck_at),
    ];
    spi::write(plan, &arguments);
}

/// Removes those of whom the answer is yes no longer; they left, if they had entered.
fn forget(targets: &[Rc<Target>], gone: Vec<Name>) -> Vec<Change> {
    if gone.is_empty() {
        return Vec::new();
    }
    let plan = spi::plan_once(include_str!("../sql/forget_members.sql"), &[pg_sys::TEXTARRAYOID; 3]);
    let arguments = [
        texts(gone.iter().map(|(target, ..)| Some(targets[*target].rule.name.as_str()))),
        texts(gone.iter().map(|(_, subject, _)| Some(subject.as_str()))),
        texts(gone.iter().map(|(.., occurrence)| Some(occurrence.as_str()))),
    ];
    let rows = spi::write(plan, &arguments);
    (0..rows.len())
        .filter_map(|i| {
            let number = rows.datum(i, 0)?.value() - 1;
            let (target, subject, occurrence) = gone.get(number)?.clone();
            let facts = rows.datum(i, 1).map(keep_varlena);
            Some(Change { target, subject, occurrence, edge: "leave", facts })
        })
        .collect()
}
