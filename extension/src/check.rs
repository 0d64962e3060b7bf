//! `tradeflow._compile`: whether a definition compiles, asked when it is written.

use crate::compile::{self, Lookup};
use crate::definition;
use crate::error::{sql_function, Failure};
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::ffi::CStr;

sql_function!(tradeflow_compile, pg_finfo_tradeflow_compile, check);

fn check(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, regclass, text, text, text, text, text, text[], text, regrole).
    unsafe {
        let rule = definition::Rule {
            name: text(fcinfo, 0).unwrap_or_default(),
            condition: text(fcinfo, 2),
            fires: text(fcinfo, 3).unwrap_or_default(),
            query: text(fcinfo, 4),
            fire_at: text(fcinfo, 5),
            still: text(fcinfo, 6),
            columns: pgrx::fcinfo::pg_getarg_datum(fcinfo, 7)
                .and_then(|d| Vec::<String>::from_datum(d, false)),
            search_path: text(fcinfo, 8).unwrap_or_default(),
            owner: oid(fcinfo, 9).to_u32(),
            ..Default::default()
        };
        compiles(oid(fcinfo, 1), rule)
    }
}

/// Compiles a definition and forgets it. The caller must be a member of its owner: constants are folded as the owner.
unsafe fn compiles(source: pg_sys::Oid, rule: definition::Rule) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: the relation is opened here; what compiling leaves behind goes with the call's memory, and an error is
    // raised, so nothing needs undoing.
    unsafe {
        let name = &rule.name;
        if !pg_sys::is_member_of_role(pg_sys::GetUserId(), rule.owner.into()) {
            return Err(Failure::new(
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("rule \"{name}\" belongs to a role you are no member of"),
            ));
        }
        let Some(table) = definition::load(source, false) else {
            return Err(Failure::new(
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the table of rule \"{name}\" is not watched"),
            ));
        };
        let relation = pg_sys::relation_open(source, pg_sys::AccessShareLock as i32);
        let columns = definition::columns((*relation).rd_att, &table.ignore);
        let result = compile::compile(&rule, relation, &columns, &Lookup::of(&table), &mut Vec::new());
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        result.map(|_compiled| None).map_err(|mut failure| {
            failure.message = format!("rule \"{name}\": {}", failure.message);
            failure
        })
    }
}

unsafe fn text(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> Option<String> {
    // SAFETY: the caller says that argument n is of type text.
    unsafe { pgrx::fcinfo::pg_getarg(fcinfo, n) }
}

unsafe fn oid(fcinfo: pg_sys::FunctionCallInfo, n: usize) -> pg_sys::Oid {
    // SAFETY: the caller says that argument n is an object's oid.
    unsafe { pgrx::fcinfo::pg_getarg(fcinfo, n) }.unwrap_or(pg_sys::InvalidOid)
}

sql_function!(tradeflow_compile_input, pg_finfo_tradeflow_compile_input, check_input);

fn check_input(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, regclass, text, regtype, text, regrole).
    unsafe {
        let rule = definition::Rule {
            name: text(fcinfo, 0).unwrap_or_default(),
            fires: "always".to_string(),
            subject: text(fcinfo, 2),
            subject_type: oid(fcinfo, 3).to_u32(),
            search_path: text(fcinfo, 4).unwrap_or_default(),
            owner: oid(fcinfo, 5).to_u32(),
            ..Default::default()
        };
        compiles(oid(fcinfo, 1), rule)
    }
}

sql_function!(tradeflow_check_view, pg_finfo_tradeflow_check_view, check_view);

fn check_view(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (regclass), strict, and called with a view; its query is only read.
    unsafe {
        let view = oid(fcinfo, 0);
        let relation = pg_sys::relation_open(view, pg_sys::AccessShareLock as i32);
        let query = pg_sys::get_view_query(relation);
        let volatile = pg_sys::contain_volatile_functions(query.cast());
        let subject = pgrx::list::PgList::<pg_sys::TargetEntry>::from_pg((*query).targetList)
            .iter_ptr()
            .find(|e| !(**e).resname.is_null() && CStr::from_ptr((**e).resname) == c"subject")
            .map(|entry| (*entry).expr.cast::<pg_sys::Node>());
        let numbered = subject.is_some_and(|s| pg_sys::contain_windowfuncs(s));
        let collation = subject.map_or(pg_sys::InvalidOid, |s| pg_sys::exprCollation(s));
        let ambiguous = collation != pg_sys::InvalidOid && !pg_sys::get_collation_isdeterministic(collation);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        let refused =
            |why: &str, hint: &str| Err(Failure::new(ERRCODE_INVALID_OBJECT_DEFINITION, why).hint(hint));
        if volatile {
            return refused(
                "the view calls a volatile function",
                "Asked twice, it must answer the same: declare the function STABLE if it only reads; the time is tradeflow.now().",
            );
        } else if numbered {
            return refused(
                "the view's subject is computed by a window function",
                "Who a row is about must not depend on which other rows there are: take a key, as in select company_id as subject.",
            );
        } else if ambiguous {
            return refused(
                "the view's subject has a collation in which different texts are equal",
                "A subject is known by its text: select … collate \"C\" as subject.",
            );
        }
        Ok(None)
    }
}
