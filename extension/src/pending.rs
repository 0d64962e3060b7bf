//! What a transaction still has to answer: rows that concern a rule, and answers that are not in the outbox yet.
//!
//! It is kept by statement: a trigger may run further statements while one is at work, and each is answered at its own
//! end. Everything is tagged with the subtransaction it happened in, so that rolling back to a savepoint takes it along.

use crate::cache::TableRules;
use crate::change_log;
use crate::compile::Event;
use crate::evaluate;
use crate::index::RuleNumber;
use crate::query;
use crate::results::Results;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;

/// Rows are answered in batches of this size at the latest: it bounds memory, and spreads a subtransaction's cost.
const BATCH: usize = 1000;

/// A copy of a row, null where there is none; freed when dropped.
pub struct Tuple(pub pg_sys::MinimalTuple);

impl Drop for Tuple {
    fn drop(&mut self) {
        // After the transaction the context is gone, and the copy with it.
        if !self.0.is_null() && !CONTEXT.get().is_null() {
            // SAFETY: a copy made by `copy`, in a context that is still there.
            unsafe { pg_sys::pfree(self.0.cast()) };
        }
    }
}

/// Which statement changed a row: the address of its executor's state, which is its own as long as it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Statement(*const pg_sys::EState);

impl Statement {
    /// The statement that evaluates something in this context.
    ///
    /// # Safety
    /// `context` is one of an executor's.
    pub unsafe fn of(context: *const pg_sys::ExprContext) -> Statement {
        // SAFETY: the caller's promise.
        Statement(unsafe { (*context).ecxt_estate })
    }
}

/// A changed row and the rules to ask about it.
pub struct Entry {
    pub table: Rc<TableRules>,
    pub event: Event,
    pub old: Tuple,
    pub new: Tuple,
    pub rules: Vec<RuleNumber>,
}

/// A row that left a partition: if one with its key enters another next, it has moved.
pub struct Departure {
    pub table: Rc<TableRules>,
    pub subject: String,
    pub tuple: Tuple,
}

/// What a statement left to be answered.
struct Work {
    statement: Statement,
    subtransaction: pg_sys::SubTransactionId,
    /// How many calls of `_flush` are to come for it: one for each of its triggers that found something.
    flushes: usize,
    entries: Vec<Rc<Entry>>,
    results: Results,
    departures: FxHashMap<pg_sys::Oid, Departure>,
}

thread_local! {
    /// In the order in which the statements began to have some.
    static PENDING: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
    /// Tables whose rules that do not compile were reported, in this transaction.
    static REPORTED: RefCell<Vec<(pg_sys::SubTransactionId, Rc<TableRules>)>> = const { RefCell::new(Vec::new()) };
    /// Where tuples and answers live; as long as the transaction.
    static CONTEXT: Cell<pg_sys::MemoryContext> = const { Cell::new(std::ptr::null_mut()) };
    /// How many [`Writing`] there are.
    static WRITING: Cell<usize> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// The memory context of the transaction's pending work.
pub fn context() -> pg_sys::MemoryContext {
    if CONTEXT.get().is_null() {
        listen();
        // SAFETY: inside a transaction; the context goes with it, and `forget` forgets it then.
        CONTEXT.set(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopTransactionContext,
                c"tradeflow pending".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        });
    }
    CONTEXT.get()
}

/// A copy of a variable-length datum that lives as long as the pending work.
pub fn keep_varlena(datum: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: a varlena datum; the context is alive.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(context());
        let copy = pg_sys::Datum::from(pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr()));
        pg_sys::MemoryContextSwitchTo(before);
        copy
    }
}

fn current() -> pg_sys::SubTransactionId {
    // SAFETY: reads backend state.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Copies a slot's tuple to where it survives the statement; null stays null.
///
/// # Safety
/// `slot` is null or a valid slot that holds a tuple.
pub unsafe fn copy(slot: *mut pg_sys::TupleTableSlot) -> Tuple {
    if slot.is_null() {
        return Tuple(std::ptr::null_mut());
    }
    // SAFETY: the caller's promise.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(context());
        // ExecCopySlotMinimalTuple(), which is an inline function of C.
        let Some(copy) = (*(*slot).tts_ops).copy_minimal_tuple else { return Tuple(std::ptr::null_mut()) };
        let tuple = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            #[cfg(not(feature = "pg18"))]
            let tuple = copy(slot);
            #[cfg(feature = "pg18")]
            let tuple = copy(slot, 0);
            tuple
        });
        pg_sys::MemoryContextSwitchTo(before);
        Tuple(tuple)
    }
}

/// The work of a statement, begun now if it has none.
fn with_work<T>(statement: Statement, f: impl FnOnce(&mut Work) -> T) -> T {
    PENDING.with_borrow_mut(|works| {
        let at = works.iter().rposition(|w| w.statement == statement).unwrap_or_else(|| {
            works.push(Work {
                statement,
                subtransaction: current(),
                flushes: 0,
                entries: Vec::new(),
                results: Results::default(),
                departures: FxHashMap::default(),
            });
            works.len() - 1
        });
        f(&mut works[at])
    })
}

/// Keeps a row to be answered. A full batch is answered at once: its answers wait for the statement's end.
pub fn add(statement: Statement, entry: Entry) {
    let full = with_work(statement, |work| {
        work.entries.push(Rc::new(entry));
        let full = work.entries.len() >= BATCH;
        // With what was said so far: a rule that failed too often is given up for the whole statement.
        full.then(|| (std::mem::take(&mut work.entries), std::mem::take(&mut work.results)))
    });
    if let Some((entries, mut results)) = full {
        change_log::log(&entries);
        evaluate::evaluate(&entries, &mut results);
        with_work(statement, |work| {
            results.append(std::mem::take(&mut work.results));
            work.results = results;
        });
    }
}

/// `_flush` will be called for this statement once more.
pub fn expect_flush(statement: Statement) {
    with_work(statement, |work| work.flushes += 1);
}

/// The statement that a call of `_flush` is for. Statements end in the opposite order of their beginning; where
/// Postgres puts the ends of several together (cascades of foreign keys), each still has its turn.
pub fn begin_flush() -> Option<Statement> {
    PENDING.with_borrow_mut(|works| {
        let work = works.iter_mut().rfind(|w| w.flushes > 0)?;
        work.flushes -= 1;
        Some(work.statement)
    })
}

/// Answers what is left of a statement, and returns all its answers.
pub fn finish(statement: Statement) -> Results {
    let (entries, mut results) =
        PENDING.with_borrow_mut(|works| match works.iter().rposition(|w| w.statement == statement) {
            Some(at) if works[at].flushes == 0 => {
                let work = works.remove(at);
                (work.entries, work.results)
            }
            Some(at) => (std::mem::take(&mut works[at].entries), std::mem::take(&mut works[at].results)),
            None => Default::default(),
        });
    change_log::log(&entries);
    evaluate::evaluate(&entries, &mut results);
    evaluate::evaluate_late(&mut results);
    query::run(&mut results);
    results
}

/// Remembers that a table's rules that do not compile are reported: until the report is rolled back.
pub fn reported(table: &Rc<TableRules>) {
    listen();
    table.reported.set(true);
    REPORTED.with_borrow_mut(|tables| tables.push((current(), Rc::clone(table))));
}

/// Answers are being written. Writing them may run statements of triggers, which end in here as well.
pub struct Writing(());

impl Writing {
    pub fn begin() -> Writing {
        WRITING.set(WRITING.get() + 1);
        Writing(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(WRITING.get() - 1);
    }
}

/// Frees what the answers were made of, when nothing is pending any more and none are being written.
pub fn release() {
    let idle = WRITING.get() == 0 && PENDING.with_borrow(Vec::is_empty);
    if idle && !CONTEXT.get().is_null() {
        // SAFETY: nothing of ours points into the context.
        unsafe { pg_sys::MemoryContextReset(CONTEXT.get()) };
    }
}

/// Remembers a row that left a partition.
pub fn depart(statement: Statement, departure: Departure) {
    with_work(statement, |work| work.departures.insert(departure.table.root, departure));
}

/// The row that left a partition of this table last in the statement, if nothing came of it yet.
pub fn take_departure(statement: Statement, root: pg_sys::Oid) -> Option<Departure> {
    PENDING.with_borrow_mut(|works| {
        works.iter_mut().rfind(|w| w.statement == statement)?.departures.remove(&root)
    })
}

/// All such rows of the statement.
pub fn take_departures(statement: Statement) -> Vec<Departure> {
    PENDING.with_borrow_mut(|works| {
        let work = works.iter_mut().rfind(|w| w.statement == statement);
        work.map(|w| std::mem::take(&mut w.departures).into_values().collect()).unwrap_or_default()
    })
}

/// Has Postgres tell us how transactions end. Once per backend.
fn listen() {
    if !LISTENING.replace(true) {
        // SAFETY: registers functions that live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(subtransaction_ended), std::ptr::null_mut());
        }
    }
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    if matches!(event, XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE) {
        // The context goes with the transaction; dropped entries must not free into it.
        CONTEXT.set(std::ptr::null_mut());
        PENDING.take();
        let reported = REPORTED.take();
        if event == XACT_EVENT_ABORT {
            reported.iter().for_each(|(_, table)| table.reported.set(false));
        }
    }
}

unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    ended: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // Dropped after the borrow: dropping calls Postgres.
        let _works: Vec<Work> =
            PENDING.with_borrow_mut(|works| works.extract_if(.., |w| w.subtransaction >= ended).collect());
        let reported: Vec<_> =
            REPORTED.with_borrow_mut(|tables| tables.extract_if(.., |t| t.0 >= ended).collect());
        reported.iter().for_each(|(_, table)| table.reported.set(false));
    }
}
