//! One internal subtransaction around a batch of evaluation.
//!
//! An error can only be forgotten by rolling back to before it: pins, snapshots and locks of the failed call go with
//! the subtransaction. One per row and rule would be too dear, so one spans as many as go well; after an error the
//! caller goes on in the next one. Inside, the transaction is read-only: a condition or a query that tries to write,
//! through a function however declared, fails like any other error.

use crate::error::{attempt, Failure, OURS};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;

/// Runs `f` in a subtransaction: kept when it returns Ok, rolled back when it fails. What `f` allocated in contexts
/// older than the call survives both.
///
/// An error that must end the statement is raised again, after the rollback.
pub fn in_subtransaction<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // SAFETY: the protocol that PL/pgSQL uses for a block with EXCEPTION (pl_exec.c, exec_stmt_block): memory context
    // and resource owner of the caller are put back after either end. User and security context are put back by the
    // abort itself, and by their guard otherwise (crate::owner).
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        // Put back to what it was at the end of every subtransaction, by Postgres itself.
        pg_sys::XactReadOnly = true;
        pg_sys::MemoryContextSwitchTo(context);

        let result = attempt(f);
        match &result {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => {
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
            }
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        match result {
            Err(failure) if failure.ends_the_statement() => {
                // As pgrx carries errors through Rust frames: destructors run on the way out.
                std::panic::panic_any(ErrorReport::new(failure.code.into(), failure.message, OURS))
            }
            other => other,
        }
    }
}
