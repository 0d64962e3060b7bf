//! What a transaction still has to answer: rows that concern a rule, and answers that are not in the outbox yet.
//!
//! Everything is tagged with the subtransaction it happened in, so that rolling back to a savepoint takes it along.

use crate::cache::TableRules;
use crate::change_log;
use crate::compile::Event;
use crate::evaluate::{self, Results};
use crate::index::RuleNumber;
use crate::query;
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

/// A changed row and the rules to ask about it.
pub struct Entry {
    pub table: Rc<TableRules>,
    pub event: Event,
    pub old: Tuple,
    pub new: Tuple,
    pub rules: Vec<RuleNumber>,
    subtransaction: pg_sys::SubTransactionId,
}

/// A row that left a partition: if one with its key enters another next, it has moved.
pub struct Departure {
    pub table: Rc<TableRules>,
    pub subject: String,
    pub tuple: Tuple,
    subtransaction: pg_sys::SubTransactionId,
}

#[derive(Default)]
struct Pending {
    entries: Vec<Rc<Entry>>,
    results: Vec<(pg_sys::SubTransactionId, Results)>,
    departures: FxHashMap<pg_sys::Oid, Departure>,
}

thread_local! {
    static PENDING: RefCell<Pending> = Default::default();
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

/// Keeps a row to be answered. A full batch is answered at once: its answers wait for the statement's end.
pub fn add(table: &Rc<TableRules>, event: Event, old: Tuple, new: Tuple, rules: Vec<RuleNumber>) {
    let entry = Rc::new(Entry { table: Rc::clone(table), event, old, new, rules, subtransaction: current() });
    let full = PENDING.with_borrow_mut(|p| {
        p.entries.push(entry);
        p.entries.len() >= BATCH
    });
    if full {
        let entries = take_entries();
        change_log::log(&entries);
        let mut results = Results::default();
        evaluate::evaluate(&entries, &mut results);
        PENDING.with_borrow_mut(|p| p.results.push((current(), results)));
    }
}

/// The rows of the current subtransaction. Those of the ones around it wait for their own statement's end:
/// answered here, they would be lost if this one is rolled back.
fn take_entries() -> Vec<Rc<Entry>> {
    let now = current();
    PENDING.with_borrow_mut(|p| {
        let from = p.entries.partition_point(|e| e.subtransaction < now);
        p.entries.split_off(from)
    })
}

/// Answers what is left of the current subtransaction, and returns all its answers.
pub fn finish() -> Results {
    let entries = take_entries();
    change_log::log(&entries);
    let now = current();
    let mut results = Results::default();
    PENDING.with_borrow_mut(|p| {
        let from = p.results.partition_point(|(s, _)| *s < now);
        p.results.drain(from..).for_each(|(_, r)| results.append(r));
    });
    evaluate::evaluate(&entries, &mut results);
    query::run(&mut results);
    results
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
    let idle = WRITING.get() == 0
        && PENDING.with_borrow(|p| p.entries.is_empty() && p.results.is_empty() && p.departures.is_empty());
    if idle && !CONTEXT.get().is_null() {
        // SAFETY: nothing of ours points into the context.
        unsafe { pg_sys::MemoryContextReset(CONTEXT.get()) };
    }
}

/// Remembers a row that left a partition. `tuple` is a copy made by [`copy`].
pub fn depart(table: &Rc<TableRules>, subject: String, tuple: Tuple) {
    let departure = Departure { table: Rc::clone(table), subject, tuple, subtransaction: current() };
    PENDING.with_borrow_mut(|p| p.departures.insert(table.root, departure));
}

/// The row that left a partition of this table last, if nothing came of it yet.
pub fn take_departure(root: pg_sys::Oid) -> Option<Departure> {
    let now = current();
    PENDING.with_borrow_mut(|p| match p.departures.get(&root) {
        Some(departure) if departure.subtransaction >= now => p.departures.remove(&root),
        _ => None,
    })
}

/// All such rows of the current subtransaction.
pub fn take_departures() -> Vec<Departure> {
    let roots: Vec<pg_sys::Oid> = PENDING.with_borrow(|p| p.departures.keys().copied().collect());
    roots.into_iter().filter_map(take_departure).collect()
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
    }
}

unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    ended: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        PENDING.with_borrow_mut(|p| {
            p.entries.retain(|e| e.subtransaction < ended);
            p.results.retain(|(s, _)| *s < ended);
            p.departures.retain(|_, d| d.subtransaction < ended);
        });
    }
}
