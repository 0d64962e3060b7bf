//! What a condition may compare: a column of one of the two versions, or something computed from one.

use crate::definition::Column;
use crate::index::test::{Check, Side, Single, Subject, Test};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;

/// A value that can be tested.
#[derive(Clone, Copy)]
pub struct Tested {
    pub side: Side,
    pub subject: Subject,
    len: i16,
}

impl Tested {
    pub fn test(self, check: Check) -> Option<Test> {
        Some(Test::Single(Single { side: self.side, subject: self.subject, len: self.len, check }))
    }
}

/// Whether two subjects are one.
pub unsafe fn same(a: Subject, b: Subject) -> bool {
    match (a, b) {
        // SAFETY: valid expressions.
        (Subject::Expression(a), Subject::Expression(b)) => unsafe { pg_sys::equal(a.cast(), b.cast()) },
        _ => a == b,
    }
}

/// The items of a list of nodes.
pub unsafe fn list(items: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    // SAFETY: a list of nodes.
    unsafe { pgrx::list::PgList::<pg_sys::Node>::from_pg(items) }.iter_ptr().collect()
}

pub unsafe fn tag(node: *mut pg_sys::Node) -> pg_sys::NodeTag {
    // SAFETY: a valid node.
    unsafe { (*node).type_ }
}

/// The node without casts that change nothing but the type's name (varchar to text).
pub unsafe fn bare(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: a valid node.
    unsafe {
        while tag(node) == T_RelabelType {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        node
    }
}

/// A column of one of the two versions.
pub unsafe fn column_of(node: *mut pg_sys::Node) -> Option<(Side, i16)> {
    // SAFETY: a valid node.
    unsafe {
        let node = bare(node);
        if tag(node) != T_Var {
            return None;
        }
        let var = &*node.cast::<pg_sys::Var>();
        let side = match var.varno {
            pg_sys::INNER_VAR => Side::Old,
            pg_sys::OUTER_VAR => Side::New,
            _ => return None,
        };
        (var.varattno > 0).then_some((side, var.varattno))
    }
}

/// The same, to be tested.
pub unsafe fn tested_column(node: *mut pg_sys::Node, columns: &[Column]) -> Option<Tested> {
    // SAFETY: a valid node.
    let (side, attno) = unsafe { column_of(node) }?;
    let column = (attno - 1) as usize;
    Some(Tested { side, subject: Subject::Column(column), len: columns.get(column)?.len })
}

/// A column, or what [`CANNOT_FAIL`] computes from one.
pub unsafe fn tested(node: *mut pg_sys::Node, columns: &[Column]) -> Option<Tested> {
    // SAFETY: a valid node.
    unsafe {
        tested_column(node, columns).or_else(|| {
            let node = bare(node);
            let side = computed_from(node)?;
            Some(Tested {
                side,
                subject: Subject::Expression(node),
                len: pg_sys::get_typlen(pg_sys::exprType(node)),
            })
        })
    }
}

/// Functions of Postgres' own that return something, or NULL, whatever they are given. All are strict.
const CANNOT_FAIL: [u32; 11] = [
    pg_sys::F_LOWER_TEXT,
    pg_sys::F_UPPER_TEXT,
    pg_sys::F_BTRIM_TEXT,
    pg_sys::F_LENGTH_TEXT,
    pg_sys::F_CHAR_LENGTH_TEXT,
    pg_sys::F_JSONB_OBJECT_FIELD,
    pg_sys::F_JSONB_OBJECT_FIELD_TEXT,
    pg_sys::F_JSONB_ARRAY_ELEMENT,
    pg_sys::F_JSONB_ARRAY_ELEMENT_TEXT,
    pg_sys::F_JSONB_EXTRACT_PATH,
    pg_sys::F_JSONB_EXTRACT_PATH_TEXT,
];

/// The version whose column such functions compute something from.
unsafe fn computed_from(node: *mut pg_sys::Node) -> Option<Side> {
    // SAFETY: each cast follows the tag.
    unsafe {
        let (function, collation, arguments) = match tag(node) {
            T_FuncExpr => {
                let call = &*node.cast::<pg_sys::FuncExpr>();
                (call.funcid, call.inputcollid, list(call.args))
            }
            T_OpExpr => {
                let call = &*node.cast::<pg_sys::OpExpr>();
                (call.opfuncid, call.inputcollid, list(call.args))
            }
            _ => return None,
        };
        // Without a collation, those that need one do fail.
        let takes_text = [pg_sys::F_LOWER_TEXT, pg_sys::F_UPPER_TEXT].contains(&function.to_u32());
        if !CANNOT_FAIL.contains(&function.to_u32()) || (takes_text && collation == pg_sys::InvalidOid) {
            return None;
        }
        let (first, others) = arguments.split_first()?;
        let constant = |argument: &*mut pg_sys::Node| {
            let argument = bare(*argument);
            tag(argument) == T_Const && !(*argument.cast::<pg_sys::Const>()).constisnull
        };
        if !others.iter().all(constant) {
            return None;
        }
        column_of(*first).map(|(side, _)| side).or_else(|| computed_from(bare(*first)))
    }
}
