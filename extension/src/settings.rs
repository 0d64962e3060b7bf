//! `tradeflow.setting(name)`: the values of `tradeflow.settings`.
//!
//! In a condition a setting is a constant. Views and queries ask for each row, so what the table says is kept until it changes.

use crate::error::{sql_function, Failure};
use crate::invalidation::{self, Changed};
use crate::small_table;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT;
use pgrx::spi::quote_literal;
use rustc_hash::FxHashMap;
use std::cell::RefCell;

sql_function!(tradeflow_setting, pg_finfo_tradeflow_setting, setting);

/// The table, and the values by their names.
type Kept = (pg_sys::Oid, FxHashMap<String, String>);

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

fn setting(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text), strict.
    let name = unsafe { pgrx::fcinfo::pg_getarg::<&str>(fcinfo, 0) }.unwrap_or_default();
    let before = invalidation::messages();
    // Looked up in what is kept while nothing is called that could change it; the datum is a copy.
    let known =
        KEPT.with_borrow(|kept| kept.as_ref().map(|(_, values)| values.get(name).map(|v| v.into_datum())));
    let found = match known {
        Some(found) => found,
        None => {
            let kept = read();
            let found = kept.as_ref().and_then(|(_, values)| values.get(name)).map(|v| v.into_datum());
            if invalidation::messages() == before {
                KEPT.set(kept);
            }
            found
        }
    };
    found.ok_or_else(|| {
        Failure::new(ERRCODE_UNDEFINED_OBJECT, format!("setting \"{name}\" does not exist")).hint(format!(
            "insert into tradeflow.settings (name, value) values ({}, '…');",
            quote_literal(name)
        ))
    })
}

fn read() -> Option<Kept> {
    let mut values = FxHashMap::default();
    let table = small_table::read(c"settings", [c"name", c"value"], |row| {
        // SAFETY: both columns are text, and not null.
        let text = |datum| unsafe { String::from_datum(datum, false) };
        if let [Some(name), Some(value)] = row.map(|datum| datum.and_then(text)) {
            values.insert(name, value);
        }
    })?;
    Some((table, values))
}

/// Forgets what the table said when it changed.
pub fn forget(changed: Changed) {
    if let Changed::Relation(relid) = changed {
        KEPT.with_borrow_mut(|kept| {
            if kept.as_ref().is_some_and(|(table, _)| relid == pg_sys::InvalidOid || *table == relid) {
                *kept = None;
            }
        });
    }
}
