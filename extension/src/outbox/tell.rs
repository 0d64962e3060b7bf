//! Telling the sidecars that something is ready, when one of them rests. docs/decisions/0026 has the reasons.
//!
//! All transactions that notify commit one after another: Postgres has one lock for that, and holds it until the commit is on
//! disk. While a sidecar looks for work by itself, and none rests, nobody needs to be told.
//!
//! Three advisory locks say how it is. Whoever fires without telling holds WRITING until the transaction ends; a sidecar that
//! wants to rest takes RESTING, sees that WRITING is free, looks once more, and rests. Whichever is first, the other sees it.

use pgrx::datum::IntoDatum;
use pgrx::pg_sys;

/// "trfl": the same in sidecar/src/db/rest/*.sql.
const SPACE: i32 = 0x7472_666c;

/// Shared by those who write and do not tell; a sidecar tries it exclusively.
const WRITING: i32 = 1;
/// Shared by the sidecars that rest; writers try it exclusively.
const RESTING: i32 = 2;
/// Held exclusively by one of the sidecars that look by themselves; writers try it shared.
const AWAKE: i32 = 3;

/// A lock function of Postgres, called by its C name.
type Function = unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

/// Tells whoever listens that something is ready, once the transaction has committed; unless somebody finds it without.
pub fn tell() {
    if somebody_is_awake()
        && is_true(pg_sys::pg_try_advisory_xact_lock_shared_int4, WRITING)
        && !somebody_rests()
    {
        return;
    }
    let [channel, payload] = ["tradeflow", ""].map(IntoDatum::into_datum);
    // SAFETY: pg_notify(text, text), which returns void; equal notifications of a transaction are one.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::pg_notify, &[channel, payload]) };
}

/// Not, when nobody who looks by himself is there: others may listen, and know nothing of these locks.
fn somebody_is_awake() -> bool {
    !try_briefly(pg_sys::pg_try_advisory_lock_shared_int4, pg_sys::pg_advisory_unlock_shared_int4, AWAKE)
}

/// Also when another writer asks this very moment: then it is told in vain.
fn somebody_rests() -> bool {
    !try_briefly(pg_sys::pg_try_advisory_lock_int4, pg_sys::pg_advisory_unlock_int4, RESTING)
}

/// Whether a lock could be had; it is given back at once.
fn try_briefly(lock: Function, unlock: Function, which: i32) -> bool {
    is_true(lock, which) && is_true(unlock, which)
}

fn is_true(function: Function, which: i32) -> bool {
    // SAFETY: a function (int, int) that returns boolean and raises nothing but for an exhausted lock table.
    unsafe { pgrx::direct_function_call::<bool>(function, &[SPACE.into_datum(), which.into_datum()]) }
        .unwrap_or(false)
}
