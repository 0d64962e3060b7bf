//! Running the queries of rules: once for all rows that passed the condition.

use crate::cache::TableRules;
use crate::compile::Query;
use crate::error::Failure;
use crate::evaluate::{Evaluation, Identity, Version};
use crate::index::RuleNumber;
use crate::pending::keep_varlena;
use crate::results::{short, Asked, Concerned, Fault, Firing, Gone, Results};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// A query that returns more for one statement is stopped: nobody meant that.
const MAX_ROWS: usize = 100_000;

/// Asks the queries about the rows that wait for it; each row they return is a firing.
pub fn run(results: &mut Results) {
    let mut asked = std::mem::take(&mut results.asked);
    asked.sort_by_key(|a| (Rc::as_ptr(&a.entry.table), a.rule));
    for rows in asked.chunk_by(|a, b| a.rule == b.rule && Rc::ptr_eq(&a.entry.table, &b.entry.table)) {
        let (table, number) = (&rows[0].entry.table, rows[0].rule);
        let rows: Vec<&Asked> = rows.iter().collect();
        match answers(table, number, &rows, results) {
            Ok(firings) => take(table, number, firings, results),
            // One of the rows is to blame: each on its own, so that the others get their answer.
            Err(_) if rows.len() > 1 => {
                for row in rows {
                    if results.gave_up(table, number) {
                        continue;
                    }
                    match answers(table, number, &[row], results) {
                        Ok(firings) => take(table, number, firings, results),
                        Err(failure) => results.add_fault(fault(table, row, failure)),
                    }
                }
            }
            Err(failure) => results.add_fault(fault(table, rows[0], failure)),
        }
    }
}

/// What the query says about these rows. Of rows for which the condition held before, too: what it would not have said
/// about them as they were, or for another time; what it says no more is noted as gone.
fn answers(
    table: &Rc<TableRules>,
    number: RuleNumber,
    rows: &[&Asked],
    results: &mut Results,
) -> Result<Vec<Firing>, Failure> {
    let mut answers = ask(table, number, rows, Row::AsItIs)?;
    let held: Vec<&Asked> = rows.iter().copied().filter(|row| row.held_before).collect();
    if !held.is_empty() {
        let due = |firing: &Firing| firing.fire_at.map(|d| d.value());
        let mut before = FxHashMap::default();
        for (row, firing) in ask(table, number, &held, Row::AsItWas)? {
            let due = due(&firing);
            before.insert((std::ptr::from_ref(row), firing.subject, firing.occurrence), due);
        }
        answers.retain(|(row, firing)| {
            let name = (std::ptr::from_ref(*row), firing.subject.clone(), firing.occurrence.clone());
            !row.held_before || before.remove(&name) != Some(due(firing))
        });
        results.gone.extend(before.into_keys().map(|(_, subject, occurrence)| Gone {
            table: Rc::clone(table),
            rule: number,
            subject,
            occurrence,
        }));
    }
    Ok(answers.into_iter().map(|(_, firing)| firing).collect())
}

/// What the query of a view rule's input returns are not firings but subjects to ask the view about.
fn take(table: &Rc<TableRules>, number: RuleNumber, firings: Vec<Firing>, results: &mut Results) {
    let definition = &table.rules[number as usize].definition;
    if definition.maps_to_view() {
        results.concerned.extend(
            firings.into_iter().map(|f| Concerned { rule: definition.name.clone(), subject: f.subject }),
        );
    } else {
        results.firings.extend(firings);
    }
}

fn fault(table: &Rc<TableRules>, row: &Asked, failure: Failure) -> Fault {
    Fault::new(table, row.rule, row.subject.clone(), failure)
}

/// Which of its versions a row is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    AsItIs,
    /// The old one, in the place of both.
    AsItWas,
}

/// The answers, each with the row it is about.
fn ask<'a>(
    table: &Rc<TableRules>,
    number: RuleNumber,
    rows: &[&'a Asked],
    which: Row,
) -> Result<Vec<(&'a Asked, Firing)>, Failure> {
    let rule = &table.rules[number as usize];
    let Some(query) = &rule.query else { return Ok(Vec::new()) };
    in_subtransaction(|| {
        let _identity = Identity::of(rule);
        let [new, old] =
            [Version::New, Version::Old].map(|version| versions(table, query, rows, version, which));
        spi::connected(|| {
            // Not with the statement's own snapshot: that one does not see what the statement wrote.
            let answers = spi::execute(query.plan, &[Some(new), Some(old)], false, MAX_ROWS + 1);
            if answers.len() > MAX_ROWS {
                return Err(Failure::new(
                    ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    format!("the query returned more than {MAX_ROWS} rows for one statement"),
                )
                .hint("A query is joined to each changed row: does it mention new?"));
            }
            (0..answers.len()).filter_map(|i| firing(table, number, rows, &answers, i)).collect()
        })
    })
}

/// The rows' versions as an array of the table's row type.
fn versions(
    table: &Rc<TableRules>,
    query: &Query,
    rows: &[&Asked],
    version: Version,
    which: Row,
) -> pg_sys::Datum {
    let evaluation = Evaluation::new(table);
    let rows: Vec<spi::Value> = rows
        .iter()
        .map(|row| {
            evaluation.load(&row.entry);
            // The other way round for a row as it was.
            let version = match (which, row.version) {
                (Row::AsItWas, _) => Version::Old,
                (Row::AsItIs, Version::New) => version,
                (Row::AsItIs, Version::Old) => version.other(),
            };
            evaluation.row_datum(version, &row.entry)
        })
        .collect();
    spi::array(query.row_type, &rows)
}

/// Row `i` of the answers as a firing; see [`Query`] for the columns.
fn firing<'a>(
    table: &Rc<TableRules>,
    rule: RuleNumber,
    rows: &[&'a Asked],
    answers: &spi::Rows,
    i: usize,
) -> Option<Result<(&'a Asked, Firing), Failure>> {
    // SAFETY: the columns' types are those that the query's statement casts them to.
    unsafe {
        let about = rows[i64::from_datum(answers.datum(i, 0)?, false)? as usize - 1];
        let text = |column| answers.datum(i, column).and_then(|d| String::from_datum(d, false));
        let names = short(text(2).unwrap_or_else(|| about.subject.clone()))
            .and_then(|subject| Ok((subject, short(text(3).unwrap_or_default())?)));
        let facts = answers.datum(i, 1)?;
        Some(names.map(|(subject, occurrence)| {
            let firing = Firing {
                table: Rc::clone(table),
                rule,
                event: about.entry.event,
                edge: "enter",
                facts: keep_varlena(facts),
                subject,
                occurrence,
                key: about.key,
                fire_at: answers.datum(i, 4).or(about.fire_at),
            };
            (about, firing)
        }))
    }
}
