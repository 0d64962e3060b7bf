//! Acting as somebody: a rule's owner while it is evaluated, the extension's owner while firings are written.

use pgrx::pg_sys;
use std::ffi::{c_int, CStr, CString};

/// While it lives, the current user is another one. Dropping it puts the caller back, also when an error unwinds.
pub struct ActAs {
    user: pg_sys::Oid,
    context: c_int,
}

impl ActAs {
    /// As a rule's owner: a security-restricted operation, so nothing that runs can leave the identity
    /// (SET ROLE), or leave something behind that would run later with other rights.
    pub fn rule_owner(owner: pg_sys::Oid) -> ActAs {
        ActAs::new(owner, pg_sys::SECURITY_RESTRICTED_OPERATION as c_int)
    }

    /// As the owner of tradeflow's tables, for our own statements: a sync job has no rights on the outbox, and its
    /// search_path must not decide which functions our statements call.
    pub fn extension_owner(owner: pg_sys::Oid) -> (PinnedPath, ActAs) {
        let identity = ActAs::new(owner, 0);
        (PinnedPath::new(c"pg_catalog, pg_temp"), identity)
    }

    fn new(to: pg_sys::Oid, flags: c_int) -> ActAs {
        let mut before = ActAs { user: pg_sys::InvalidOid, context: 0 };
        // SAFETY: reads and sets backend-local variables, as SECURITY DEFINER functions have it done (fmgr.c).
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.context);
            pg_sys::SetUserIdAndSecContext(
                to,
                before.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as c_int | flags,
            );
        }
        before
    }
}

impl Drop for ActAs {
    fn drop(&mut self) {
        // SAFETY: puts back what `new` read.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// While it lives, `search_path` is a rule's own.
pub struct PinnedPath {
    level: c_int,
}

/// The path a rule is evaluated with. The writer's temporary objects come last: unless a path says where they come,
/// Postgres looks there first, and a temporary table could stand in for the one that the rule's author meant.
pub fn rule_path(given: &str) -> CString {
    let path = if given.trim().is_empty() { "pg_temp".to_string() } else { format!("{given}, pg_temp") };
    CString::new(path).unwrap_or_default()
}

impl PinnedPath {
    pub fn new(path: &CStr) -> PinnedPath {
        // SAFETY: a GUC nest level of our own, as functions with SET search_path have (fmgr.c); an abort of the
        // surrounding subtransaction ends it too.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            pg_sys::set_config_option(
                c"search_path".as_ptr(),
                path.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
            PinnedPath { level }
        }
    }
}

impl Drop for PinnedPath {
    fn drop(&mut self) {
        // When an error unwinds, the subtransaction's abort has the level ended.
        if !std::thread::panicking() {
            // SAFETY: ends the level that `new` began. Not as a commit: what a rule's function set is undone with it, or it
            // would stay in the session of whoever changed the row.
            unsafe { pg_sys::AtEOXact_GUC(false, self.level) };
        }
    }
}
