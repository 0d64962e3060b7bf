//! `tradeflow.mode`: a session that says `silent` changes rows without anything firing. The first full sync does so.
//!
//! Not a variable that the library defines: it is loaded when a session first needs it, and a value set before that and
//! refused then would be dropped with a warning: the sync would fire everything. So it is read, and checked, by each
//! statement that changes a watched table.

use crate::error::Failure;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::{
    ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_PARAMETER_VALUE,
};
use std::ffi::CStr;

/// Whether the current statement is silent; an error when the setting is no mode, or the user may not use it.
pub fn silent() -> Result<bool, Failure> {
    // SAFETY: reads the value of a setting, which stays in place while it is compared.
    let mode = unsafe {
        let value = pg_sys::GetConfigOption(c"tradeflow.mode".as_ptr(), true, false);
        if value.is_null() {
            return Ok(false);
        }
        CStr::from_ptr(value).to_string_lossy()
    };
    match mode.as_ref() {
        "" | "normal" => Ok(false),
        "silent" if may_be_silent() => Ok(true),
        "silent" => Err(Failure::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied for tradeflow.mode = silent",
        )
        .hint("Rules are passed over in it, so it takes a member of tradeflow_silent: grant tradeflow_silent to the role; or reset tradeflow.mode.")),
        other => Err(Failure::new(
            ERRCODE_INVALID_PARAMETER_VALUE,
            format!("tradeflow.mode is \"{other}\""),
        )
        .hint("It is silent (nothing fires) or normal; reset tradeflow.mode goes back to normal.")),
    }
}

fn may_be_silent() -> bool {
    // SAFETY: catalogue look-ups.
    unsafe {
        let role = pg_sys::get_role_oid(c"tradeflow_silent".as_ptr(), true);
        let user = pg_sys::GetUserId();
        pg_sys::superuser_arg(user) || (role != pg_sys::InvalidOid && pg_sys::is_member_of_role(user, role))
    }
}
