//! The few calls of Postgres' server programming interface that are needed: prepared once per backend, arguments as datums.

use crate::own;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use rustc_hash::FxHashMap;
use std::ffi::{c_char, c_int, c_long, CString};

/// A value and whether it is there.
pub type Value = Option<pg_sys::Datum>;

/// Runs `f` with SPI connected. Results must leave `f` as values of their own: SPI's memory ends with it.
pub fn connected<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: SPI_finish is skipped only when an error unwinds, and then the (sub)transaction's abort does its work.
    unsafe {
        pg_sys::SPI_connect();
        let result = f();
        pg_sys::SPI_finish();
        result
    }
}

thread_local! {
    /// Saved plans, by the statements' texts. Postgres replans them when what they read changes.
    static PLANS: std::cell::RefCell<FxHashMap<String, pg_sys::SPIPlanPtr>> = Default::default();
}

/// The saved plan of a statement: one of our own, or one made of a view rule. There are not many of either.
pub fn plan(sql: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(sql).copied()) {
        return plan;
    }
    keep(sql, prepare_with(sql, types, 0))
}

/// The same, planned anew at every execution for the arguments it has: with long arrays of wanted values Postgres hashes
/// them, and knows how many there are.
pub fn plan_for_arguments(sql: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    let name = format!("{sql} -- for arguments");
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&name).copied()) {
        return plan;
    }
    keep(&name, prepare_with(sql, types, pg_sys::CURSOR_OPT_CUSTOM_PLAN as c_int))
}

/// The same, planned once for whatever arguments come: Postgres would take the plan for long arrays, which it expects to
/// be dearer, for a reason to plan a large statement anew each time, and that costs more than running it.
pub fn plan_once(sql: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(sql).copied()) {
        return plan;
    }
    keep(sql, prepare_with(sql, types, pg_sys::CURSOR_OPT_GENERIC_PLAN as c_int))
}

fn keep(name: &str, plan: pg_sys::SPIPlanPtr) -> pg_sys::SPIPlanPtr {
    // SAFETY: moves a valid plan to memory that lives as long as the backend.
    unsafe { pg_sys::SPI_keepplan(plan) };
    PLANS.with_borrow_mut(|plans| plans.insert(name.to_string(), plan));
    plan
}

/// Prepares a statement for this connection of SPI. Raises what is wrong with it.
pub fn prepare(sql: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    prepare_with(sql, types, 0)
}

fn prepare_with(sql: &str, types: &[pg_sys::Oid], options: c_int) -> pg_sys::SPIPlanPtr {
    let text = CString::new(sql.replace('\0', "")).unwrap_or_default();
    // SAFETY: SPI is connected (callers run inside `connected`); types outlives the call, which copies it.
    let plan = unsafe {
        let types_at = types.as_ptr().cast_mut();
        pg_sys::SPI_prepare_cursor(text.as_ptr(), types.len() as c_int, types_at, options)
    };
    assert!(!plan.is_null(), "SPI_prepare failed for: {sql}");
    plan
}

/// While it lives, plans are made without a compiler: the statements of rules are planned in the transaction of whoever changed
/// a row, often for one execution, and compiling one takes longer than running it.
struct WithoutJit(bool);

impl WithoutJit {
    fn new() -> WithoutJit {
        // SAFETY: a variable of the backend's own, which the planner reads.
        unsafe {
            let before = WithoutJit(pg_sys::jit_enabled);
            pg_sys::jit_enabled = false;
            before
        }
    }
}

impl Drop for WithoutJit {
    fn drop(&mut self) {
        // SAFETY: puts back what `new` found, also when an error unwinds.
        unsafe { pg_sys::jit_enabled = self.0 };
    }
}

/// Runs a plan that writes our own tables, by what is committed now: under REPEATABLE READ the transaction's snapshot
/// may be older than the rules that just fired.
pub fn write(plan: pg_sys::SPIPlanPtr, arguments: &[Value]) -> Rows {
    // SAFETY: reads backend state.
    if unsafe { pg_sys::XactIsoLevel } < pg_sys::XACT_REPEATABLE_READ as c_int {
        return execute(plan, arguments, false, 0);
    }
    let (mut values, nulls) = parameters(arguments);
    let _without = WithoutJit::new();
    // SAFETY: SPI is connected; one value and one null flag for each parameter the plan was prepared with. The snapshot
    // is copied, and popped, by the call.
    unsafe {
        let snapshot = pg_sys::GetLatestSnapshot();
        let code = pg_sys::SPI_execute_snapshot(
            plan,
            values.as_mut_ptr(),
            nulls.as_ptr(),
            snapshot,
            std::ptr::null_mut(),
            false,
            true,
            0,
        );
        assert!(code >= 0, "SPI_execute_snapshot returned {code}");
        Rows { table: pg_sys::SPI_tuptable, count: pg_sys::SPI_processed as usize }
    }
}

fn parameters(arguments: &[Value]) -> (Vec<pg_sys::Datum>, Vec<c_char>) {
    let values = arguments.iter().map(|v| v.unwrap_or(pg_sys::Datum::from(0usize))).collect();
    let nulls = arguments.iter().map(|v| if v.is_some() { b' ' } else { b'n' } as c_char).collect();
    (values, nulls)
}

/// Runs a plan; returns its rows. `read_only` uses the active snapshot, else a new one sees what was done so far.
pub fn execute(plan: pg_sys::SPIPlanPtr, arguments: &[Value], read_only: bool, limit: usize) -> Rows {
    let (mut values, nulls) = parameters(arguments);
    let _without = WithoutJit::new();
    // SAFETY: SPI is connected; one value and one null flag for each parameter the plan was prepared with.
    unsafe {
        let code =
            pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), read_only, limit as c_long);
        assert!(code >= 0, "SPI_execute_plan returned {code}");
        Rows { table: pg_sys::SPI_tuptable, count: pg_sys::SPI_processed as usize }
    }
}

/// A statement whose rows are fetched some at a time. SPI stays connected; the cursor ends with it.
pub struct Cursor(pg_sys::Portal);

impl Cursor {
    pub fn open(plan: pg_sys::SPIPlanPtr, arguments: &[Value]) -> Cursor {
        let (mut values, nulls) = parameters(arguments);
        // SAFETY: as for `execute`.
        Cursor(unsafe {
            pg_sys::SPI_cursor_open(std::ptr::null(), plan, values.as_mut_ptr(), nulls.as_ptr(), true)
        })
    }

    pub fn fetch(&self, count: c_long) -> Rows {
        // SAFETY: an open cursor of this connection of SPI.
        unsafe {
            pg_sys::SPI_cursor_fetch(self.0, true, count);
            Rows { table: pg_sys::SPI_tuptable, count: pg_sys::SPI_processed as usize }
        }
    }
}

/// The rows that a statement returned, in SPI's memory.
pub struct Rows {
    table: *mut pg_sys::SPITupleTable,
    count: usize,
}

impl Rows {
    /// Gives their memory back before SPI does.
    pub fn free(self) {
        // SAFETY: the rows' own table, which nothing else frees.
        unsafe { pg_sys::SPI_freetuptable(self.table) };
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Column `column` (0-based) of row `row`, as it is.
    pub fn datum(&self, row: usize, column: usize) -> Value {
        assert!(row < self.count && !self.table.is_null());
        // SAFETY: the row is one of the table's, which lives until SPI_finish.
        unsafe { own::value(*(*self.table).vals.add(row), (*self.table).tupdesc, column as c_int + 1) }
    }

    /// The same as text.
    pub fn text(&self, row: usize, column: usize) -> Option<String> {
        assert!(row < self.count && !self.table.is_null());
        // SAFETY: as above; the text is palloc'd in SPI's memory and copied here.
        unsafe {
            let text = pg_sys::SPI_getvalue(
                *(*self.table).vals.add(row),
                (*self.table).tupdesc,
                column as c_int + 1,
            );
            (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// Names and types of the columns.
    pub fn columns(tupdesc: pg_sys::TupleDesc) -> Vec<(String, pg_sys::Oid)> {
        // SAFETY: a valid descriptor; the names are copied.
        unsafe {
            pgrx::PgTupleDesc::from_pg_copy(tupdesc)
                .iter()
                .map(|a| (a.name().to_string(), a.type_oid().value()))
                .collect()
        }
    }
}

/// An array of values of one type, in the current memory context.
pub fn array(element: pg_sys::Oid, values: &[Value]) -> pg_sys::Datum {
    let mut datums: Vec<pg_sys::Datum> =
        values.iter().map(|v| v.unwrap_or(pg_sys::Datum::from(0usize))).collect();
    let mut nulls: Vec<bool> = values.iter().map(Option::is_none).collect();
    let (mut len, mut by_value, mut align) = (0i16, false, 0 as c_char);
    let mut dims = [values.len() as c_int];
    let mut lower = [1];
    // SAFETY: datums are of the element's type, as the callers build them; construct_md_array copies everything.
    unsafe {
        pg_sys::get_typlenbyvalalign(element, &mut len, &mut by_value, &mut align);
        pg_sys::Datum::from(pg_sys::construct_md_array(
            datums.as_mut_ptr(),
            nulls.as_mut_ptr(),
            1,
            dims.as_mut_ptr(),
            lower.as_mut_ptr(),
            element,
            len.into(),
            by_value,
            align,
        ))
    }
}

/// An array of texts.
pub fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Value {
    let values: Vec<Value> = values.map(IntoDatum::into_datum).collect();
    Some(array(pg_sys::TEXTOID, &values))
}
