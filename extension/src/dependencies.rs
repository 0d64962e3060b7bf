//! Which tables, columns and functions a SELECT reads, views it goes through included: for `tradeflow._reads`, and to know which
//! changes can matter to it.
//!
//! The statement is parsed and rewritten by Postgres, never planned or run; what it reads is noted in the result by
//! Postgres itself, for its own check of rights.

use crate::compile::Dependency;
use crate::error::{sql_function, Failure};
use crate::own;
use crate::owner::{self, ActAs, PinnedPath};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag::*;
use std::collections::BTreeSet;
use std::ffi::{c_int, c_void, CStr};

sql_function!(tradeflow_reads, pg_finfo_tradeflow_reads, reads);

/// Columns are (table, attribute number), 0 for the row as a whole, -1 for none at all; functions those that do not come with Postgres.
#[derive(Default, serde::Serialize)]
pub struct Reads {
    columns: BTreeSet<(u32, i16)>,
    functions: BTreeSet<u32>,
    /// It asks what time it is.
    #[serde(skip)]
    pub clock: bool,
    /// It may read what is not noted here.
    #[serde(skip)]
    pub more: bool,
    /// What must stay as it is for this to stay so.
    #[serde(skip)]
    pub depends_on: Vec<Dependency>,
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
            T_SQLValueFunction => into.clock |= is_time((*node.cast::<pg_sys::SQLValueFunction>()).op),
            // The domain may have checks, with functions of any kind.
            T_CoerceToDomain => into.more = true,
            _ => {}
        }
        pg_sys::check_functions_in_node(node, Some(note), found);
        raw::expression_tree_walker(node, walk, found)
    }
}

unsafe extern "C-unwind" fn note(function: pg_sys::Oid, found: *mut c_void) -> bool {
    // SAFETY: the Reads of `walk`.
    unsafe { (*found.cast::<Reads>()).function(function) };
    false
}

/// current_date and the like; the others are about who asks, which is always the rule's owner.
fn is_time(what: pg_sys::SQLValueFunctionOp::Type) -> bool {
    use pg_sys::SQLValueFunctionOp::*;
    (SVFOP_CURRENT_DATE..=SVFOP_LOCALTIMESTAMP_N).contains(&what)
}

#[cfg(feature = "pg15")]
unsafe fn columns(query: *mut pg_sys::Query, into: &mut Reads) {
    // SAFETY: a valid query.
    unsafe {
        into.range_table(query);
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
        into.range_table(query);
        for entry in
            pgrx::list::PgList::<pg_sys::RTEPermissionInfo>::from_pg((*query).rteperminfos).iter_ptr()
        {
            into.columns((*entry).relid, (*entry).selectedCols);
        }
    }
}

impl Reads {
    /// What a plan of this connection of SPI reads.
    pub fn of(plan: pg_sys::SPIPlanPtr) -> Reads {
        let mut reads = Reads::default();
        // SAFETY: the plan's query trees live as long as it does, and so do its lists.
        unsafe {
            let sources = pgrx::list::PgList::<pg_sys::CachedPlanSource>::from_pg(
                pg_sys::SPI_plan_get_plan_sources(plan),
            );
            for source in sources.iter_ptr() {
                for query in pgrx::list::PgList::<pg_sys::Node>::from_pg((*source).query_list).iter_ptr() {
                    reads.walk(query);
                }
                reads.depends_on.extend(oids((*source).relationOids).map(Dependency::relation));
                for item in
                    pgrx::list::PgList::<pg_sys::PlanInvalItem>::from_pg((*source).invalItems).iter_ptr()
                {
                    reads.depends_on.push(Dependency { cache: (*item).cacheId, hash: (*item).hashValue });
                }
            }
        }
        reads
    }

    /// What an expression calls; of columns nothing.
    ///
    /// # Safety
    /// A valid expression.
    pub unsafe fn of_expression(expression: *mut pg_sys::Expr) -> Reads {
        let mut reads = Reads::default();
        // SAFETY: the caller's promise.
        unsafe { reads.walk(expression.cast()) };
        reads
    }

    unsafe fn walk(&mut self, node: *mut pg_sys::Node) {
        // SAFETY: the caller's promise; the walker's result is of no use.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| walk(node, (self as *mut Reads).cast())) };
    }

    /// The columns of a table that are read; 0 is the row as a whole. None: the table is not read at all.
    pub fn columns_of(&self, table: pg_sys::Oid) -> Option<Vec<i16>> {
        let table = table.to_u32();
        let mut columns = self.columns.range((table, i16::MIN)..=(table, i16::MAX)).peekable();
        columns.peek()?;
        Some(columns.map(|(_, attno)| *attno).filter(|attno| *attno >= 0).collect())
    }

    /// What a query does with its tables beyond reading columns.
    unsafe fn range_table(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: a valid query.
        unsafe {
            // The policies' columns are not among those that the query's author selected.
            self.more |= (*query).hasRowSecurity;
            for entry in pgrx::list::PgList::<pg_sys::RangeTblEntry>::from_pg((*query).rtable).iter_ptr() {
                self.more |= !(*entry).securityQuals.is_null() || !(*entry).tablesample.is_null();
            }
        }
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
        match function.to_u32() {
            pg_sys::F_NOW
            | pg_sys::F_TRANSACTION_TIMESTAMP
            | pg_sys::F_STATEMENT_TIMESTAMP
            | pg_sys::F_AGE_TIMESTAMP
            | pg_sys::F_AGE_TIMESTAMPTZ => self.clock = true,
            // Postgres' own that read what they are told by name.
            pg_sys::F_CURRENT_SETTING_TEXT
            | pg_sys::F_CURRENT_SETTING_TEXT_BOOL
            | pg_sys::F_TABLE_TO_XML
            | pg_sys::F_TABLE_TO_XML_AND_XMLSCHEMA
            | pg_sys::F_SCHEMA_TO_XML
            | pg_sys::F_SCHEMA_TO_XML_AND_XMLSCHEMA
            | pg_sys::F_DATABASE_TO_XML
            | pg_sys::F_DATABASE_TO_XML_AND_XMLSCHEMA => self.more = true,
            theirs if theirs < pg_sys::FirstNormalObjectId => {}
            theirs => {
                self.functions.insert(theirs);
                match ours(function) {
                    Some(Ours::Now) => self.clock = true,
                    Some(Ours::Setting) => {}
                    None => self.more |= may_read(function),
                }
            }
        }
    }
}

/// Functions of tradeflow's of which it is known what they read.
enum Ours {
    Now,
    Setting,
}

fn ours(function: pg_sys::Oid) -> Option<Ours> {
    // SAFETY: catalogue look-ups of a function that exists; its name is palloc'd.
    unsafe {
        let schema = own::schema();
        if schema == pg_sys::InvalidOid || pg_sys::get_func_namespace(function) != schema {
            return None;
        }
        match CStr::from_ptr(pg_sys::get_func_name(function)).to_bytes() {
            b"now" => Some(Ours::Now),
            b"setting" => Some(Ours::Setting),
            _ => None,
        }
    }
}

/// Whether somebody's function may read tables. An aggregate is IMMUTABLE, whatever its parts are.
fn may_read(function: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups of a function that exists.
    unsafe {
        pg_sys::func_volatile(function) as u8 != pg_sys::PROVOLATILE_IMMUTABLE
            || pg_sys::get_func_prokind(function) as u8 == pg_sys::PROKIND_AGGREGATE
    }
}

/// The members of a list of Postgres'.
///
/// # Safety
/// The list is one of oids, or none, and outlives the iterator.
pub unsafe fn oids(list: *mut pg_sys::List) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: the caller's promise.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length } };
    // SAFETY: the caller's promise.
    let member = move |i| unsafe { (*(*list).elements.add(i as usize)).oid_value };
    (0..length).map(member)
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
