//! A row that moves between partitions is one update.
//!
//! Postgres executes the move as a delete in one partition and, right after it, an insert in another. So a delete is
//! held back until the next event of the table: an insert with the same key makes it an update, anything else a delete.

use crate::cache::TableRules;
use crate::compile::Event;
use crate::index::RuleNumber;
use crate::observe::observe;
use crate::pending::{self, Departure, Statement};
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use std::rc::Rc;

/// What became of an event in a partition.
pub enum Step {
    /// It is dealt with: held back, or taken together with the delete before it.
    Handled,
    /// The delete before it was one; the event itself is still to be looked at.
    Settled,
    /// There is nothing special about it.
    Nothing,
}

/// Takes an event in a partition together with a delete held back.
///
/// # Safety
/// The slots hold rows of the table as the event has them; `context` is the executor's for this row.
pub unsafe fn step(
    table: &Rc<TableRules>,
    event: Event,
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
    context: *mut pg_sys::ExprContext,
    found: &mut Vec<RuleNumber>,
) -> Step {
    // SAFETY: the caller's promise.
    unsafe {
        let statement = Statement::of(context);
        let before = pending::take_departure(statement, table.root);
        match (event, before) {
            (Event::Insert, Some(departure)) if departure.subject == subject(table, new, context) => {
                let old = departure.as_row_of(table);
                observe(statement, table, Event::Update, old, new, found);
                pg_sys::ExecDropSingleTupleTableSlot(old);
                Step::Handled
            }
            (Event::Delete, before) => {
                if let Some(departure) = before {
                    settle(statement, departure, found);
                }
                let departure = Departure {
                    table: Rc::clone(table),
                    subject: subject(table, old, context),
                    tuple: pending::copy(old),
                };
                pending::depart(statement, departure);
                Step::Handled
            }
            (_, Some(departure)) => {
                settle(statement, departure, found);
                Step::Settled
            }
            (_, None) => Step::Nothing,
        }
    }
}

/// Deletes that no insert followed are deletes.
pub fn settle_all(statement: Statement) {
    let mut found = Vec::new();
    for departure in pending::take_departures(statement) {
        settle(statement, departure, &mut found);
    }
}

fn settle(statement: Statement, departure: Departure, found: &mut Vec<RuleNumber>) {
    // SAFETY: the row is one of the table's; the slot is ours.
    unsafe {
        let slot = departure.slot();
        observe(statement, &departure.table, Event::Delete, slot, std::ptr::null_mut(), found);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
    }
}

/// The key of the row in a slot, as text.
unsafe fn subject(
    table: &TableRules,
    slot: *mut pg_sys::TupleTableSlot,
    context: *mut pg_sys::ExprContext,
) -> String {
    // SAFETY: the slot holds a row of the table. The executor's context is used for one evaluation and put back.
    unsafe {
        let kept = ((*context).ecxt_outertuple, (*context).ecxt_per_query_memory);
        ((*context).ecxt_outertuple, (*context).ecxt_per_query_memory) = (slot, table.context);
        let subject = table.row.as_ref().and_then(|row| row.subject.evaluate(context));
        ((*context).ecxt_outertuple, (*context).ecxt_per_query_memory) = kept;
        subject.and_then(|datum| String::from_datum(datum, false)).unwrap_or_default()
    }
}

impl Departure {
    /// The row in a slot of its own partition.
    unsafe fn slot(&self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: the tuple is a copy of a row of the table.
        unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(
                self.table.descriptor,
                &raw const pg_sys::TTSOpsMinimalTuple,
            );
            pg_sys::ExecStoreMinimalTuple(self.tuple.0, slot, false);
            slot
        }
    }

    /// The row in a slot of another partition, whose columns may be in another order.
    unsafe fn as_row_of(&self, table: &TableRules) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: both are partitions of one table: columns of one name are of one type.
        unsafe {
            let from = self.slot();
            let to = pg_sys::MakeSingleTupleTableSlot(table.descriptor, &raw const pg_sys::TTSOpsVirtual);
            crate::change::deform(from, &self.table.columns);
            for (i, column) in table.columns.iter().enumerate() {
                let source = self.table.columns.iter().position(|c| !c.dropped && c.name == column.name);
                match source.filter(|_| !column.dropped) {
                    Some(at) => {
                        *(*to).tts_values.add(i) = *(*from).tts_values.add(at);
                        *(*to).tts_isnull.add(i) = *(*from).tts_isnull.add(at);
                    }
                    None => *(*to).tts_isnull.add(i) = true,
                }
            }
            pg_sys::ExecStoreVirtualTuple(to);
            to
        }
    }
}

/// The root that a table is a partition of, and what lies between them; None when it is no partition.
pub fn ancestors(relid: pg_sys::Oid) -> Option<(pg_sys::Oid, Vec<pg_sys::Oid>)> {
    // SAFETY: look-ups in the catalogue.
    unsafe {
        if !pg_sys::get_rel_relispartition(relid) {
            return None;
        }
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| raw::get_partition_ancestors(relid));
        let mut between: Vec<pg_sys::Oid> = crate::dependencies::oids(list).collect();
        Some((between.pop()?, between))
    }
}

/// Whether a table has parents that it inherits from, or is a partition of.
pub fn has_parent(relid: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the catalogue.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| raw::has_superclass(relid)) }
}

/// Postgres' own, which pgrx does not declare.
mod raw {
    use super::pg_sys;
    extern "C-unwind" {
        pub fn has_superclass(relid: pg_sys::Oid) -> bool;
        pub fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List;
    }
}
