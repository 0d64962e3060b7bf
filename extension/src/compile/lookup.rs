//! What compiling looks up, and what the compiled rule then depends on.

use super::expression::Reads;
use crate::definition::{Column, Table};
use crate::error::Failure;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::collections::HashMap;

/// A catalogue entry (a function, a domain) by cache and hash, as Postgres' plan cache tracks them; a relation by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dependency {
    pub cache: i32,
    pub hash: u32,
}

impl Dependency {
    pub fn relation(relid: pg_sys::Oid) -> Dependency {
        Dependency { cache: pg_sys::SysCacheIdentifier::RELOID as i32, hash: relid.to_u32() }
    }
}

/// The parameter that stands for `tradeflow.now()` where changes are replayed.
pub const REPLAYED_CLOCK: i32 = 1;
/// The one that stands for `now()`.
pub const REPLAYED_NOW: i32 = 2;

/// The surroundings of a definition.
pub struct Lookup {
    pub settings: HashMap<String, String>,
    /// The test clock as Postgres' timestamp: microseconds since 2000.
    pub clock: Option<i64>,
    /// The clock is a parameter of the expressions: [`REPLAYED_CLOCK`], [`REPLAYED_NOW`].
    pub replayed: bool,
    /// The watched table: rights are asked there, also for a partition's rows.
    pub root: pg_sys::Oid,
    pub name: String,
    /// The columns that identify a row.
    pub key: Vec<String>,
}

impl Lookup {
    pub fn of(table: &Table) -> Lookup {
        const FROM_1970_TO_2000: i64 = 946_684_800_000_000;
        Lookup {
            settings: table.settings.clone(),
            clock: table.clock.map(|unix| unix - FROM_1970_TO_2000),
            replayed: table.replayed,
            root: table.root.into(),
            name: table.name.clone(),
            key: table.key.clone(),
        }
    }

    /// The current user (the rule's owner) may read these columns, and no row security stands between.
    pub fn require_select(&self, columns: &[Column], reads: &Reads) -> Result<(), Failure> {
        // SAFETY: catalogue look-ups.
        unsafe {
            if pg_sys::check_enable_rls(self.root, pg_sys::GetUserId(), true)
                == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
            {
                return Err(Failure::new(
                    ERRCODE_INSUFFICIENT_PRIVILEGE,
                    format!("table {} has row security, which a rule cannot apply", self.name),
                )
                .hint("Give the rule an owner who bypasses row security on the table."));
            }
            let denied = columns.iter().find(|c| {
                !c.dropped && (reads.whole || reads.attributes.contains(&c.attno)) && !self.may_read(c)
            });
            match denied {
                None => Ok(()),
                Some(column) => Err(Failure::new(
                    ERRCODE_INSUFFICIENT_PRIVILEGE,
                    format!("permission denied for column {} of table {}", column.name, self.name),
                )
                .hint("A rule reads with its owner's rights; without a query its facts are the whole row.")),
            }
        }
    }

    /// Whether the current user may read a column of the watched table.
    pub fn may_read(&self, column: &Column) -> bool {
        // SAFETY: catalogue look-ups.
        unsafe {
            let user = pg_sys::GetUserId();
            let allowed = pg_sys::AclResult::ACLCHECK_OK;
            pg_sys::pg_class_aclcheck(self.root, user, pg_sys::ACL_SELECT as pg_sys::AclMode) == allowed || {
                let name = std::ffi::CString::new(column.name.as_str()).unwrap_or_default();
                let attno = pg_sys::get_attnum(self.root, name.as_ptr());
                pg_sys::pg_attribute_aclcheck(self.root, attno, user, pg_sys::ACL_SELECT as pg_sys::AclMode)
                    == allowed
            }
        }
    }
}
