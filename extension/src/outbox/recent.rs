//! `tradeflow.recent_firings`, by which loops are found: how often a rule fired about a subject within the last hour.

use super::table::Table;
use crate::clock;
use crate::own;
use crate::spi::Value;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use std::ffi::c_int;

extern "C" {
    /// common/hashfn.h
    fn hash_bytes_extended(bytes: *const u8, len: c_int, seed: u64) -> u64;
}

/// hashtextextended(the parts put together, 0), the database's own collation being one in which equal texts are the same.
pub fn hash(parts: &[&str]) -> i64 {
    let text = parts.concat();
    // SAFETY: reads so many bytes; raises nothing.
    unsafe { hash_bytes_extended(text.as_ptr(), text.len() as c_int, 0) as i64 }
}

/// The table, open, with what is known of the clock.
pub struct Recent {
    table: Table,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    now: pg_sys::TimestampTz,
}

/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;

impl Recent {
    /// None where the statement must do it.
    pub fn open() -> Option<Recent> {
        let now = clock::now();
        let table = Table::open(c"recent_firings", &["about", "at"])?;
        // SAFETY: a catalogue look-up; the snapshot is let go by `close`, or by the transaction's end.
        unsafe {
            let index = own::relation(c"recent_firings_about");
            if index == pg_sys::InvalidOid {
                table.close();
                return None;
            }
            let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
            Some(Recent { table, index, snapshot, now })
        }
    }

    /// How often a rule fired about a subject within the hour before now. `hash`: of rule, ":", subject.
    pub fn count(&mut self, hash: i64) -> i32 {
        // SAFETY: a scan by the table's own index, as Postgres makes them of its catalogues.
        unsafe {
            let mut keys = [pg_sys::ScanKeyData::default(); 2];
            let equal = pg_sys::BTEqualStrategyNumber as u16;
            let greater = pg_sys::BTGreaterStrategyNumber as u16;
            pg_sys::ScanKeyInit(&mut keys[0], 1, equal, pg_sys::F_INT8EQ.into(), pg_sys::Datum::from(hash));
            let since = pg_sys::Datum::from(self.now - HOUR);
            pg_sys::ScanKeyInit(&mut keys[1], 2, greater, pg_sys::F_TIMESTAMPTZ_GT.into(), since);
            let scan = pg_sys::systable_beginscan(
                self.table.relation,
                self.index,
                true,
                self.snapshot,
                2,
                keys.as_mut_ptr(),
            );
            let mut count = 0;
            while !pg_sys::systable_getnext(scan).is_null() {
                count += 1;
            }
            pg_sys::systable_endscan(scan);
            count
        }
    }

    /// Remembers one more.
    pub fn note(&mut self, hash: i64) {
        let values: [Value; 2] = [hash.into_datum(), self.now.into_datum()];
        self.table.insert(&values);
    }

    pub fn close(self) {
        // SAFETY: registered by `open`.
        unsafe { pg_sys::UnregisterSnapshot(self.snapshot) };
        self.table.close();
    }
}
