//! What changed between two versions of a row.

use crate::definition::Column;
use pgrx::pg_sys;

/// A set of columns as 64 bits; column n is bit (n - 1) mod 64. In a table of more than 64 columns two may share a
/// bit: the set then says "perhaps", which is all its users need.
pub type ColumnSet = u64;

/// Every column.
pub const ALL: ColumnSet = u64::MAX;

/// The bit of an attribute number.
pub fn bit(attno: i16) -> ColumnSet {
    1 << ((attno as u64).wrapping_sub(1) & 63)
}

/// Makes all attributes of a slot available in its value arrays.
///
/// # Safety
/// `slot` is a valid slot that holds a tuple.
pub unsafe fn deform(slot: *mut pg_sys::TupleTableSlot, columns: &[Column]) {
    // SAFETY: the caller's promise; columns describes the slot's table.
    unsafe {
        if ((*slot).tts_nvalid as usize) < columns.len() {
            pg_sys::slot_getsomeattrs_int(slot, columns.len() as i32);
        }
    }
}

/// The columns that changed: 0 when none did but ignored ones. Ignored columns count as changed when others did.
///
/// # Safety
/// Both slots hold tuples of the table that `columns` describes, deformed.
pub unsafe fn changes(
    columns: &[Column],
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
) -> ColumnSet {
    let mut changed = 0;
    let mut ignored = 0;
    for (i, column) in columns.iter().enumerate() {
        if column.dropped {
            continue;
        } else if column.ignored {
            ignored |= bit(column.attno);
        // SAFETY: the caller's promise: i is within the slots' arrays.
        } else if unsafe { differs(column, i, old, new) } {
            changed |= bit(column.attno);
        }
    }
    if changed == 0 {
        0
    } else {
        changed | ignored
    }
}

/// Whether column `i` differs between the two rows.
///
/// # Safety
/// As for [`changes`].
#[inline]
pub unsafe fn differs(
    column: &Column,
    i: usize,
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let (old_null, new_null) = (*(*old).tts_isnull.add(i), *(*new).tts_isnull.add(i));
        if old_null || new_null {
            return old_null != new_null;
        }
        let (a, b) = (*(*old).tts_values.add(i), *(*new).tts_values.add(i));
        if column.by_value {
            a.value() != b.value()
        } else if column.len > 0 {
            bytes(a.cast_mut_ptr(), column.len as usize) != bytes(b.cast_mut_ptr(), column.len as usize)
        } else {
            varlena_differs(a.cast_mut_ptr(), b.cast_mut_ptr())
        }
    }
}

unsafe fn bytes<'a>(at: *mut u8, len: usize) -> &'a [u8] {
    // SAFETY: a pass-by-reference datum of this length.
    unsafe { std::slice::from_raw_parts(at, len) }
}

/// Compares what two variable-length values hold, whatever form each is stored in. Only where one is compressed or
/// stored out of line, and the lengths agree, is it fetched.
unsafe fn varlena_differs(a: *mut pg_sys::varlena, b: *mut pg_sys::varlena) -> bool {
    // SAFETY: both are varlena datums of a live slot.
    unsafe {
        if a == b {
            return false;
        }
        if plain(a) && plain(b) {
            return payload(a) != payload(b);
        }
        if pg_sys::toast_raw_datum_size(a.into()) != pg_sys::toast_raw_datum_size(b.into()) {
            return true;
        }
        let (da, db) = (pg_sys::detoast_attr(a), pg_sys::detoast_attr(b));
        let differs = payload(da) != payload(db);
        if da != a {
            pg_sys::pfree(da.cast());
        }
        if db != b {
            pg_sys::pfree(db.cast());
        }
        differs
    }
}

/// Whether the value stands in the row itself, uncompressed.
unsafe fn plain(v: *mut pg_sys::varlena) -> bool {
    // SAFETY: a varlena datum.
    unsafe { pgrx::varatt_is_4b_u(v) || (pgrx::varatt_is_1b(v) && !pgrx::varatt_is_1b_e(v)) }
}

/// The bytes of a plain varlena.
///
/// # Safety
/// `v` is a varlena that is neither compressed nor external.
pub unsafe fn payload<'a>(v: *mut pg_sys::varlena) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(pgrx::vardata_any(v).cast(), pgrx::varsize_any_exhdr(v)) }
}

/// The bytes of a varlena that stands in the row itself, uncompressed; None otherwise.
///
/// # Safety
/// `v` is a varlena datum.
pub unsafe fn inline_payload<'a>(v: *mut pg_sys::varlena) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { plain(v).then(|| payload(v)) }
}
