//! Finding tests in a planned condition: its top-level conjuncts that compare something of the row, and those that only
//! a change of a column can make true.

mod arithmetic;
mod comparison;
mod subject;

use super::test::{Check, Test};
use crate::change::{self, ColumnSet};
use crate::definition::Column;
use comparison::{builtin, comparison, like, one_of, strategy, Compare};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;
use subject::{column_of, list, same, tag, tested, tested_column};

/// What a condition's conjuncts say.
#[derive(Default)]
pub struct Found {
    /// All of these may hold when the condition is true.
    pub tests: Vec<Test>,
    /// In an update, each of these sets must have a changed column when the condition is true.
    pub changes: Vec<ColumnSet>,
}

/// Reads a condition.
///
/// # Safety
/// `condition` is a planned expression whose old columns are INNER_VARs and new ones OUTER_VARs.
pub unsafe fn extract(condition: *mut pg_sys::Expr, columns: &[Column]) -> Found {
    let mut found = Found::default();
    // SAFETY: the caller's promise; so below for every node of the tree.
    unsafe {
        for conjunct in list(pg_sys::make_ands_implicit(condition)) {
            if let Some(test) = test_of(conjunct, columns) {
                found.tests.push(test);
                continue;
            }
            if tag(conjunct) == T_OpExpr {
                let call = &*conjunct.cast::<pg_sys::OpExpr>();
                found.tests.extend(arithmetic::inequalities(call, columns).into_iter().flatten());
            }
            found.changes.extend(change_of(conjunct).map(change::bit));
        }
    }
    found
}

/// A conjunct that is true only when a column changed: new.a <> old.a, <, >, is distinct from.
unsafe fn change_of(node: *mut pg_sys::Node) -> Option<i16> {
    // SAFETY: OpExpr and DistinctExpr are one struct.
    unsafe {
        if tag(node) != T_OpExpr && tag(node) != T_DistinctExpr {
            return None;
        }
        let call = &*node.cast::<pg_sys::OpExpr>();
        let arguments = list(call.args);
        let [left, right] = arguments[..] else { return None };
        let ((left_side, left_attno), (right_side, right_attno)) = (column_of(left)?, column_of(right)?);
        if left_side == right_side || left_attno != right_attno || !builtin(call.opno) {
            return None;
        }
        let unequal = tag(node) == T_DistinctExpr
            || matches!(
                strategy(call.opno, pg_sys::exprType(left)),
                Some(Compare::Lt | Compare::Gt | Compare::Ne)
            );
        unequal.then_some(left_attno)
    }
}

unsafe fn test_of(node: *mut pg_sys::Node, columns: &[Column]) -> Option<Test> {
    // SAFETY: each cast follows the tag.
    unsafe {
        match tag(node) {
            T_Var | T_RelabelType => tested_column(node, columns)?.test(Check::IntIn(vec![1])),
            T_BooleanTest => {
                let test = &*node.cast::<pg_sys::BooleanTest>();
                let wanted = match test.booltesttype {
                    pg_sys::BoolTestType::IS_TRUE => 1,
                    pg_sys::BoolTestType::IS_FALSE => 0,
                    _ => return None,
                };
                tested_column(test.arg.cast(), columns)?.test(Check::IntIn(vec![wanted]))
            }
            T_NullTest => {
                let test = &*node.cast::<pg_sys::NullTest>();
                let check = match test.nulltesttype {
                    _ if test.argisrow => return None,
                    pg_sys::NullTestType::IS_NULL => Check::IsNull,
                    _ => Check::NotNull,
                };
                tested(test.arg.cast(), columns)?.test(check)
            }
            T_BoolExpr => {
                let logic = &*node.cast::<pg_sys::BoolExpr>();
                let arguments = list(logic.args);
                match logic.boolop {
                    pg_sys::BoolExprType::NOT_EXPR => {
                        tested_column(arguments[0], columns)?.test(Check::IntIn(vec![0]))
                    }
                    pg_sys::BoolExprType::OR_EXPR => any_of(&arguments, columns),
                    _ => None,
                }
            }
            T_OpExpr => {
                let call = &*node.cast::<pg_sys::OpExpr>();
                let arguments = list(call.args);
                let [left, right] = arguments[..] else { return None };
                if call.opfuncid.to_u32() == pg_sys::F_TEXTLIKE {
                    return tested(left, columns)?.test(like(call, right)?);
                }
                let compare = strategy(call.opno, pg_sys::exprType(left))?;
                if let Some(check) = comparison(call, left, compare, right) {
                    return tested(left, columns)?.test(check);
                }
                tested(right, columns)?.test(comparison(call, right, compare.turned(), left)?)
            }
            T_ScalarArrayOpExpr => {
                let call = &*node.cast::<pg_sys::ScalarArrayOpExpr>();
                let arguments = list(call.args);
                let [left, right] = arguments[..] else { return None };
                if !call.useOr || strategy(call.opno, pg_sys::exprType(left))? != Compare::Eq {
                    return None;
                }
                tested(left, columns)?.test(one_of(left, right, call.inputcollid)?)
            }
            _ => None,
        }
    }
}

/// a = 1 or a = 2: one of both.
unsafe fn any_of(arguments: &[*mut pg_sys::Node], columns: &[Column]) -> Option<Test> {
    // SAFETY: the arguments of a valid node.
    let mut tests = arguments.iter().map(|a| unsafe { test_of(*a, columns) });
    let Test::Single(mut first) = tests.next()?? else { return None };
    for test in tests {
        let Test::Single(test) = test? else { return None };
        // SAFETY: as above.
        if test.side != first.side || !unsafe { same(test.subject, first.subject) } {
            return None;
        }
        match (&mut first.check, test.check) {
            (Check::IntIn(all), Check::IntIn(more)) => all.extend(more),
            (Check::BytesIn(all), Check::BytesIn(more)) => all.extend(more),
            _ => return None,
        }
    }
    Some(Test::Single(first))
}
