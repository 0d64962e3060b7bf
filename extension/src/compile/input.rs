//! Inputs of view rules: which changes of a row can change what the view says.
//!
//! The view is asked about a subject when a row that maps to it changed in a column that the view reads, or the mapping. Which
//! those are is known from the view's definition, the views that it reads included, as Postgres notes it for its check of
//! rights. Where that cannot be known for certain (a function that may read tables by itself, row security), every change
//! counts, and so it does where the answer depends on when it is asked and the view does not say itself when to ask again.

use super::expression::Expression;
use super::lookup::{Dependency, Lookup};
use super::query;
use crate::change::{self, ColumnSet};
use crate::definition::{self, Column};
use crate::dependencies::Reads;
use crate::partition;
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::pg_sys;

/// The columns of `relation`, the input's table, one of which must change in an update for the view to be asked, now as the rule's
/// owner. `mapping`: the expression, or else the SELECT, that maps a row to subjects.
///
/// # Safety
/// `relation` is open, and `columns` are its columns.
pub unsafe fn changes_that_matter(
    definition: &definition::Rule,
    mapping: Result<&Expression, &str>,
    relation: pg_sys::Relation,
    columns: &[Column],
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
) -> ColumnSet {
    let Some(view) = &definition.view else { return change::ALL };
    // A view that is gone, or that the owner may not read, is no reason to fail here: asking it will say so.
    let found = in_subtransaction(|| {
        Ok(spi::connected(|| {
            let plan = spi::prepare(&format!("select * from {view}"), &[]);
            let names = query::result_columns(plan);
            let of_view = Reads::of(plan);
            let of_mapping = match mapping {
                // SAFETY: a valid expression.
                Ok(expression) => unsafe { Reads::of_expression(expression.planned) },
                Err(select) => query::reads(select, &lookup.name),
            };
            let asks_again = names.iter().any(|name| name == "fire_at" || name == "recheck_at");
            (of_view, of_mapping, asks_again)
        }))
    });
    let Ok((of_view, of_mapping, asks_again)) = found else { return change::ALL };
    dependencies.extend(of_view.depends_on.iter().chain(&of_mapping.depends_on));
    if of_view.more || of_mapping.more || (!asks_again && (of_view.clock || of_mapping.clock)) {
        return change::ALL;
    }
    // SAFETY: the caller's promise.
    unsafe {
        // A table that the view does not look at stands for something else: whoever named it wants to be asked.
        let Some(read_by_view) = read(&of_view, relation, columns) else { return change::ALL };
        let read_by_mapping = match mapping {
            Ok(expression) => expression.new.set() | expression.old.set(),
            Err(_) => read(&of_mapping, relation, columns).unwrap_or(0),
        };
        read_by_view | read_by_mapping
    }
}

/// The columns of the table that are read; None: it is not read at all.
unsafe fn read(reads: &Reads, relation: pg_sys::Relation, columns: &[Column]) -> Option<ColumnSet> {
    // SAFETY: an open relation; its ancestors exist, and so do the columns that are read of them.
    unsafe {
        let relid = (*relation).rd_id;
        let of_itself = reads.columns_of(relid).map(|attributes| set(&attributes, columns));
        let Some((root, between)) = partition::ancestors(relid) else {
            return match partition::has_parent(relid) {
                true => Some(change::ALL), // what reads the parent reads this as well
                false => of_itself,
            };
        };
        // For whoever reads one partition alone, a row that moves comes or goes, whatever column changed.
        if of_itself.is_some() || between.iter().any(|relid| reads.columns_of(*relid).is_some()) {
            return Some(change::ALL);
        }
        let here = |attno| match pg_sys::get_attname(root, attno, true) {
            name if name.is_null() => 0,
            name => pg_sys::get_attnum(relid, name),
        };
        Some(set(&reads.columns_of(root)?.into_iter().map(here).collect::<Vec<i16>>(), columns))
    }
}

/// Whoever reads the row as a whole, or what is computed from other columns when it is read, reads all of them.
fn set(attributes: &[i16], columns: &[Column]) -> ColumnSet {
    attributes.iter().fold(0, |set, attno| {
        let stored = columns.iter().any(|c| c.attno == *attno && !c.dropped && !c.computed);
        set | if stored { change::bit(*attno) } else { change::ALL }
    })
}
