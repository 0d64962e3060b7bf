//! `tradeflow._call`: what an action of kind `sql` does. A function of the rule owner's choosing, as that owner.

use crate::error::{sql_function, Failure};
use crate::owner::{self, ActAs, PinnedPath};
use crate::spi;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;

sql_function!(tradeflow_call, pg_finfo_tradeflow_call, call);

fn call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (regrole, text, text), strict.
    let (owner, path, call) = unsafe {
        let [owner, path, call] = [0, 1, 2].map(|n| pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, n));
        let text = |datum| String::from_datum(datum, false).unwrap_or_default();
        (pg_sys::Oid::from(owner.value() as u32), text(path), text(call))
    };
    let result = {
        let _owner = ActAs::rule_owner(owner);
        let _path = PinnedPath::new(&owner::rule_path(&path));
        spi::connected(|| {
            let result = returned(&call);
            // What is deferred to the commit would run there as whoever commits, not as the owner.
            spi::execute(spi::prepare("set constraints all immediate", &[]), &[], false, 0);
            result
        })
    };
    Ok(result.and_then(|text| pgrx::JsonB(serde_json::from_str(&text).unwrap_or_default()).into_datum()))
}

/// The first row's value as JSON; none for a function that returns nothing.
fn returned(call: &str) -> Option<String> {
    let plan = spi::prepare(&format!("select {call}"), &[]);
    // SAFETY: a valid plan of one statement; its only source describes the result.
    let void = unsafe {
        let sources =
            pgrx::list::PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
        let columns = sources.get_ptr(0).map(|source| spi::Rows::columns((*source).resultDesc));
        columns.and_then(|c| c.first().map(|(_, oid)| *oid)) == Some(pg_sys::VOIDOID)
    };
    if void {
        spi::execute(plan, &[], false, 1);
        return None;
    }
    let json = spi::prepare(&format!("select pg_catalog.to_jsonb({call})"), &[]);
    let rows = spi::execute(json, &[], false, 1);
    (rows.len() > 0).then(|| rows.text(0, 0)).flatten()
}
