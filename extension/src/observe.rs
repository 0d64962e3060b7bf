//! Looking at a changed row where it is: the subscript in the WHEN clause of a watched table's triggers.
//!
//! `sql/05_native.sql` says why a subscript. Postgres calls `transform` when the trigger is created, `set_up` when a
//! statement first needs the clause for a table, and `fetch` for every row, with both versions in the executor's slots.

use crate::cache::{self, TableRules};
use crate::change::{self, ColumnSet};
use crate::compile::Event;
use crate::index::{RuleNumber, Versions};
use crate::mode;
use crate::pending::{self, Entry, Statement};
use pgrx::{pg_guard, pg_sys};
use std::rc::Rc;

static ROUTINES: pg_sys::SubscriptRoutines = pg_sys::SubscriptRoutines {
    transform: Some(transform),
    exec_setup: Some(set_up),
    fetch_strict: true,
    fetch_leakproof: false,
    store_leakproof: false,
};

#[no_mangle]
pub extern "C" fn pg_finfo_tradeflow_observer_subscript() -> *const pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// Called by Postgres' function manager.
#[no_mangle]
pub unsafe extern "C-unwind" fn tradeflow_observer_subscript(
    _fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    pg_sys::Datum::from(&raw const ROUTINES)
}

/// Parse analysis: one subscript, an integer; the result is boolean.
#[pg_guard]
unsafe extern "C-unwind" fn transform(
    subscripting: *mut pg_sys::SubscriptingRef,
    indirection: *mut pg_sys::List,
    pstate: *mut pg_sys::ParseState,
    is_slice: bool,
    is_assignment: bool,
) {
    // SAFETY: Postgres' arguments for a type's subscripting transform.
    unsafe {
        // Elsewhere the executor's slots hold whatever they hold there: a SELECT must not pass for a change.
        if (*pstate).p_expr_kind != pg_sys::ParseExprKind::EXPR_KIND_TRIGGER_WHEN {
            pgrx::error!("tradeflow.observer is for the triggers that tradeflow.watch() makes");
        }
        let subscripts = pgrx::list::PgList::<pg_sys::A_Indices>::from_pg(indirection);
        if is_slice || is_assignment || subscripts.len() != 1 {
            pgrx::error!(
                "tradeflow.observer takes one subscript, in the triggers that tradeflow.watch() makes"
            );
        }
        let Some(index) = subscripts.get_ptr(0) else { return };
        let mut upper = pgrx::list::PgList::<pg_sys::Node>::new();
        upper.push(pg_sys::transformExpr(pstate, (*index).uidx, (*pstate).p_expr_kind));
        (*subscripting).refupperindexpr = upper.into_pg();
        (*subscripting).refrestype = pg_sys::BOOLOID;
        (*subscripting).reftypmod = -1;
    }
}

/// What `fetch` keeps from row to row of one statement and table.
struct Watch {
    event: Event,
    table: Option<Rc<TableRules>>,
    /// The statement's end will call `_flush`.
    queued: bool,
    found: Vec<RuleNumber>,
}

/// Executor start: the statement's own state, dropped with the executor's memory.
#[pg_guard]
unsafe extern "C-unwind" fn set_up(
    subscripting: *const pg_sys::SubscriptingRef,
    state: *mut pg_sys::SubscriptingRefState,
    methods: *mut pg_sys::SubscriptExecSteps,
) {
    // SAFETY: Postgres' arguments; the current context is the executor's, and its reset runs `drop_watch` once.
    unsafe {
        let number = pgrx::list::PgList::<pg_sys::Const>::from_pg((*subscripting).refupperindexpr)
            .get_ptr(0)
            .filter(|c| (*c.cast::<pg_sys::Node>()).type_ == pg_sys::NodeTag::T_Const && !(**c).constisnull)
            .map_or(0, |c| (*c).constvalue.value());
        let Some(event) = Event::from_number(number) else {
            pgrx::error!("the subscript of tradeflow.observer is 1 (insert), 2 (update) or 3 (delete)");
        };
        // Said at once, whether the statement concerns a rule or not.
        if let Err(failure) = mode::silent() {
            failure.raise();
        }
        let callback = pg_sys::MemoryContextAllocZero(
            pg_sys::CurrentMemoryContext,
            std::mem::size_of::<pg_sys::MemoryContextCallback>(),
        )
        .cast::<pg_sys::MemoryContextCallback>();
        let watch = Box::into_raw(Box::new(Watch { event, table: None, queued: false, found: Vec::new() }));
        (*callback).func = Some(drop_watch);
        (*callback).arg = watch.cast();
        pg_sys::MemoryContextRegisterResetCallback(pg_sys::CurrentMemoryContext, callback);
        (*state).workspace = watch.cast();
        (*methods).sbs_fetch = Some(fetch);
    }
}

unsafe extern "C-unwind" fn drop_watch(watch: *mut std::ffi::c_void) {
    // SAFETY: the box that `set_up` made; Postgres calls a reset callback once.
    drop(unsafe { Box::from_raw(watch.cast::<Watch>()) });
}

/// A changed row: true when `_flush` must be called at the statement's end and will not be yet.
#[pg_guard]
unsafe extern "C-unwind" fn fetch(
    _state: *mut pg_sys::ExprState,
    step: *mut pg_sys::ExprEvalStep,
    context: *mut pg_sys::ExprContext,
) {
    // SAFETY: Postgres' arguments for a step that `set_up` prepared. In a trigger's WHEN clause old is the inner tuple
    // and new the outer (trigger.c, TriggerEnabled).
    unsafe {
        let watch = &mut *(*(*step).d.sbsref.state).workspace.cast::<Watch>();
        let found = watch.look((*context).ecxt_innertuple, (*context).ecxt_outertuple, context);
        let queue = found && !watch.queued;
        if queue {
            watch.queued = true;
            pending::expect_flush(Statement::of(context));
        }
        *(*step).resvalue = queue.into();
        *(*step).resnull = false;
    }
}

impl Watch {
    /// Looks at a row; true when something is to be answered.
    unsafe fn look(
        &mut self,
        old: *mut pg_sys::TupleTableSlot,
        new: *mut pg_sys::TupleTableSlot,
        context: *mut pg_sys::ExprContext,
    ) -> bool {
        // SAFETY: the slots of the event: insert has new, delete old, update both.
        unsafe {
            // In a trigger that somebody else made, the subscript may not be that of its event.
            if (self.event != Event::Insert) == old.is_null()
                || (self.event != Event::Delete) == new.is_null()
            {
                return false;
            }
            // A row that moves between partitions comes here a third time, after its delete and its insert: as an update of
            // the partitioned table, for foreign keys. Its versions are of two tables then, or converted and of none.
            let slot = if new.is_null() { old } else { new };
            let of_two = self.event == Event::Update && (*slot).tts_tableOid != (*old).tts_tableOid;
            if of_two || (*slot).tts_tableOid == pg_sys::InvalidOid {
                return false;
            }
            let table = self.table.get_or_insert_with(|| cache::get((*slot).tts_tableOid));
            if table.rules.is_empty() && !table.logged {
                return table.to_report();
            }
            let statement = Statement::of(context);
            let moved = table.is_partition() && {
                let table = Rc::clone(table);
                match crate::partition::step(&table, self.event, old, new, context, &mut self.found) {
                    crate::partition::Step::Handled => return true,
                    crate::partition::Step::Settled => true,
                    crate::partition::Step::Nothing => false,
                }
            };
            let some = observe(statement, table, self.event, old, new, &mut self.found);
            some || moved || table.to_report()
        }
    }
}

/// Finds the rules that a row changed by a statement concerns and keeps the row for them; false when there are none.
///
/// # Safety
/// The slots hold rows of the table, as the event has them; null where there is none.
pub unsafe fn observe(
    statement: Statement,
    table: &Rc<TableRules>,
    event: Event,
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
    found: &mut Vec<RuleNumber>,
) -> bool {
    let index = table.index(event);
    if index.is_empty() && !table.logged {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe {
        for slot in [old, new] {
            if !slot.is_null() {
                change::deform(slot, &table.columns);
            }
        }
        let changed: ColumnSet =
            if event == Event::Update { change::changes(&table.columns, old, new) } else { change::ALL };
        if changed == 0 {
            return false;
        }
        table.computed.next_row();
        let now = pg_sys::GetCurrentTransactionStartTimestamp();
        let row = Versions { old, new, now, computed: Some(&table.computed) };
        found.clear();
        index.candidates(event, &table.rules, changed, &row, found);
        if found.is_empty() && !table.logged {
            return false;
        }
        // In the order of the rules' names, each once.
        found.sort_unstable();
        found.dedup();
        let (old, new) = (pending::copy(old), pending::copy(new));
        pending::add(statement, Entry { table: Rc::clone(table), event, old, new, rules: found.clone() });
        true
    }
}
