//! `tradeflow._read_as`: a SELECT of tradeflow's own making, run as a rule's owner.

use crate::error::{sql_function, Failure};
use crate::owner::{self, ActAs, PinnedPath};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;

sql_function!(tradeflow_read_as, pg_finfo_tradeflow_read_as, read_as);

fn read_as(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, text, regrole), strict.
    let (query, path, role) = unsafe {
        (
            pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<String>(fcinfo, 1).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, 2).unwrap_or(pg_sys::InvalidOid),
        )
    };
    let path = owner::rule_path(&path);
    let text = in_subtransaction(|| {
        let _owner = ActAs::rule_owner(role);
        let _path = PinnedPath::new(&path);
        Ok(spi::connected(|| {
            let rows = spi::execute(spi::prepare(&query, &[]), &[], true, 1);
            (rows.len() > 0).then(|| rows.text(0, 0)).flatten()
        }))
    })?;
    Ok(text.and_then(IntoDatum::into_datum))
}
