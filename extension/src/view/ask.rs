//! Asking views, each as its rule's owner: as many as go well in one subtransaction, with one snapshot.

use super::members::Known;
use super::target::Target;
use super::Questions;
use crate::error::Failure;
use crate::owner::{ActAs, PinnedPath};
use crate::pending::keep_varlena;
use crate::results::short;
use crate::spi::{self, texts, Value};
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::rc::Rc;

/// More subjects than this are worth a plan of their own.
const MANY: usize = 50;

/// One row of a view. Facts are kept; there are none of who has entered before.
pub struct Answer {
    /// Which of the targets said it.
    pub target: usize,
    pub subject: String,
    pub occurrence: String,
    pub fire_at: Option<pg_sys::TimestampTz>,
    pub recheck_at: Option<pg_sys::TimestampTz>,
    pub facts: Value,
}

/// What the views said, and those that failed.
#[derive(Default)]
pub struct Asked {
    pub answers: Vec<Answer>,
    pub failed: Vec<(Rc<Target>, Failure)>,
}

pub fn ask(targets: &[Rc<Target>], questions: &Questions, known: &Known) -> Asked {
    let mut asked = Asked::default();
    let mut todo = targets.iter().enumerate().peekable();
    while todo.peek().is_some() {
        let mut current = None;
        let outcome = in_subtransaction(|| {
            // SAFETY: what SPI does before a statement that is not read-only: taken after the locks, it has what their
            // former holders committed. An error that unwinds ends the subtransaction, and its snapshots with it.
            unsafe {
                pg_sys::CommandCounterIncrement();
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            spi::connected(|| {
                let mut identity: Option<(PinnedPath, ActAs, &Target)> = None;
                for (number, target) in todo.by_ref() {
                    current = Some(target);
                    let same = |t: &Target| t.owner == target.owner && t.path == target.path;
                    if !identity.as_ref().is_some_and(|(_, _, t)| same(t)) {
                        drop(identity.take());
                        let owner = ActAs::rule_owner(target.owner);
                        identity = Some((PinnedPath::new(&target.path), owner, target));
                    }
                    let before = asked.answers.len();
                    // What it said before it failed is not said.
                    target.answer(number, questions, known, &mut asked.answers).inspect_err(|_| {
                        asked.answers.truncate(before);
                    })?;
                }
                Ok(())
            })?;
            // SAFETY: the one pushed above: the questions leave the stack as it was.
            unsafe { pg_sys::PopActiveSnapshot() };
            Ok(())
        });
        if let (Err(failure), Some(target)) = (outcome, current) {
            asked.failed.push((Rc::clone(target), failure));
        }
    }
    asked
}

impl Target {
    fn answer(
        &self,
        number: usize,
        questions: &Questions,
        known: &Known,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failure> {
        let Some(question) = questions.get(&self.rule.name) else { return Ok(()) };
        let rows = if question.everybody.is_some() {
            spi::execute(spi::plan_for_arguments(&self.about_everybody, &[]), &[], true, 0)
        } else {
            let subjects = || question.subjects.keys().map(String::as_str);
            let entered = texts(subjects().filter(|s| known.has_entered(number, s)).map(Some));
            let mut types = [pg_sys::TEXTARRAYOID; 2];
            match question.subjects.len() {
                1 => {
                    types[0] = pg_sys::TEXTOID;
                    let subject = subjects().next().into_datum();
                    spi::execute(spi::plan_once(&self.about_one, &types), &[subject, entered], true, 0)
                }
                count => {
                    let plan = if count > MANY { spi::plan_for_arguments } else { spi::plan_once };
                    let subjects = texts(subjects().map(Some));
                    spi::execute(plan(&self.about_some, &types), &[subjects, entered], true, 0)
                }
            }
        };
        let time = |value: Value| value.map(|d| d.value() as pg_sys::TimestampTz);
        for i in 0..rows.len() {
            let Some(subject) = rows.text(i, 0) else { continue };
            answers.push(Answer {
                target: number,
                subject: short(subject)?,
                occurrence: short(rows.text(i, 1).unwrap_or_default())?,
                fire_at: time(rows.datum(i, 2)),
                recheck_at: time(rows.datum(i, 3)),
                facts: rows.datum(i, 4).map(keep_varlena),
            });
        }
        rows.free();
        Ok(())
    }
}
