//! `tradeflow._replay`: a rule asked about logged changes, for a backtest; in [`one_row`], about a single row, for an
//! explanation.
//!
//! The rules are compiled and asked as live ones are ([`crate::evaluate`]); only the rows come from elsewhere. Of each
//! logged change just the columns that the rule reads are decoded ([`decode`]).

mod clock;
mod decode;
mod one_row;

use crate::cache::{self, TableRules};
use crate::change::{self, ColumnSet};
use crate::compile::{Event, Expression};
use crate::definition::{self, Rule};
use crate::error::{sql_function, Failure};
use crate::evaluate::{Evaluation, Identity};
use crate::index::Versions;
use crate::owner::ActAs;
use crate::pending::{self, Entry, Tuple};
use crate::query;
use crate::results::{Fault, Firing, Results};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use clock::Clock;
use decode::Decoder;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::ffi::c_long;
use std::rc::Rc;

sql_function!(tradeflow_replay, pg_finfo_tradeflow_replay, replay);

/// Changes read from the log at a time.
const BATCH: c_long = 2000;
/// A rule that fails this often is not asked any more.
const MAX_FAULTS: usize = 100;

/// Compiles rules that are not stored for a table.
fn compile(source: pg_sys::Oid, rules: Vec<Rule>) -> Result<Rc<TableRules>, Failure> {
    let Some(mut table) = definition::load(source, false) else {
        return Err(Failure::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the table is not watched"));
    };
    table.rules = rules;
    table.replayed = true;
    Ok(cache::draft(source, table))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("definition: {error}")))
}

/// A column of a jsonb, ready to be looked into; it lives in the current memory context, or where it stands.
unsafe fn json_at(rows: &spi::Rows, row: usize, column: usize) -> Option<*mut pg_sys::Jsonb> {
    // SAFETY: the column is of type jsonb.
    rows.datum(row, column).map(|d| unsafe { pg_sys::pg_detoast_datum(d.cast_mut_ptr()).cast() })
}

/// Positions of the columns that these expressions read.
fn positions<'a>(table: &TableRules, expressions: impl Iterator<Item = &'a Expression>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for reads in expressions.flat_map(|e| [&e.new, &e.old]) {
        if reads.whole {
            return every(table);
        }
        found.extend(reads.attributes.iter().map(|attno| *attno as usize - 1));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn every(table: &TableRules) -> Vec<usize> {
    (0..table.columns.len()).filter(|i| !table.columns[*i].dropped).collect()
}

fn replay(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, regclass, text, timestamptz, timestamptz) returns setof record.
    unsafe {
        let definition: Rule = parse(&pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0).unwrap_or_default())?;
        let source = pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, 1).unwrap_or(pg_sys::InvalidOid);
        if !pg_sys::is_member_of_role(pg_sys::GetUserId(), definition.owner.into()) {
            return Err(Failure::new(
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("rule \"{}\" belongs to a role you are no member of", definition.name),
            ));
        }
        let range = [3, 4].map(|n| pgrx::fcinfo::pg_getarg_datum(fcinfo, n));
        pg_sys::InitMaterializedSRF(fcinfo, 0);
        let result = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let relation = pg_sys::relation_open(source, pg_sys::AccessShareLock as i32);
        let name = definition.name.clone();
        let table = compile(source, vec![definition])?;
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        if let Some((_, failure)) = table.quarantined.first().cloned() {
            return Err(Failure { message: format!("rule \"{name}\": {}", failure.message), ..failure });
        }
        let mut replay = Replay::new(&table, result);
        replay.run(range)?;
        replay.put_faults();
        drop(replay);
        pending::release();
        Ok(None)
    }
}

/// A logged change that fired, as far as its firing does not tell.
#[derive(Clone, Copy)]
struct Change {
    id: spi::Value,
    changed_at: spi::Value,
    old: spi::Value,
    new: spi::Value,
}

struct Replay<'a> {
    table: &'a Rc<TableRules>,
    evaluation: Evaluation<'a>,
    decoder: Decoder,
    /// What asking reads, and what naming the row takes.
    needed: Vec<usize>,
    /// The columns that are not decoded: they may have changed.
    unknown: ColumnSet,
    /// The index does not look at old.
    by_new_alone: bool,
    entries: [Rc<Entry>; 3],
    clock: Clock,
    faults: Vec<Fault>,
    result: *mut pg_sys::ReturnSetInfo,
}

impl<'a> Replay<'a> {
    fn new(table: &'a Rc<TableRules>, result: *mut pg_sys::ReturnSetInfo) -> Self {
        let rule = &table.rules[0];
        let row = table.row.iter().map(|row| &row.subject);
        let mut needed = positions(table, rule.condition.iter().chain(&rule.fire_at).chain(row));
        needed.extend(rule.columns.iter().flatten());
        needed.sort_unstable();
        needed.dedup();
        let unknown = every(table)
            .iter()
            .filter(|i| !needed.contains(i))
            .fold(0, |set, i| set | change::bit(table.columns[*i].attno));
        let nothing = || Tuple(std::ptr::null_mut());
        let entry = |event| {
            let table = Rc::clone(table);
            Rc::new(Entry { table, event, old: nothing(), new: nothing(), rules: Vec::new() })
        };
        let evaluation = Evaluation::over(table, &raw const pg_sys::TTSOpsVirtual);
        Replay {
            table,
            // SAFETY: the evaluation is the replay's own.
            clock: unsafe { Clock::of(&evaluation) },
            evaluation,
            // SAFETY: the table outlives the replay.
            decoder: unsafe { Decoder::new(table) },
            needed,
            unknown,
            by_new_alone: !rule.mentions_old && !rule.follows(),
            entries: [Event::Insert, Event::Update, Event::Delete].map(entry),
            faults: Vec::new(),
            result,
        }
    }

    /// Reads the log as tradeflow's owner, a batch at a time, and asks about it as the rule's.
    fn run(&mut self, range: [spi::Value; 2]) -> Result<(), Failure> {
        let owner = self.table.extension_owner;
        spi::connected(|| {
            let log = {
                let _as_owner = ActAs::extension_owner(owner);
                let types = [pg_sys::TEXTOID, pg_sys::TIMESTAMPTZOID, pg_sys::TIMESTAMPTZOID];
                let plan = spi::plan(include_str!("sql/logged_changes.sql"), &types);
                spi::Cursor::open(plan, &[self.table.name.as_str().into_datum(), range[0], range[1]])
            };
            loop {
                let rows = {
                    let _as_owner = ActAs::extension_owner(owner);
                    log.fetch(BATCH)
                };
                if rows.len() == 0 || self.faults.first().is_some_and(|f| f.count >= MAX_FAULTS) {
                    return Ok(());
                }
                self.batch(&rows)?;
                rows.free();
                // SAFETY: reads backend state; a long replay can be cancelled.
                pgrx::check_for_interrupts!();
            }
        })
    }

    fn batch(&mut self, rows: &spi::Rows) -> Result<(), Failure> {
        let mut results = Results::default();
        let mut changes: Vec<Change> = Vec::new();
        let mut next = 0;
        while next < rows.len() {
            let outcome = in_subtransaction(|| {
                let _identity = Identity::of(&self.table.rules[0]);
                while next < rows.len() {
                    next += 1;
                    self.ask(rows, next - 1, &mut results, &mut changes)?;
                }
                Ok(())
            });
            if let Err(failure) = outcome {
                let subject = rows.text(next - 1, 5).unwrap_or_default();
                results.add_fault(Fault::new(self.table, 0, subject, failure));
                if results.faults[0].count >= MAX_FAULTS {
                    break;
                }
            }
        }
        query::run(&mut results);
        for firing in &results.firings {
            // SAFETY: see `ask`: the number of the firing's change stands in the place of its key.
            let change = changes[firing.key.map_or(0, |d| d.value())];
            self.put(firing, &change);
        }
        for fault in results.faults {
            match self.faults.first_mut() {
                Some(known) => known.count += fault.count,
                None => self.faults.push(fault),
            }
        }
        Ok(())
    }

    /// Asks the rule about one change. The key of what it answers is the number of the change in `changes`.
    fn ask(
        &mut self,
        rows: &spi::Rows,
        row: usize,
        results: &mut Results,
        changes: &mut Vec<Change>,
    ) -> Result<(), Failure> {
        let table = self.table;
        let (old, new) = (self.evaluation.old, self.evaluation.new);
        // SAFETY: the statement's columns are id, changed_at, event, old, new, subject, clock; the slots are the evaluation's, filled with
        // a row of the table. The row's memory is emptied before the row is decoded into it.
        unsafe {
            let memory = (*self.evaluation.context).ecxt_per_tuple_memory;
            pg_sys::MemoryContextReset(memory);
            let outer = pg_sys::MemoryContextSwitchTo(memory);
            let event = match rows.datum(row, 2).map(|d| d.value()) {
                Some(1) => Event::Insert,
                Some(2) => Event::Update,
                _ => Event::Delete,
            };
            let versions = Versions {
                old: if event == Event::Insert { std::ptr::null_mut() } else { old },
                new: if event == Event::Delete { std::ptr::null_mut() } else { new },
                now: rows.datum(row, 1).map_or(0, |d| d.value() as i64),
                // Only the columns that the rule reads are decoded: what is computed from others cannot be had.
                computed: None,
            };
            let concerned = |changed| {
                let mut found = Vec::new();
                table.index(event).candidates(event, &table.rules, changed, &versions, &mut found);
                !found.is_empty()
            };
            let json_new = json_at(rows, row, 4);
            self.decoder.fill(new, json_new, &self.needed);
            // Most changes do not concern the rule, and most of those are told by new alone.
            if self.by_new_alone && event != Event::Delete && !concerned(change::ALL) {
                pg_sys::MemoryContextSwitchTo(outer);
                return Ok(());
            }
            let json_old = json_at(rows, row, 3);
            self.decoder.fill(old, json_old, &self.needed);
            pg_sys::MemoryContextSwitchTo(outer);
            self.clock.set(rows.datum(row, 6).or(rows.datum(row, 1)), rows.datum(row, 1));

            let changed = match event {
                Event::Update => change::changes(&table.columns, old, new) | self.unknown,
                Event::Insert | Event::Delete => change::ALL,
            };
            if !concerned(changed) {
                return Ok(());
            }
            let before = (results.firings.len(), results.asked.len());
            let entry = Rc::clone(&self.entries[event as usize - 1]);
            self.evaluation.ask(&entry, 0, &table.rules[0], results)?;
            results.left.clear();

            if (results.firings.len(), results.asked.len()) != before {
                let number = Some(pg_sys::Datum::from(changes.len()));
                results.firings[before.0..].iter_mut().for_each(|f| f.key = number);
                for asked in &mut results.asked[before.1..] {
                    asked.key = number;
                    asked.entry = self.whole(event, json_old, json_new);
                }
                let value = |column| rows.datum(row, column);
                changes.push(Change { id: value(0), changed_at: value(1), old: value(3), new: value(4) });
            }
        }
        Ok(())
    }

    /// The change with all its columns, for a query to read.
    unsafe fn whole(
        &mut self,
        event: Event,
        old: Option<*mut pg_sys::Jsonb>,
        new: Option<*mut pg_sys::Jsonb>,
    ) -> Rc<Entry> {
        let all = every(self.table);
        let [old, new] = [(self.evaluation.old, old), (self.evaluation.new, new)].map(|(slot, json)| {
            // SAFETY: as in `ask`, whose slots these are; nothing reads them after it.
            unsafe {
                let memory = (*self.evaluation.context).ecxt_per_tuple_memory;
                let outer = pg_sys::MemoryContextSwitchTo(memory);
                self.decoder.fill(slot, json, &all);
                pg_sys::MemoryContextSwitchTo(outer);
                if json.is_some() {
                    pending::copy(slot)
                } else {
                    Tuple(std::ptr::null_mut())
                }
            }
        });
        Rc::new(Entry { table: Rc::clone(self.table), event, old, new, rules: Vec::new() })
    }

    fn put(&self, firing: &Firing, change: &Change) {
        // Without a query the facts are the row as it was logged.
        let facts = if self.table.rules[0].query.is_some() {
            Some(firing.facts)
        } else if firing.edge == "leave" || firing.event == Event::Delete {
            change.old
        } else {
            change.new
        };
        self.row([
            change.id,
            change.changed_at,
            firing.event.name().into_datum(),
            firing.edge.into_datum(),
            firing.subject.as_str().into_datum(),
            firing.occurrence.as_str().into_datum(),
            firing.fire_at,
            facts,
            None,
        ]);
        // SAFETY: our own copy, put into the result by now.
        unsafe { pg_sys::pfree(firing.facts.cast_mut_ptr()) };
    }

    fn put_faults(&self) {
        for fault in &self.faults {
            let more =
                if fault.count > 1 { format!(" (and {} more)", fault.count - 1) } else { String::new() };
            let error = format!("{}{more}", fault.failure.message).into_datum();
            self.row([None, None, None, None, fault.subject.as_str().into_datum(), None, None, None, error]);
        }
    }

    fn row(&self, values: [spi::Value; 9]) {
        let mut datums = values.map(|v| v.unwrap_or(pg_sys::Datum::from(0usize)));
        let mut nulls = values.map(|v| v.is_none());
        // SAFETY: the values' types are those of the function's OUT parameters; the tuplestore copies them.
        unsafe {
            pg_sys::tuplestore_putvalues(
                (*self.result).setResult,
                (*self.result).setDesc,
                datums.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    }
}
