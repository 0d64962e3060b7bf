//! `tradeflow.now()`: the time that rules and timers go by, now() or the test clock.
//!
//! Conditions and views may ask for each row, so what the table of the test clock says is kept until it changes.

use crate::error::{sql_function, Failure};
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ptr::null_mut;

sql_function!(tradeflow_now, pg_finfo_tradeflow_now, sql_now);

/// What the table says: the test clock, if there is one.
#[derive(Clone, Copy)]
struct Kept {
    table: pg_sys::Oid,
    at: Option<pg_sys::TimestampTz>,
}

thread_local! {
    static KEPT: Cell<Option<Kept>> = const { Cell::new(None) };
    /// Counts what was invalidated, to notice what happens while the table is being read.
    static INVALIDATIONS: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

fn sql_now(_fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    Ok(now().into_datum())
}

/// The time that rules and timers go by.
pub fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the time of the transaction's start.
    test_clock().unwrap_or_else(|| unsafe { pg_sys::GetCurrentTransactionStartTimestamp() })
}

/// The test clock, where an operator has set one.
fn test_clock() -> Option<pg_sys::TimestampTz> {
    if let Some(kept) = KEPT.get() {
        return kept.at;
    }
    if !LISTENING.replace(true) {
        // SAFETY: registers a function that lives as long as the library, which is never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(changed), pg_sys::Datum::from(0usize)) };
    }
    let before = INVALIDATIONS.get();
    let read = read()?;
    if INVALIDATIONS.get() == before {
        KEPT.set(Some(read));
    }
    read.at
}

/// None while the extension is not there.
fn read() -> Option<Kept> {
    // SAFETY: a scan of our own table as Postgres makes them of its catalogues: with a snapshot taken now, whatever the
    // transaction's is, for what is kept outlives it.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tradeflow".as_ptr(), true);
        let table = pg_sys::get_relname_relid(c"clock".as_ptr(), schema);
        if table == pg_sys::InvalidOid {
            return None;
        }
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let column = pg_sys::get_attnum(table, c"at".as_ptr());
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, null_mut(), 0, null_mut());
        let tuple = pg_sys::systable_getnext(scan);
        let mut null = true;
        let mut at = pg_sys::Datum::from(0usize);
        if !tuple.is_null() {
            at = pg_sys::SPI_getbinval(tuple, (*relation).rd_att, column.into(), &mut null);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        Some(Kept { table, at: (!null).then_some(at.value() as pg_sys::TimestampTz) })
    }
}

unsafe extern "C-unwind" fn changed(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    let concerned = |kept: Kept| relid == pg_sys::InvalidOid || kept.table == relid;
    INVALIDATIONS.set(INVALIDATIONS.get() + 1);
    if KEPT.get().is_some_and(concerned) {
        KEPT.set(None);
    }
}
