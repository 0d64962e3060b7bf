//! `tradeflow._compile`: whether a definition compiles, asked when it is written.

use crate::compile::{self, Lookup};
use crate::definition;
use crate::error::{sql_function, Failure};
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;

sql_function!(tradeflow_compile, pg_finfo_tradeflow_compile, check);

fn check(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, regclass, text, text, text, text, text, text[], text, regrole).
    unsafe {
        let text = |n| pgrx::fcinfo::pg_getarg::<String>(fcinfo, n);
        let oid = |n| pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, n).unwrap_or(pg_sys::InvalidOid);
        let columns =
            pgrx::fcinfo::pg_getarg_datum(fcinfo, 7).and_then(|d| Vec::<String>::from_datum(d, false));
        let (source, owner) = (oid(1), oid(9));
        let name = text(0).unwrap_or_default();
        if !pg_sys::is_member_of_role(pg_sys::GetUserId(), owner) {
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
        let rule = definition::Rule {
            name,
            condition: text(2),
            fires: text(3).unwrap_or_default(),
            query: text(4),
            fire_at: text(5),
            still: text(6),
            columns,
            search_path: text(8).unwrap_or_default(),
            owner: owner.to_u32(),
            ..Default::default()
        };
        // What compiling leaves behind goes with the call's memory; an error is raised, so nothing needs undoing.
        let relation = pg_sys::relation_open(source, pg_sys::AccessShareLock as i32);
        let row_columns = definition::columns((*relation).rd_att, &table.ignore);
        let result = compile::compile(&rule, relation, &row_columns, &Lookup::of(&table), &mut Vec::new());
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        result.map(|_compiled| None).map_err(|mut failure| {
            failure.message = format!("rule \"{}\": {}", rule.name, failure.message);
            failure
        })
    }
}
