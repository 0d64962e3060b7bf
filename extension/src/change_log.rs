//! Logging the changes of tables watched with `log => true`: old and new as jsonb, many in one insert.

use crate::error::Failure;
use crate::evaluate::{Evaluation, Version};
use crate::owner::{ActAs, PinnedPath};
use crate::pending::Entry;
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::rc::Rc;

/// A row as the log gets it. Datums live in the pending work's context.
struct Change<'a> {
    entry: &'a Entry,
    subject: String,
    old: spi::Value,
    new: spi::Value,
}

/// Logs the rows whose tables want it.
pub fn log(entries: &[Rc<Entry>]) {
    for rows in entries.chunk_by(|a, b| Rc::ptr_eq(&a.table, &b.table)) {
        if rows[0].table.logged {
            log_rows(rows);
        }
    }
}

fn log_rows(rows: &[Rc<Entry>]) {
    let table = &rows[0].table;
    let evaluation = Evaluation::new(table);
    let mut changes = Vec::with_capacity(rows.len());
    let mut failed: Option<(String, Failure, i32)> = None;
    let mut todo = rows.iter();
    loop {
        let mut current = None;
        let outcome = in_subtransaction(|| {
            // A type's own cast to json is code of whoever made it: it runs as the table's owner, who let it in.
            let _owner = ActAs::rule_owner(table.owner);
            let _path = PinnedPath::new(c"pg_catalog, pg_temp");
            for entry in todo.by_ref() {
                current = Some(entry);
                changes.push(evaluation.change(entry));
            }
            Ok(())
        });
        match (outcome, current) {
            (Err(failure), Some(entry)) => {
                let count = failed.take().map_or(1, |(_, _, count)| count + 1);
                failed = Some((evaluation.subject_of(entry), failure, count));
            }
            _ => break,
        }
    }

    let _as_owner = ActAs::extension_owner(table.extension_owner);
    spi::connected(|| {
        insert(&table.name, &changes);
        if let Some((subject, failure, count)) = &failed {
            report(&table.name, subject, failure, *count);
        }
    });
    for datum in changes.iter().flat_map(|c| [c.old, c.new]).flatten() {
        // SAFETY: a copy of our own, written by now. A statement may change a million rows.
        unsafe { pg_sys::pfree(datum.cast_mut_ptr()) };
    }
}

impl Evaluation<'_> {
    fn change<'e>(&self, entry: &'e Entry) -> Change<'e> {
        self.load(entry);
        let [old, new] = [(Version::Old, &entry.old), (Version::New, &entry.new)].map(|(version, tuple)| {
            if tuple.0.is_null() {
                None
            } else {
                self.facts(version)
            }
        });
        let version = if new.is_some() { Version::New } else { Version::Old };
        Change { entry, subject: self.subject(version), old, new }
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> spi::Value {
    let values: Vec<spi::Value> = values.map(IntoDatum::into_datum).collect();
    Some(spi::array(pg_sys::TEXTOID, &values))
}

fn insert(source: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let types = [
        pg_sys::TEXTARRAYOID,
        pg_sys::TEXTARRAYOID,
        pg_sys::TEXTARRAYOID,
        pg_sys::JSONBARRAYOID,
        pg_sys::JSONBARRAYOID,
    ];
    let plan = spi::plan(include_str!("sql/insert_changes.sql"), &types);
    let rows = |of: fn(&Change) -> spi::Value| {
        let values: Vec<spi::Value> = changes.iter().map(of).collect();
        Some(spi::array(pg_sys::JSONBOID, &values))
    };
    let arguments = [
        texts(changes.iter().map(|_| source)),
        texts(changes.iter().map(|c| c.entry.event.name())),
        texts(changes.iter().map(|c| c.subject.as_str())),
        rows(|c| c.old),
        rows(|c| c.new),
    ];
    spi::write(plan, &arguments);
}

fn report(source: &str, subject: &str, failure: &Failure, count: i32) {
    let types = [pg_sys::TEXTOID, pg_sys::TEXTOID, pg_sys::TEXTOID, pg_sys::TEXTOID, pg_sys::INT4OID];
    let plan = spi::plan(
        "insert into tradeflow.incidents (kind, source, subject, message, sqlstate, count) values ('log_error', $1, $2, $3, $4, $5)",
        &types,
    );
    let message = format!("a change of {source} for {subject} could not be logged: {}", failure.message);
    let arguments = [
        source.into_datum(),
        subject.into_datum(),
        message.into_datum(),
        failure.sqlstate().into_datum(),
        count.into_datum(),
    ];
    spi::write(plan, &arguments);
}
