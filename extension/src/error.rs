//! An error of Postgres as a value, and back.
//!
//! pgrx turns an error into a panic and rebuilds it without its position and, for codes it does not know, without
//! its SQLSTATE. Both are kept here: an error context callback reads them while the error is being raised.

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::PgTryBuilder;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void, CString};
use std::panic::AssertUnwindSafe;
use std::ptr::null_mut;

/// What went wrong: enough for an incident, or to be raised again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// SQLSTATE as Postgres encodes it.
    pub code: i32,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// 1-based character position in `query`, 0 for none.
    pub position: i32,
    /// The definition's text that the position is in.
    pub query: Option<String>,
    pub origin: Origin,
}

/// Who raised an error. Its SQLSTATE does not say: a function may raise any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This library, also where it raises again what it caught.
    Ours,
    /// Postgres, because somebody interrupts it.
    Interrupt,
    /// A function's author, by a language's RAISE.
    Author,
    /// Anything else in Postgres.
    Postgres,
}

impl Origin {
    /// By the C function that raised it: ProcessInterrupts (postgres.c), or where PL/pgSQL (pl_exec.c) and PL/Python
    /// (plpy_elog.c) raise what their author wrote.
    fn of(function: Option<&str>) -> Origin {
        match function {
            Some(OURS) => Origin::Ours,
            Some("ProcessInterrupts") => Origin::Interrupt,
            Some("exec_stmt_raise" | "PLy_elog_impl") => Origin::Author,
            _ => Origin::Postgres,
        }
    }
}

/// What we call the function where we raise again what we caught.
pub const OURS: &str = "tradeflow";

/// Something that a rule names is missing and may still come (a setting).
pub const MISSING_PART: i32 = sqlstate(b"TF001");

impl Failure {
    pub fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Failure {
        Failure::with_code(code as i32, message)
    }

    pub fn with_code(code: i32, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: 0,
            query: None,
            origin: Origin::Ours,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Says which text the position is in.
    pub fn in_query(mut self, query: &str) -> Failure {
        self.query = Some(query.to_string());
        self
    }

    /// Whether this is no fault of a rule and must end the statement: somebody cancelled it, the server is going
    /// down, memory ran out, or the whole transaction has to be tried again.
    pub fn ends_the_statement(&self) -> bool {
        use PgSqlErrorCode::*;
        let is = |codes: &[PgSqlErrorCode]| codes.iter().any(|code| *code as i32 == self.code);
        match self.origin {
            Origin::Author => false,
            Origin::Postgres => {
                is(&[ERRCODE_OUT_OF_MEMORY, ERRCODE_T_R_SERIALIZATION_FAILURE, ERRCODE_T_R_DEADLOCK_DETECTED])
            }
            Origin::Interrupt | Origin::Ours => is(&[
                ERRCODE_QUERY_CANCELED,
                ERRCODE_ADMIN_SHUTDOWN,
                ERRCODE_CRASH_SHUTDOWN,
                ERRCODE_OUT_OF_MEMORY,
                ERRCODE_T_R_SERIALIZATION_FAILURE,
                ERRCODE_T_R_DEADLOCK_DETECTED,
            ]),
        }
    }

    /// The five characters of the SQLSTATE.
    pub fn sqlstate(&self) -> String {
        (0..5).map(|i| char::from(((self.code >> (6 * i)) & 0x3f) as u8 + b'0')).collect()
    }

    /// Raises it. Nothing with a destructor may be alive in the callers' frames: the error jumps over them.
    pub fn raise(self) -> ! {
        let text = |s: &str| CString::new(s.replace('\0', "")).unwrap_or_default();
        // SAFETY: the protocol of ereport(): errstart, fields (each copied at once), errfinish, which does not
        // return for an ERROR. Everything owned by this frame is dropped before it.
        unsafe {
            raw::errstart(pg_sys::PGERROR as c_int, null_mut());
            raw::errcode(self.code);
            raw::errmsg(c"%s".as_ptr(), text(&self.message).as_ptr());
            if let Some(detail) = &self.detail {
                raw::errdetail(c"%s".as_ptr(), text(detail).as_ptr());
            }
            if let Some(hint) = &self.hint {
                raw::errhint(c"%s".as_ptr(), text(hint).as_ptr());
            }
            if let (Some(query), true) = (&self.query, self.position > 0) {
                raw::internalerrposition(self.position);
                raw::internalerrquery(text(query).as_ptr());
            }
            drop(self);
            raw::errfinish(c"tradeflow".as_ptr(), 0, c"tradeflow".as_ptr());
        }
        unreachable!("errfinish() does not return for an ERROR")
    }
}

/// An SQLSTATE as Postgres encodes it.
const fn sqlstate(text: &[u8; 5]) -> i32 {
    let mut code = 0;
    let mut i = 0;
    while i < 5 {
        code |= (((text[i] - b'0') & 0x3f) as i32) << (6 * i);
        i += 1;
    }
    code
}

/// Runs `f`; an error that Postgres raises in it, or a panic, becomes a value. What `f` did in the database is the
/// caller's to roll back (see [`crate::subtransaction`]) or to raise again.
pub fn attempt<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    NOTED.set((0, 0));
    let mut context =
        pg_sys::ErrorContextCallback { previous: null_mut(), callback: Some(note), arg: null_mut() };
    // SAFETY: the callback is linked into the backend's stack while its frame lives, and unlinked below in every case:
    // all errors end in `execute`.
    unsafe {
        context.previous = pg_sys::error_context_stack;
        pg_sys::error_context_stack = &mut context;
    }
    let result = PgTryBuilder::new(AssertUnwindSafe(f)).catch_others(|caught| Err(noted(caught))).execute();
    // SAFETY: see above.
    unsafe { pg_sys::error_context_stack = context.previous };
    result
}

thread_local! {
    /// SQLSTATE and position of the error being raised.
    static NOTED: Cell<(i32, i32)> = const { Cell::new((0, 0)) };
}

unsafe extern "C-unwind" fn note(_arg: *mut c_void) {
    // SAFETY: called by errfinish(), while the error that these functions read is on top of the stack.
    // SPI has moved the position by then: it is in the statement that SPI was given.
    NOTED.set(unsafe { (raw::geterrcode(), raw::geterrposition().max(raw::getinternalerrposition())) });
}

fn noted(caught: CaughtError) -> Failure {
    let (code, position) = NOTED.get();
    let from_postgres = matches!(caught, CaughtError::PostgresError(_));
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = caught;
    Failure {
        code: if from_postgres && code != 0 { code } else { report.sql_error_code() as i32 },
        message: report.message().to_string(),
        detail: report.detail().map(str::to_string),
        hint: report.hint().map(str::to_string),
        position: if from_postgres { position } else { 0 },
        query: None,
        origin: if from_postgres { Origin::of(report.function_name()) } else { Origin::Ours },
    }
}

/// Postgres' own error functions, without pgrx's wrappers: those would catch the error being raised.
#[allow(clashing_extern_declarations)]
mod raw {
    use super::{c_char, c_int};
    extern "C-unwind" {
        pub fn errstart(elevel: c_int, domain: *const c_char) -> bool;
        pub fn errcode(code: c_int) -> c_int;
        pub fn errmsg(format: *const c_char, ...) -> c_int;
        pub fn errdetail(format: *const c_char, ...) -> c_int;
        pub fn errhint(format: *const c_char, ...) -> c_int;
        pub fn internalerrposition(position: c_int) -> c_int;
        pub fn internalerrquery(query: *const c_char) -> c_int;
        pub fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
        pub fn geterrcode() -> c_int;
        pub fn geterrposition() -> c_int;
        pub fn getinternalerrposition() -> c_int;
    }
}

/// A function that SQL calls: `sql_function!(tradeflow_name, body)` where `body` takes the call's arguments and
/// returns a datum (None: SQL NULL) or a failure, which is raised with everything it knows.
macro_rules! sql_function {
    ($name:ident, $info:ident, $body:path) => {
        #[no_mangle]
        pub extern "C" fn $info() -> *const pgrx::pg_sys::Pg_finfo_record {
            const V1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }

        /// # Safety
        /// Called by Postgres' function manager with the arguments that the function's SQL declaration promises.
        #[no_mangle]
        pub unsafe extern "C-unwind" fn $name(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            match crate::error::attempt(|| $body(fcinfo)) {
                // SAFETY: fcinfo is Postgres' and valid for the call.
                Ok(datum) => unsafe {
                    (*fcinfo).isnull = datum.is_none();
                    datum.unwrap_or(pgrx::pg_sys::Datum::from(0usize))
                },
                Err(failure) => failure.raise(),
            }
        }
    };
}
pub(crate) use sql_function;
