//! Compiled rules, kept per backend and table.
//!
//! Postgres tells every backend when something changed that compiled rules depend on: the table itself, or a rule of it
//! (tradeflow._invalidate() sends the same message), by the relation cache; functions and domains by their entries
//! in the system caches. The entry is then stale, and built anew by the next statement; the statement at work keeps
//! the one it began with.

use crate::compile::{self, Dependency, Event, Lookup, RowExpressions, Rule};
use crate::definition::{self, Column};
use crate::error::{sql_function, Failure};
use crate::index::{Computed, EventIndex};
use crate::invalidation::{self, Changed};
use crate::subtransaction::in_subtransaction;
use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{AUTHMEMMEMROLE, AUTHOID};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A table's rules, compiled for its rows (or those of one of its partitions).
pub struct TableRules {
    pub relid: pg_sys::Oid,
    /// The watched table: relid, or what it is a partition of.
    pub root: pg_sys::Oid,
    pub name: String,
    pub columns: Vec<Column>,
    pub rules: Vec<Rule>,
    /// Whether one of them is late.
    pub has_late: bool,
    /// None when the table is not watched (any more).
    pub row: Option<RowExpressions>,
    pub descriptor: pg_sys::TupleDesc,
    pub extension_owner: pg_sys::Oid,
    /// The watched table's owner.
    pub owner: pg_sys::Oid,
    /// Every change is logged.
    pub logged: bool,
    /// Rules that do not compile, and why; reported once by each build.
    pub quarantined: Vec<(String, Failure)>,
    pub reported: Cell<bool>,
    /// What the rules' tests compute from a row.
    pub computed: Computed,
    insert: EventIndex,
    update: EventIndex,
    delete: EventIndex,
    dependencies: FxHashSet<Dependency>,
    stale: Cell<bool>,
    /// Holds the expressions, and what they keep.
    pub context: pg_sys::MemoryContext,
}

impl TableRules {
    pub fn index(&self, event: Event) -> &EventIndex {
        match event {
            Event::Insert => &self.insert,
            Event::Update => &self.update,
            Event::Delete => &self.delete,
        }
    }

    /// Whether there are rules that do not compile, and nobody was told yet.
    pub fn to_report(&self) -> bool {
        !self.quarantined.is_empty() && !self.reported.get()
    }

    pub fn is_partition(&self) -> bool {
        self.relid != self.root
    }
}

impl Drop for TableRules {
    fn drop(&mut self) {
        // SAFETY: the context is this table's own; nothing else points into it.
        unsafe { pg_sys::MemoryContextDelete(self.context) };
    }
}

thread_local! {
    static TABLES: RefCell<FxHashMap<pg_sys::Oid, Rc<TableRules>>> = Default::default();
}

/// The compiled rules of a table, compiled now if need be.
pub fn get(relid: pg_sys::Oid) -> Rc<TableRules> {
    let before = invalidation::messages();
    let kept = TABLES.with_borrow(|tables| tables.get(&relid).filter(|t| !t.stale.get()).cloned());
    kept.unwrap_or_else(|| {
        let table = Rc::new(build(relid));
        table.stale.set(invalidation::messages() != before);
        // The replaced entry is dropped after the borrow: dropping calls Postgres.
        let _replaced = TABLES.with_borrow_mut(|tables| tables.insert(relid, Rc::clone(&table)));
        table
    })
}

/// A table with rules that are not stored: drafts, parts of conditions. The caller holds a lock on the relation.
pub fn draft(relid: pg_sys::Oid, definition: definition::Table) -> Rc<TableRules> {
    Rc::new(build_from(relid, Some(definition)))
}

fn build(relid: pg_sys::Oid) -> TableRules {
    build_from(relid, definition::load(relid, true))
}

fn build_from(relid: pg_sys::Oid, definition: Option<definition::Table>) -> TableRules {
    // SAFETY: the caller's statement holds a lock on the relation. The context becomes permanent at the end; an error
    // before leaves it to the context it was made in.
    unsafe {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"tradeflow rules".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        let relation = pg_sys::relation_open(relid, pg_sys::NoLock as i32);
        let ignore = definition.as_ref().map(|d| d.ignore.as_slice()).unwrap_or_default();
        let columns = definition::columns((*relation).rd_att, ignore);

        let outer = pg_sys::MemoryContextSwitchTo(context);
        // With what columns added later hold in rows stored before.
        let descriptor = pg_sys::CreateTupleDescCopyConstr((*relation).rd_att);
        let mut dependencies = Vec::new();
        let mut quarantined = Vec::new();
        let (mut rules, mut row) = (Vec::new(), None);
        if let Some(definition) = &definition {
            let lookup = Lookup::of(definition);
            match in_subtransaction(|| {
                compile::row_expressions(relation, &definition.key, &lookup, &mut dependencies)
            }) {
                Ok(expressions) => {
                    row = Some(expressions);
                    rules = compile_all(
                        definition,
                        relation,
                        &columns,
                        &lookup,
                        &mut dependencies,
                        &mut quarantined,
                    );
                }
                // A key column was dropped: no rule can work.
                Err(failure) => {
                    quarantined.extend(definition.rules.iter().map(|r| (r.name.clone(), failure.clone())))
                }
            }
        }
        let row_is_there = row.is_some();
        // Should that fail, the rules are asked more often: their tests do without.
        let computed =
            in_subtransaction(|| Ok(Computed::of(&mut rules))).unwrap_or_else(|_| Computed::none());
        pg_sys::MemoryContextSwitchTo(outer);
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        pg_sys::MemoryContextSetParent(context, pg_sys::TopMemoryContext);
        TableRules {
            relid,
            root: definition.as_ref().map_or(relid, |d| d.root.into()),
            name: definition.as_ref().map(|d| d.name.clone()).unwrap_or_default(),
            computed,
            insert: EventIndex::build(Event::Insert, &rules),
            update: EventIndex::build(Event::Update, &rules),
            delete: EventIndex::build(Event::Delete, &rules),
            columns,
            has_late: rules.iter().any(|rule| rule.late),
            rules,
            row,
            descriptor,
            extension_owner: definition.as_ref().map_or(pg_sys::InvalidOid, |d| d.extension_owner.into()),
            owner: definition.as_ref().map_or(pg_sys::InvalidOid, |d| d.owner.into()),
            logged: row_is_there && definition.as_ref().is_some_and(|d| d.log),
            quarantined,
            reported: Cell::new(false),
            dependencies: dependencies.into_iter().collect(),
            stale: Cell::new(false),
            context,
        }
    }
}

/// Compiles the rules one after another, as many as go well in one subtransaction. What a failed one left in memory
/// goes with its own context.
unsafe fn compile_all(
    definition: &definition::Table,
    relation: pg_sys::Relation,
    columns: &[Column],
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
    quarantined: &mut Vec<(String, Failure)>,
) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(definition.rules.len());
    let mut todo = definition.rules.iter();
    // SAFETY: the current context is the table's; each rule's is a child of it, deleted when compiling fails.
    unsafe {
        let table_context = pg_sys::CurrentMemoryContext;
        loop {
            let mut current = None;
            let result = in_subtransaction(|| {
                for rule in todo.by_ref() {
                    let context = pg_sys::AllocSetContextCreateInternal(
                        table_context,
                        c"tradeflow rule".as_ptr(),
                        0,
                        pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                        pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
                    );
                    current = Some((rule, context));
                    pg_sys::MemoryContextSwitchTo(context);
                    rules.push(compile::compile(rule, relation, columns, lookup, dependencies)?);
                    pg_sys::MemoryContextSwitchTo(table_context);
                }
                Ok(())
            });
            match (result, current) {
                (Err(failure), Some((rule, context))) => {
                    pg_sys::MemoryContextSwitchTo(table_context);
                    pg_sys::MemoryContextDelete(context);
                    quarantined.push((rule.name.clone(), failure));
                }
                (Err(failure), None) => {
                    quarantined.extend(todo.by_ref().map(|r| (r.name.clone(), failure.clone())));
                    return rules;
                }
                (Ok(()), _) => return rules,
            }
        }
    }
}

/// Marks what is made of something that changed; the statement at work keeps it to its end.
pub fn forget(changed: Changed) {
    let concerned = |t: &TableRules| match changed {
        Changed::Relation(relid) => {
            relid == pg_sys::InvalidOid
                || t.relid == relid
                || t.root == relid
                || t.dependencies.contains(&Dependency::relation(relid))
        }
        Changed::Entry(AUTHOID | AUTHMEMMEMROLE, _) | Changed::Entry(_, 0) => true,
        Changed::Entry(cache, hash) => t.dependencies.contains(&Dependency { cache: cache as i32, hash }),
    };
    TABLES.with_borrow(|tables| tables.values().filter(|t| concerned(t)).for_each(|t| t.stale.set(true)));
}

sql_function!(tradeflow_invalidate, pg_finfo_tradeflow_invalidate, invalidate);

fn invalidate(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (regclass), strict.
    unsafe {
        let relid = pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, 0).value() as u32;
        pg_sys::CacheInvalidateRelcacheByRelid(relid.into());
    }
    Ok(None)
}
