//! `tradeflow.view_checks`: the subjects that a statement leaves to the end of its transaction.

use crate::error::Failure;
use crate::own;
use crate::results::Concerned;
use crate::spi::{self, texts};
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::ffi::c_int;

/// A row: each of the rules is to be asked about each of the subjects.
pub struct Check {
    pub rules: Vec<String>,
    pub subjects: Vec<String>,
    pub silent: bool,
}

/// Leaves subjects to the end of the transaction: the table's deferred trigger asks then. Rules that map rows to the same
/// subjects, as most rules of a table do, share a row. SPI is connected, as the owner of tradeflow's tables.
pub fn queue(concerned: &[Concerned], silent: bool) {
    let mut of_rule: FxHashMap<&str, BTreeSet<&str>> = FxHashMap::default();
    for c in concerned {
        of_rule.entry(&c.rule).or_default().insert(&c.subject);
    }
    let mut rules_of: FxHashMap<BTreeSet<&str>, Vec<&str>> = FxHashMap::default();
    for (rule, subjects) in of_rule {
        rules_of.entry(subjects).or_default().push(rule);
    }
    let types = [pg_sys::TEXTARRAYOID, pg_sys::TEXTARRAYOID, pg_sys::BOOLOID];
    for (subjects, mut rules) in rules_of {
        rules.sort_unstable();
        let plan = spi::plan_once(
            "insert into tradeflow.view_checks (rules, subjects, silent) values ($1, $2, $3)",
            &types,
        );
        let arguments =
            [texts(rules.into_iter().map(Some)), texts(subjects.into_iter().map(Some)), silent.into_datum()];
        spi::write(plan, &arguments);
    }
}

/// The id of the row that a call of the deferred trigger is for.
pub fn of_event(fcinfo: pg_sys::FunctionCallInfo) -> Result<i64, Failure> {
    // SAFETY: Postgres' call; a trigger's context is a TriggerData, with the row that was inserted.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Failure::new(
                ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "tradeflow._settle_transaction() is a trigger",
            ));
        }
        let event = &*context.cast::<pg_sys::TriggerData>();
        let descriptor = (*event.tg_relation).rd_att;
        Ok(value(event.tg_trigtuple, descriptor, ID).unwrap_or_default())
    }
}

// The columns' numbers.
const ID: c_int = 1;
const RULES: c_int = 2;
const SUBJECTS: c_int = 3;
const SILENT: c_int = 4;
const XACT: c_int = 5;

unsafe fn value<T: FromDatum>(
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    column: c_int,
) -> Option<T> {
    // SAFETY: the caller's tuple is one of view_checks, whose columns have these types.
    unsafe { T::from_datum(own::value(tuple, descriptor, column)?, false) }
}

/// Takes the transaction's rows out of the table: those from this one on. By the primary key, whatever a planner thinks of
/// a table that is empty but for a moment: behind the first there is little, before it all that vacuum has not cleaned.
pub fn take(first: i64) -> Vec<Check> {
    let mut taken = Vec::new();
    // SAFETY: a scan by the table's own index, as Postgres makes them of its catalogues, with a snapshot that sees what the
    // transaction did so far; the rows are its own, so nobody else deletes them.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let (table, index) = (own::relation(c"view_checks"), own::relation(c"view_checks_pkey"));
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as i32);
        let descriptor = (*relation).rd_att;
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut key = pg_sys::ScanKeyData::default();
        let from = pg_sys::BTGreaterEqualStrategyNumber as u16;
        pg_sys::ScanKeyInit(&mut key, ID as i16, from, pg_sys::F_INT8GE.into(), pg_sys::Datum::from(first));
        let by_index = index != pg_sys::InvalidOid;
        let scan = pg_sys::systable_beginscan(relation, index, by_index, snapshot, 1, &mut key);
        let own = pg_sys::GetTopFullTransactionId().value as i64;
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            if value::<i64>(tuple, descriptor, XACT) == Some(own) {
                taken.push(Check {
                    rules: value(tuple, descriptor, RULES).unwrap_or_default(),
                    subjects: value(tuple, descriptor, SUBJECTS).unwrap_or_default(),
                    silent: value(tuple, descriptor, SILENT).unwrap_or_default(),
                });
                pg_sys::simple_heap_delete(relation, &mut (*tuple).t_self);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    taken
}
