//! Which functions an expression calls.

use crate::dependencies::raw::expression_tree_walker;
use pgrx::pg_sys;
use std::ffi::c_void;
use std::ptr::null_mut;

/// Whether an expression calls a STABLE function that is not Postgres' own: it may read tables, and what it finds there
/// depends on the snapshot.
///
/// # Safety
/// `planned` is a valid expression.
pub unsafe fn may_read_tables(planned: *mut pg_sys::Expr) -> bool {
    // SAFETY: the caller's promise.
    unsafe { walk(planned.cast(), null_mut()) }
}

/// A walker of Postgres' (nodeFuncs.c): true ends the search.
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: nodes of a valid tree; the checker has the callback's type.
    unsafe {
        !node.is_null()
            && (pg_sys::check_functions_in_node(node, Some(is_stable), context)
                || expression_tree_walker(node, walk, context))
    }
}

unsafe extern "C-unwind" fn is_stable(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    // SAFETY: a catalogue look-up.
    function.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe { pg_sys::func_volatile(function) } as u8 == pg_sys::PROVOLATILE_STABLE
}
