//! What waits in the outbox for its time and is to be cancelled, found by the indexes made for it.
//!
//! Not by a statement: its plan is made when a session first needs it, mostly of an outbox that is empty then, and looking through
//! all that waits for each of a thousand rows is what a plan for an empty table comes to.

use super::Cancel;
use crate::own;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// The ids with the reasons, of what waits under these keys and names. Acting as the owner of tradeflow's tables.
pub fn find<'a>(rows: &[Cancel<'a>]) -> BTreeMap<i64, &'a str> {
    let mut found = BTreeMap::new();
    // SAFETY: scans of a table of ours as Postgres makes them of its catalogues, with a snapshot that sees what was done so far
    // and what others have committed.
    unsafe {
        pg_sys::CommandCounterIncrement();
        let outbox = own::relation(c"outbox");
        let relation = pg_sys::table_open(outbox, pg_sys::RowExclusiveLock as i32);
        let column = |name: &CStr| pg_sys::get_attnum(outbox, name.as_ptr());
        let [id, rule, key, subject, occurrence, state] =
            [c"id", c"rule", c"key", c"subject", c"occurrence", c"state"].map(column);
        let (by_key, by_name) = (own::relation(c"outbox_timer_key"), own::relation(c"outbox_timer"));
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let of = |tuple, column: pg_sys::AttrNumber| own::value(tuple, (*relation).rd_att, column.into());
        let is = |tuple, column, text: &str| {
            of(tuple, column).and_then(|d| <&str>::from_datum(d, false)).is_some_and(|found| found == text)
        };
        for row in rows {
            let mut keys = [pg_sys::ScanKeyData::default(); 2];
            let text = |key: &mut pg_sys::ScanKeyData, column, text: &str| {
                let argument = text.into_datum().unwrap_or(pg_sys::Datum::from(0usize));
                equal(key, column, pg_sys::DEFAULT_COLLATION_OID, pg_sys::F_TEXTEQ, argument);
            };
            text(&mut keys[0], rule, row.rule);
            let index = match (row.name, row.key) {
                (Some((name, _)), _) => {
                    text(&mut keys[1], subject, name);
                    by_name
                }
                (None, Some(value)) => {
                    equal(&mut keys[1], key, pg_sys::InvalidOid, pg_sys::F_JSONB_EQ, value);
                    by_key
                }
                (None, None) => continue,
            };
            let there = index != pg_sys::InvalidOid;
            let scan = pg_sys::systable_beginscan(relation, index, there, snapshot, 2, keys.as_mut_ptr());
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let named = row.name.is_none_or(|(_, wanted)| is(tuple, occurrence, wanted));
                if let (true, Some(id)) = (named && is(tuple, state, "waiting"), of(tuple, id)) {
                    let reason = found.entry(id.value() as i64).or_insert(row.reason);
                    *reason = row.reason.min(reason);
                }
            }
            pg_sys::systable_endscan(scan);
        }
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    found
}

fn equal(
    key: &mut pg_sys::ScanKeyData,
    column: pg_sys::AttrNumber,
    collation: pg_sys::Oid,
    function: u32,
    argument: pg_sys::Datum,
) {
    // SAFETY: a key of the caller's; the function is equality of the column's type.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            key,
            0,
            column,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::InvalidOid,
            collation,
            function.into(),
            argument,
        );
    }
}
