//! Settings and the clock become constants of the compiled rule: reading them for every row would be a query each.
//! When one changes, the rules are compiled again. Where changes of the past are replayed, the clock is a parameter: the
//! time of the change.

use super::lookup::{Lookup, REPLAYED_CLOCK, REPLAYED_NOW};
use crate::error::{Failure, MISSING_PART};
use crate::own;
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
        let mut rewriting = Rewriting { lookup, schema: own::schema(), missing: None };
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
        let rewriting = &mut *context.cast::<Rewriting>();
        if rewriting.lookup.replayed {
            if let Some(parameter) = replayed_now(node) {
                return parameter;
            }
        }
        if (*node).type_ == pg_sys::NodeTag::T_FuncExpr {
            let call = node.cast::<pg_sys::FuncExpr>();
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
            (b"now", None) if rewriting.lookup.replayed => Some(parameter(REPLAYED_CLOCK)),
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

/// What stands for `now()` and its kin.
unsafe fn replayed_now(node: *mut pg_sys::Node) -> Option<*mut pg_sys::Node> {
    // SAFETY: a valid node.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_FuncExpr => {
                let function = (*node.cast::<pg_sys::FuncExpr>()).funcid;
                let clocks = [pg_sys::F_NOW, pg_sys::F_TRANSACTION_TIMESTAMP, pg_sys::F_STATEMENT_TIMESTAMP];
                clocks.contains(&function.to_u32()).then(|| parameter(REPLAYED_NOW))
            }
            pg_sys::NodeTag::T_SQLValueFunction => match (*node.cast::<pg_sys::SQLValueFunction>()).op {
                pg_sys::SQLValueFunctionOp::SVFOP_CURRENT_TIMESTAMP => Some(parameter(REPLAYED_NOW)),
                pg_sys::SQLValueFunctionOp::SVFOP_CURRENT_DATE => Some(
                    pg_sys::makeFuncExpr(
                        pg_sys::Oid::from(pg_sys::F_DATE_TIMESTAMPTZ),
                        pg_sys::DATEOID,
                        {
                            let mut arguments = pgrx::list::PgList::<pg_sys::Node>::new();
                            arguments.push(parameter(REPLAYED_NOW));
                            arguments.into_pg()
                        },
                        pg_sys::InvalidOid,
                        pg_sys::InvalidOid,
                        pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
                    )
                    .cast(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}

unsafe fn parameter(number: i32) -> *mut pg_sys::Node {
    // SAFETY: a new node in the current memory context.
    unsafe {
        let parameter = pg_sys::palloc0(std::mem::size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*parameter).xpr.type_ = pg_sys::NodeTag::T_Param;
        (*parameter).paramkind = pg_sys::ParamKind::PARAM_EXTERN;
        (*parameter).paramid = number;
        (*parameter).paramtype = pg_sys::TIMESTAMPTZOID;
        (*parameter).paramtypmod = -1;
        (*parameter).location = -1;
        parameter.cast()
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
