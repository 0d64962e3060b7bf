//! Comparing a value of a row with constants: what Postgres' operators mean, and the checks they become.

use super::subject::{bare, list, tag};
use crate::index::pattern::Like;
use crate::index::test::{byte_string, integer, number, widened, Check, Scale};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Lt,
    Le,
    Eq,
    Ge,
    Gt,
    Ne,
}

impl Compare {
    /// For the operands the other way round.
    pub fn turned(self) -> Compare {
        match self {
            Compare::Lt => Compare::Gt,
            Compare::Le => Compare::Ge,
            Compare::Ge => Compare::Le,
            Compare::Gt => Compare::Lt,
            same => same,
        }
    }
}

pub fn builtin(oid: pg_sys::Oid) -> bool {
    oid.to_u32() < pg_sys::FirstNormalObjectId
}

/// What an operator means in the order of its left type; None for operators that are not Postgres' own.
pub unsafe fn strategy(operator: pg_sys::Oid, left_type: pg_sys::Oid) -> Option<Compare> {
    if !builtin(operator) {
        return None;
    }
    // SAFETY: look-ups in the type cache and the catalogue.
    unsafe {
        let family =
            (*pg_sys::lookup_type_cache(left_type, pg_sys::TYPECACHE_BTREE_OPFAMILY as i32)).btree_opf;
        if family == pg_sys::InvalidOid {
            return None;
        }
        match pg_sys::get_op_opfamily_strategy(operator, family) {
            1 => Some(Compare::Lt),
            2 => Some(Compare::Le),
            3 => Some(Compare::Eq),
            4 => Some(Compare::Ge),
            5 => Some(Compare::Gt),
            _ => {
                let negator = pg_sys::get_negator(operator);
                (negator != pg_sys::InvalidOid && pg_sys::get_op_opfamily_strategy(negator, family) == 3)
                    .then_some(Compare::Ne)
            }
        }
    }
}

/// Types whose values can be compared with each other here, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Integer,
    /// Stored as an integer, comparable only with itself.
    Ordinal(pg_sys::Oid),
    Numeric,
    Text,
    Uuid,
    /// Pass-by-value, without an order that the stored value shows.
    Enum,
}

pub unsafe fn family(type_oid: pg_sys::Oid) -> Option<Family> {
    match type_oid {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(Family::Integer),
        pg_sys::BOOLOID | pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => {
            Some(Family::Ordinal(type_oid))
        }
        pg_sys::NUMERICOID => Some(Family::Numeric),
        pg_sys::TEXTOID => Some(Family::Text),
        pg_sys::UUIDOID => Some(Family::Uuid),
        // SAFETY: a catalogue look-up.
        other => unsafe { pg_sys::type_is_enum(other) }.then_some(Family::Enum),
    }
}

/// The check for `column compare value`.
pub unsafe fn comparison(
    call: &pg_sys::OpExpr,
    column: *mut pg_sys::Node,
    compare: Compare,
    value: *mut pg_sys::Node,
) -> Option<Check> {
    // SAFETY: nodes of a valid tree.
    unsafe {
        let family = family(pg_sys::exprType(column))?;
        if let Some((offset, slack)) = since_now(value) {
            return (family == Family::Ordinal(pg_sys::TIMESTAMPTZOID))
                .then(|| range(compare, Scale::SinceNow, offset, slack))?;
        }
        let value = bare(value);
        if tag(value) != T_Const {
            return None;
        }
        let constant = &*value.cast::<pg_sys::Const>();
        if constant.constisnull {
            return None;
        }
        if compare == Compare::Eq {
            return equality(
                family,
                constant.consttype,
                &[constant.constvalue],
                constant.constlen as i16,
                call.inputcollid,
            );
        }
        if family != self::family(constant.consttype)? {
            return None;
        }
        let scale = match family {
            Family::Integer | Family::Ordinal(_) => Scale::Integer,
            Family::Numeric => Scale::Numeric,
            _ => return None,
        };
        range(compare, scale, number(constant.constvalue, constant.constlen as i16, scale, 0)?, 0.0)
    }
}

fn range(compare: Compare, scale: Scale, bound: f64, slack: f64) -> Option<Check> {
    match compare {
        Compare::Lt | Compare::Le => Some(Check::Below(scale, widened(bound, slack, true))),
        Compare::Gt | Compare::Ge => Some(Check::Above(scale, widened(bound, slack, false))),
        Compare::Eq | Compare::Ne => None,
    }
}

/// The check for `text like constant`.
pub unsafe fn like(call: &pg_sys::OpExpr, pattern: *mut pg_sys::Node) -> Option<Check> {
    // SAFETY: a node of a valid tree; a text constant.
    unsafe {
        let pattern = bare(pattern);
        let deterministic =
            call.inputcollid != pg_sys::InvalidOid && pg_sys::get_collation_isdeterministic(call.inputcollid);
        if tag(pattern) != T_Const || !deterministic {
            return None;
        }
        let constant = &*pattern.cast::<pg_sys::Const>();
        if constant.constisnull || constant.consttype != pg_sys::TEXTOID {
            return None;
        }
        Some(Check::Like(Box::new(Like::of(byte_string(constant.constvalue, -1)?))))
    }
}

/// The check for `column = any (array)`.
pub unsafe fn one_of(
    column: *mut pg_sys::Node,
    array: *mut pg_sys::Node,
    collation: pg_sys::Oid,
) -> Option<Check> {
    // SAFETY: a constant of an array type, deconstructed by its element type.
    unsafe {
        let array = bare(array);
        if tag(array) != T_Const || (*array.cast::<pg_sys::Const>()).constisnull {
            return None;
        }
        let constant = &*array.cast::<pg_sys::Const>();
        let element = pg_sys::get_element_type(constant.consttype);
        if element == pg_sys::InvalidOid {
            return None;
        }
        let (mut len, mut by_value, mut align) = (0i16, false, 0);
        pg_sys::get_typlenbyvalalign(element, &mut len, &mut by_value, &mut align);
        let (mut datums, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            pg_sys::pg_detoast_datum(constant.constvalue.cast_mut_ptr()).cast(),
            element,
            len.into(),
            by_value,
            align,
            &mut datums,
            &mut nulls,
            &mut count,
        );
        let values: Vec<pg_sys::Datum> =
            (0..count as usize).filter(|i| !*nulls.add(*i)).map(|i| *datums.add(i)).collect();
        equality(family(pg_sys::exprType(column))?, element, &values, len, collation)
    }
}

unsafe fn equality(
    column: Family,
    value_type: pg_sys::Oid,
    values: &[pg_sys::Datum],
    len: i16,
    collation: pg_sys::Oid,
) -> Option<Check> {
    // SAFETY: values are datums of the type.
    unsafe {
        if family(value_type)? != column {
            return None;
        }
        match column {
            Family::Integer | Family::Ordinal(_) | Family::Enum => {
                Some(Check::IntIn(values.iter().map(|v| integer(*v, len)).collect()))
            }
            Family::Text if !pg_sys::get_collation_isdeterministic(collation) => None,
            Family::Text | Family::Uuid => values
                .iter()
                .map(|v| byte_string(*v, len).map(Box::from))
                .collect::<Option<Vec<_>>>()
                .map(Check::BytesIn),
            Family::Numeric => None,
        }
    }
}

/// now(), or now() plus or minus an interval: its distance from now in microseconds, and how far that may be off.
/// Months are 28 to 31 days long, and a day is 24 hours but for changes of the clock.
unsafe fn since_now(node: *mut pg_sys::Node) -> Option<(f64, f64)> {
    const DAY: f64 = 86_400_000_000.0;
    const PLUS: u32 = pg_sys::F_TIMESTAMPTZ_PL_INTERVAL;
    const MINUS: u32 = pg_sys::F_TIMESTAMPTZ_MI_INTERVAL;
    // SAFETY: each cast follows the tag.
    unsafe {
        match tag(node) {
            T_FuncExpr if (*node.cast::<pg_sys::FuncExpr>()).funcid.to_u32() == pg_sys::F_NOW => {
                Some((0.0, 0.0))
            }
            T_SQLValueFunction => ((*node.cast::<pg_sys::SQLValueFunction>()).op
                == pg_sys::SQLValueFunctionOp::SVFOP_CURRENT_TIMESTAMP)
                .then_some((0.0, 0.0)),
            T_OpExpr => {
                let call = &*node.cast::<pg_sys::OpExpr>();
                let sign = match call.opfuncid.to_u32() {
                    PLUS => 1.0,
                    MINUS => -1.0,
                    _ => return None,
                };
                let arguments = list(call.args);
                let [base, by] = arguments[..] else { return None };
                let (offset, slack) = since_now(base)?;
                if tag(by) != T_Const || (*by.cast::<pg_sys::Const>()).constisnull {
                    return None;
                }
                let by = &*(*by.cast::<pg_sys::Const>()).constvalue.cast_mut_ptr::<pg_sys::Interval>();
                let length = by.time as f64 + f64::from(by.day) * DAY + f64::from(by.month) * 30.4375 * DAY;
                let calendar = if by.day != 0 || by.month != 0 { 1.1 * DAY } else { 0.0 };
                Some((
                    offset + sign * length,
                    slack
                        + calendar
                        + f64::from(by.month.abs().min(12)) * 3.0 * DAY
                        + f64::from(by.month.abs()) * 0.1 * DAY,
                ))
            }
            _ => None,
        }
    }
}
