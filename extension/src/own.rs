//! tradeflow's own schema and tables, as Postgres reads its catalogues: without a statement.

use pgrx::pg_sys;
use std::ffi::{c_int, CStr};

/// The schema; `InvalidOid` while the extension is not there.
pub fn schema() -> pg_sys::Oid {
    // SAFETY: a catalogue look-up.
    unsafe { pg_sys::get_namespace_oid(c"tradeflow".as_ptr(), true) }
}

/// A table or an index of ours; `InvalidOid` when it is not there.
pub fn relation(name: &CStr) -> pg_sys::Oid {
    // SAFETY: a catalogue look-up.
    unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema()) }
}

/// A column of a row; None for NULL.
///
/// # Safety
/// The tuple is as the descriptor says, and has the column.
pub unsafe fn value(
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    column: c_int,
) -> Option<pg_sys::Datum> {
    let mut null = true;
    // SAFETY: the caller's promise.
    let value = unsafe { pg_sys::SPI_getbinval(tuple, descriptor, column, &mut null) };
    (!null).then_some(value)
}
