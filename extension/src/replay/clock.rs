//! What time it is for a replayed rule.

use crate::compile::{REPLAYED_CLOCK, REPLAYED_NOW};
use crate::evaluate::Evaluation;
use crate::spi;
use pgrx::pg_sys;

/// The clock that a replayed rule reads: parameters of its expressions.
pub struct Clock(*mut pg_sys::ParamListInfoData);

impl Clock {
    /// # Safety
    /// The evaluation's context is used by nothing else.
    pub unsafe fn of(evaluation: &Evaluation) -> Clock {
        // SAFETY: two parameters, described here; they live as long as the call.
        unsafe {
            let list = pg_sys::makeParamList(2);
            for parameter in std::slice::from_raw_parts_mut((*list).params.as_mut_ptr(), 2) {
                parameter.ptype = pg_sys::TIMESTAMPTZOID;
                parameter.pflags = pg_sys::PARAM_FLAG_CONST as u16;
                parameter.isnull = false;
                parameter.value = pg_sys::Datum::from(pg_sys::GetCurrentTransactionStartTimestamp());
            }
            (*evaluation.context).ecxt_param_list_info = list;
            Clock(list)
        }
    }

    /// What `tradeflow.now()` and `now()` say from here on; None leaves it.
    pub fn set(&self, clock: spi::Value, now: spi::Value) {
        for (number, value) in [(REPLAYED_CLOCK, clock), (REPLAYED_NOW, now)] {
            if let Some(value) = value {
                // SAFETY: one of the two parameters.
                unsafe { (*(*self.0).params.as_mut_ptr().add(number as usize - 1)).value = value };
            }
        }
    }
}
