//! `tradeflow._flush`: the trigger of watched tables, at the end of a statement that changed a row some rule may concern.

use crate::cache;
use crate::error::{sql_function, Failure};
use crate::{mode, outbox, partition, pending};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED;

sql_function!(tradeflow_flush, pg_finfo_tradeflow_flush, flush);

fn flush(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: Postgres' call; a trigger's context is a TriggerData.
    let relid = unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Failure::new(
                ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "tradeflow._flush() is a trigger",
            ));
        }
        (*(*context.cast::<pg_sys::TriggerData>()).tg_relation).rd_id
    };
    let silent = mode::silent()?;
    let writing = pending::Writing::begin();
    let results = match pending::begin_flush() {
        Some(statement) => {
            partition::settle_all(statement);
            pending::finish(statement)
        }
        None => Default::default(),
    };
    outbox::write(&results, &[cache::get(relid)], silent);
    drop(results);
    drop(writing);
    pending::release();
    // The result of an AFTER trigger is ignored; a datum of zero is what it returns.
    Ok(Some(pg_sys::Datum::from(0usize)))
}
