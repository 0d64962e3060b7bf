//! Settings and the clock become constants of the compiled rule: reading them for every row would be a query each.
//! When one changes, the rules are compiled again.

use super::lookup::Lookup;
use crate::error::{Failure, MISSING_PART};
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use std::ffi::{c_void, CStr};

struct Rewriting<'a> {
    lookup: &'a Lookup,
    schema: pg_sys::Oid,
    missing: Option<String>,
}

/// Replaces `tradeflow.setting('name')` by the setting's value, and `tradeflow.now()` by `now()` or the test clock.
///
/// # Safety
/// `expr` is a transformed expression.
pub unsafe fn constants(expr: *mut pg_sys::Node, lookup: &Lookup) -> Result<*mut pg_sys::Node, Failure> {
    // SAFETY: a catalogue look-up; the mutator gets our own struct, alive for the call.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tradeflow".as_ptr(), true);
        let mut rewriting = Rewriting { lookup, schema, missing: None };
        let expr = mutate(expr, (&raw mut rewriting).cast());
        match rewriting.missing {
            None => Ok(expr),
            Some(name) => Err(Failure::with_code(MISSING_PART, format!("setting \"{name}\" does not exist"))
                .hint(format!("insert into tradeflow.settings (name, value) values ('{name}', '…');"))),
        }
    }
}

unsafe extern "C-unwind" fn mutate(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    // SAFETY: called with nodes of a valid tree and the Rewriting of `constants`.
    unsafe {
        if node.is_null() {
            return node;
        }
        if (*node).type_ == pg_sys::NodeTag::T_FuncExpr {
            let call = node.cast::<pg_sys::FuncExpr>();
            let rewriting = &mut *context.cast::<Rewriting>();
            if pg_sys::get_func_namespace((*call).funcid) == rewriting.schema {
                if let Some(constant) = replacement(call, rewriting) {
                    return constant;
                }
            }
        }
        walk(node, context)
    }
}

/// What stands for a call of one of our two functions; None leaves the call as it is.
unsafe fn replacement(call: *mut pg_sys::FuncExpr, rewriting: &mut Rewriting) -> Option<*mut pg_sys::Node> {
    // SAFETY: a FuncExpr of a valid tree; the function's name is palloc'd.
    unsafe {
        let arguments = pgrx::list::PgList::<pg_sys::Node>::from_pg((*call).args);
        match (CStr::from_ptr(pg_sys::get_func_name((*call).funcid)).to_bytes(), arguments.get_ptr(0)) {
            (b"now", None) => Some(match rewriting.lookup.clock {
                Some(at) => constant(pg_sys::TIMESTAMPTZOID, 8, true, pg_sys::Datum::from(at)),
                None => pg_sys::makeFuncExpr(
                    pg_sys::Oid::from(pg_sys::F_NOW),
                    pg_sys::TIMESTAMPTZOID,
                    std::ptr::null_mut(),
                    pg_sys::InvalidOid,
                    pg_sys::InvalidOid,
                    pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
                )
                .cast(),
            }),
            (b"setting", Some(argument)) if (*argument).type_ == pg_sys::NodeTag::T_Const => {
                let name = argument.cast::<pg_sys::Const>();
                let name = String::from_datum((*name).constvalue, (*name).constisnull)?;
                match rewriting.lookup.settings.get(&name) {
                    Some(value) => Some(constant(pg_sys::TEXTOID, -1, false, value.as_str().into_datum()?)),
                    None => {
                        rewriting.missing.get_or_insert(name);
                        None
                    }
                }
            }
            _ => None,
        }
    }
}

unsafe fn constant(
    type_oid: pg_sys::Oid,
    len: i32,
    by_value: bool,
    value: pg_sys::Datum,
) -> *mut pg_sys::Node {
    let collation = if by_value { pg_sys::InvalidOid } else { pg_sys::DEFAULT_COLLATION_OID };
    // SAFETY: a datum of that type.
    unsafe { pg_sys::makeConst(type_oid, -1, collation, len, value, false, by_value).cast() }
}

#[cfg(feature = "pg15")]
unsafe fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    type Untyped = unsafe extern "C-unwind" fn() -> *mut pg_sys::Node;
    type Mutator = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> *mut pg_sys::Node;
    // SAFETY: this Postgres declares the mutator without parameters and calls it with these two.
    unsafe {
        let untyped = std::mem::transmute::<Mutator, Untyped>(mutate);
        pg_sys::expression_tree_mutator(node, Some(untyped), context)
    }
}

#[cfg(not(feature = "pg15"))]
unsafe fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> *mut pg_sys::Node {
    // SAFETY: as the caller's.
    unsafe { pg_sys::expression_tree_mutator_impl(node, Some(mutate), context) }
}
