//! Comparing columns with each other, through arithmetic.

use super::comparison::{builtin, family, strategy, Compare, Family};
use super::subject::{bare, column_of, list, tag};
use crate::definition::Column;
use crate::index::formula::{Formula, Inequality};
use crate::index::test::{number, Scale, Test};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;

/// The inequalities that a comparison implies.
pub unsafe fn inequalities(call: &pg_sys::OpExpr, columns: &[Column]) -> Option<Vec<Test>> {
    // SAFETY: a node of a valid tree.
    unsafe {
        let arguments = list(call.args);
        let [left, right] = arguments[..] else { return None };
        let types = (family(pg_sys::exprType(left))?, family(pg_sys::exprType(right))?);
        if types.0 != types.1 {
            return None;
        }
        let compare = strategy(call.opno, pg_sys::exprType(left))?;
        let (left, right) = (formula(left, columns)?, formula(right, columns)?);
        if !left.varies() && !right.varies() {
            return None;
        }
        let at_least = |greater, lesser| Test::Inequality(Inequality { greater, lesser });
        match compare {
            Compare::Lt | Compare::Le => Some(vec![at_least(right, left)]),
            Compare::Gt | Compare::Ge => Some(vec![at_least(left, right)]),
            Compare::Eq => Some(vec![at_least(left.clone(), right.clone()), at_least(right, left)]),
            Compare::Ne => None,
        }
    }
}

/// The columns' own numbers, and sums, differences and products of numeric.
unsafe fn formula(node: *mut pg_sys::Node, columns: &[Column]) -> Option<Formula> {
    // SAFETY: each cast follows the tag; a constant is of its type.
    unsafe {
        let node = bare(node);
        let scale = match family(pg_sys::exprType(node))? {
            Family::Integer | Family::Ordinal(_) => Scale::Integer,
            Family::Numeric => Scale::Numeric,
            _ => return None,
        };
        match tag(node) {
            T_Var => {
                let (side, attno) = column_of(node)?;
                let column = (attno - 1) as usize;
                Some(Formula::Column { side, column, len: columns.get(column)?.len, scale })
            }
            T_Const => {
                let constant = &*node.cast::<pg_sys::Const>();
                let value = (!constant.constisnull)
                    .then(|| number(constant.constvalue, constant.constlen as i16, scale, 0))??;
                value.is_finite().then_some(Formula::Constant(value))
            }
            T_FuncExpr => {
                let call = &*node.cast::<pg_sys::FuncExpr>();
                let from_integer = [pg_sys::F_NUMERIC_INT2, pg_sys::F_NUMERIC_INT4, pg_sys::F_NUMERIC_INT8];
                if !from_integer.contains(&call.funcid.to_u32()) {
                    return None;
                }
                formula(*list(call.args).first()?, columns)
            }
            T_OpExpr => {
                let call = &*node.cast::<pg_sys::OpExpr>();
                let arguments = list(call.args);
                let [left, right] = arguments[..] else { return None };
                let combine = match call.opfuncid.to_u32() {
                    pg_sys::F_NUMERIC_ADD => Formula::Add,
                    pg_sys::F_NUMERIC_SUB => Formula::Subtract,
                    pg_sys::F_NUMERIC_MUL => Formula::Multiply,
                    _ => return None,
                };
                debug_assert!(builtin(call.opno));
                Some(combine(Box::new(formula(left, columns)?), Box::new(formula(right, columns)?)))
            }
            _ => None,
        }
    }
}
