//! `tradeflow._reads`: which tables, columns and functions a SELECT reads, views it goes through included.
//!
//! The statement is parsed and rewritten by Postgres, never planned or run; what it reads is noted in the result by
//! Postgres itself, for its own check of rights.

use crate::error::{sql_function, Failure};
use crate::owner::{self, ActAs, PinnedPath};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};

sql_function!(tradeflow_reads, pg_finfo_tradeflow_reads, reads);

/// Columns are (table, attribute number), 0 for the row as a whole, -1 for none at all; functions those that do not come with Postgres.
#[derive(Default, serde::Serialize)]
struct Reads {
    columns: BTreeSet<(u32, i16)>,
    functions: BTreeSet<u32>,
}

fn reads(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, text, regrole), strict.
    let (query, path, role) = unsafe {
        (
            pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<String>(fcinfo, 1).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, 2).unwrap_or(pg_sys::InvalidOid),
        )
    };
    let path = owner::rule_path(&path);
    let found = in_subtransaction(|| {
        let _owner = ActAs::rule_owner(role);
        let _path = PinnedPath::new(&path);
        Ok(spi::connected(|| Reads::of(spi::prepare(&query, &[]))))
    })?;
    Ok(serde_json::to_string(&found).ok().and_then(IntoDatum::into_datum))
}

/// The columns of a table that a plan of this connection of SPI reads; 0 is the row as a whole.
pub fn columns_of(plan: pg_sys::SPIPlanPtr, table: pg_sys::Oid) -> Vec<i16> {
    let columns = Reads::of(plan).columns.into_iter();
    columns.filter(|(of, attno)| *of == table.to_u32() && *attno >= 0).map(|(_, attno)| attno).collect()
}

/// A walker of Postgres' (nodeFuncs.c): false goes on.
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, found: *mut c_void) -> bool {
    // SAFETY: nodes of a valid tree, and the Reads of `reads`.
    unsafe {
        if node.is_null() {
            return false;
        }
        let into = &mut *found.cast::<Reads>();
        match (*node).type_ {
            T_Query => {
                let query = node.cast::<pg_sys::Query>();
                columns(query, into);
                return raw::query_tree_walker(query, walk, found, 0);
            }
            T_FuncExpr => into.function((*node.cast::<pg_sys::FuncExpr>()).funcid),
            T_OpExpr | T_DistinctExpr | T_NullIfExpr => {
                into.function((*node.cast::<pg_sys::OpExpr>()).opfuncid)
            }
            T_ScalarArrayOpExpr => into.function((*node.cast::<pg_sys::ScalarArrayOpExpr>()).opfuncid),
            T_Aggref => into.function((*node.cast::<pg_sys::Aggref>()).aggfnoid),
            T_WindowFunc => into.function((*node.cast::<pg_sys::WindowFunc>()).winfnoid),
            _ => {}
        }
        raw::expression_tree_walker(node, walk, found)
    }
}

#[cfg(feature = "pg15")]
unsafe fn columns(query: *mut pg_sys::Query, into: &mut Reads) {
    // SAFETY: a valid query.
    unsafe {
        for entry in pgrx::list::PgList::<pg_sys::RangeTblEntry>::from_pg((*query).rtable).iter_ptr() {
            if (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION {
                into.columns((*entry).relid, (*entry).selectedCols);
            }
        }
    }
}

#[cfg(not(feature = "pg15"))]
unsafe fn columns(query: *mut pg_sys::Query, into: &mut Reads) {
    // SAFETY: a valid query.
    unsafe {
        for entry in
            pgrx::list::PgList::<pg_sys::RTEPermissionInfo>::from_pg((*query).rteperminfos).iter_ptr()
        {
            into.columns((*entry).relid, (*entry).selectedCols);
        }
    }
}

impl Reads {
    /// What a plan of this connection of SPI reads.
    fn of(plan: pg_sys::SPIPlanPtr) -> Reads {
        let mut reads = Reads::default();
        // SAFETY: the plan's query trees live as long as it does.
        unsafe {
            let sources = pgrx::list::PgList::<pg_sys::CachedPlanSource>::from_pg(
                pg_sys::SPI_plan_get_plan_sources(plan),
            );
            for source in sources.iter_ptr() {
                for query in pgrx::list::PgList::<pg_sys::Node>::from_pg((*source).query_list).iter_ptr() {
                    let found = (&raw mut reads).cast();
                    pg_sys::ffi::pg_guard_ffi_boundary(|| walk(query, found));
                }
            }
        }
        reads
    }

    unsafe fn columns(&mut self, table: pg_sys::Oid, selected: *mut pg_sys::Bitmapset) {
        // SAFETY: a set of Postgres': attribute numbers, shifted to be positive.
        unsafe {
            let mut member = pg_sys::bms_next_member(selected, -1);
            if member < 0 {
                self.columns.insert((table.to_u32(), -1));
            }
            while member >= 0 {
                let attno = member + pg_sys::FirstLowInvalidHeapAttributeNumber;
                self.columns.insert((table.to_u32(), attno.max(0) as i16));
                member = pg_sys::bms_next_member(selected, member);
            }
        }
    }

    fn function(&mut self, function: pg_sys::Oid) {
        if function.to_u32() >= pg_sys::FirstNormalObjectId {
            self.functions.insert(function.to_u32());
        }
    }
}

/// Postgres' walkers, which it declares without their callback's parameters.
pub mod raw {
    use super::{c_int, c_void, pg_sys};
    type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;
    extern "C-unwind" {
        #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_walker_impl")]
        pub fn query_tree_walker(
            query: *mut pg_sys::Query,
            walker: Walker,
            context: *mut c_void,
            flags: c_int,
        ) -> bool;
        #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
        pub fn expression_tree_walker(node: *mut pg_sys::Node, walker: Walker, context: *mut c_void) -> bool;
    }
}
