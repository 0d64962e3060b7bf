//! `tradeflow.now()`: the time that rules and timers go by, now() or the test clock.
//!
//! Conditions and views may ask for each row, so what the table of the test clock says is kept until it changes.

use crate::error::{sql_function, Failure};
use crate::invalidation::{self, Changed};
use crate::small_table;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::cell::Cell;

sql_function!(tradeflow_now, pg_finfo_tradeflow_now, sql_now);

/// What the table says: the test clock, if there is one.
#[derive(Clone, Copy)]
struct Kept {
    table: pg_sys::Oid,
    at: Option<pg_sys::TimestampTz>,
}

thread_local! {
    static KEPT: Cell<Option<Kept>> = const { Cell::new(None) };
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
    let before = invalidation::messages();
    let read = read()?;
    if invalidation::messages() == before {
        KEPT.set(Some(read));
    }
    read.at
}

/// None while the extension is not there.
fn read() -> Option<Kept> {
    let mut at = None;
    let table =
        small_table::read(c"clock", [c"at"], |[value]| at = value.map(|d| d.value() as pg_sys::TimestampTz))?;
    Some(Kept { table, at })
}

/// Forgets what the table said when it changed.
pub fn forget(changed: Changed) {
    if let (Changed::Relation(relid), Some(kept)) = (changed, KEPT.get()) {
        if relid == pg_sys::InvalidOid || kept.table == relid {
            KEPT.set(None);
        }
    }
}
