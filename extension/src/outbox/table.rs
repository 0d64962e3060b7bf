//! One of our own tables, to put rows into as logical replication does (execReplication.c): constraints are checked, every
//! index gets its entry. Columns are known by name; those that are not given have their defaults.

use crate::own;
use crate::spi::Value;
use pgrx::pg_sys;
use std::ffi::CStr;

/// A table that is open for writing, in the memory of an executor's state of its own.
pub struct Table {
    pub relation: pg_sys::Relation,
    estate: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    schema: pg_sys::Oid,
    /// For each given value, its column.
    columns: Vec<usize>,
    /// Columns that are not given, with the expressions of their defaults.
    defaults: Vec<(usize, *mut pg_sys::ExprState)>,
}

impl Table {
    /// None where a row cannot simply be put: the table has triggers or row security, is partitioned, or lacks a column.
    pub fn open(name: &CStr, columns: &[&str]) -> Option<Table> {
        // SAFETY: catalogue look-ups; a table of tradeflow's, opened as a statement would and closed by `close` or, after
        // an error, by the transaction's end, which frees the executor's state as well.
        unsafe {
            let oid = own::relation(name);
            if oid == pg_sys::InvalidOid {
                return None;
            }
            let relation = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as i32);
            let form = (*relation).rd_rel;
            let simple = (*form).relkind == pg_sys::RELKIND_RELATION as i8
                && (*relation).trigdesc.is_null()
                && !(*form).relrowsecurity;
            let estate = pg_sys::CreateExecutorState();
            let mut table = Table {
                relation,
                estate,
                result: std::ptr::null_mut(),
                slot: std::ptr::null_mut(),
                schema: own::schema(),
                columns: Vec::with_capacity(columns.len()),
                defaults: Vec::new(),
            };
            if !simple || !table.find(columns) {
                table.close();
                return None;
            }
            table.prepare();
            Some(table)
        }
    }

    /// Which column each value goes to; false when one is not there, or another cannot do without a value.
    unsafe fn find(&mut self, wanted: &[&str]) -> bool {
        // SAFETY: a live descriptor; expressions are made in the executor's memory.
        unsafe {
            let descriptor = (*self.relation).rd_att;
            let attributes = pgrx::PgTupleDesc::from_pg_copy(descriptor);
            let names: Vec<&str> = attributes.iter().map(|a| a.name()).collect();
            for name in wanted {
                match names.iter().position(|n| n == name) {
                    Some(column) => self.columns.push(column),
                    None => return false,
                }
            }
            let before = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
            for (i, attribute) in attributes.iter().enumerate() {
                if attribute.attisdropped || self.columns.contains(&i) {
                    continue;
                }
                if attribute.attgenerated != 0 {
                    pg_sys::MemoryContextSwitchTo(before);
                    return false;
                }
                if attribute.atthasdef || attribute.attidentity != 0 {
                    let default = pg_sys::build_column_default(self.relation, i as i32 + 1);
                    let planned = pg_sys::expression_planner(default.cast());
                    self.defaults.push((i, pg_sys::ExecInitExpr(planned, std::ptr::null_mut())));
                }
            }
            pg_sys::MemoryContextSwitchTo(before);
            true
        }
    }

    unsafe fn prepare(&mut self) {
        // SAFETY: as apply workers prepare an insert (worker.c, create_edata_for_relation and apply_handle_insert).
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
            let result =
                pg_sys::palloc0(std::mem::size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(result, self.relation, 0, std::ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(result, false);
            (*self.estate).es_output_cid = pg_sys::GetCurrentCommandId(true);
            self.result = result;
            self.slot =
                pg_sys::MakeSingleTupleTableSlot((*self.relation).rd_att, &raw const pg_sys::TTSOpsVirtual);
            pg_sys::MakePerTupleExprContext(self.estate);
            pg_sys::MemoryContextSwitchTo(before);
        }
    }

    /// Puts a row: the values in the order of the columns' names. What values were made of is freed with it.
    pub fn insert(&mut self, values: &[Value]) {
        // SAFETY: the slot is the table's; values are of the columns' types, by the caller's promise.
        unsafe {
            let context = (*self.estate).es_per_tuple_exprcontext;
            let before = pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
            let slot = self.slot;
            pg_sys::ExecClearTuple(slot);
            let count = (*(*slot).tts_tupleDescriptor).natts as usize;
            std::slice::from_raw_parts_mut((*slot).tts_isnull, count).fill(true);
            for (column, value) in self.columns.iter().zip(values) {
                if let Some(datum) = value {
                    *(*slot).tts_values.add(*column) = *datum;
                    *(*slot).tts_isnull.add(*column) = false;
                }
            }
            for (column, state) in &self.defaults {
                let mut null = false;
                if let Some(evaluate) = (**state).evalfunc {
                    let datum = pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(*state, context, &mut null));
                    *(*slot).tts_values.add(*column) = datum;
                    *(*slot).tts_isnull.add(*column) = null;
                }
            }
            pg_sys::ExecStoreVirtualTuple(slot);
            pg_sys::ExecSimpleRelationInsert(self.result, self.estate, slot);
            pg_sys::ExecClearTuple(slot);
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
        }
    }

    /// A text for one row.
    pub fn text(&self, parts: &[&str]) -> Value {
        // SAFETY: the memory of the row that is being made.
        unsafe { self.make_text((*(*self.estate).es_per_tuple_exprcontext).ecxt_per_tuple_memory, parts) }
            .into()
    }

    /// A text for any number of rows.
    pub fn keep_text(&self, text: &str) -> pg_sys::Datum {
        // SAFETY: memory that lives as long as the table is open.
        unsafe { self.make_text((*self.estate).es_query_cxt, &[text]) }
    }

    unsafe fn make_text(&self, context: pg_sys::MemoryContext, parts: &[&str]) -> pg_sys::Datum {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        // SAFETY: new memory of the size that is written.
        unsafe {
            let text = pg_sys::MemoryContextAlloc(context, len + 4).cast::<u8>();
            pgrx::set_varsize_4b(text.cast(), len as i32 + 4);
            let mut at = text.add(4);
            for part in parts {
                at.copy_from_nonoverlapping(part.as_ptr(), part.len());
                at = at.add(part.len());
            }
            pg_sys::Datum::from(text)
        }
    }

    /// One of tradeflow's sequences.
    pub fn sequence(&self, name: &CStr) -> pg_sys::Oid {
        // SAFETY: a catalogue look-up.
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), self.schema) }
    }

    pub fn close(self) {
        // SAFETY: opened by `open`; the lock stays until the transaction's end.
        unsafe {
            if !self.slot.is_null() {
                pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            }
            if !self.result.is_null() {
                pg_sys::ExecCloseIndices(self.result);
            }
            pg_sys::FreeExecutorState(self.estate);
            pg_sys::table_close(self.relation, pg_sys::NoLock as i32);
        }
    }
}
