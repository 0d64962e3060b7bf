//! Small tables of tradeflow's that are read as a whole and kept until they change.

use crate::own;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::ptr::null_mut;

/// Calls `each` with the values of these columns of every row; which table that is, or None while the extension is not there.
///
/// With a snapshot taken now, whatever the transaction's is: what is kept outlives it.
pub fn read<const N: usize>(
    name: &CStr,
    columns: [&CStr; N],
    mut each: impl FnMut([Option<pg_sys::Datum>; N]),
) -> Option<pg_sys::Oid> {
    // SAFETY: a scan of our own table as Postgres makes them of its catalogues; the values are the row's, until the next.
    unsafe {
        let table = own::relation(name);
        if table == pg_sys::InvalidOid {
            return None;
        }
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let numbers = columns.map(|column| pg_sys::get_attnum(table, column.as_ptr()));
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, null_mut(), 0, null_mut());
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            each(numbers.map(|number| own::value(tuple, (*relation).rd_att, number.into())));
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        Some(table)
    }
}
