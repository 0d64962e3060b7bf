//! What Postgres tells every backend of changed relations and catalogue entries, passed on to those who keep something made of them.
//!
//! The messages of a transaction come when it commits, and to its own backend after each of its commands and when it is rolled back.

use crate::{cache, clock, settings, view};
use pgrx::pg_sys;
use std::cell::Cell;

/// What changed.
#[derive(Clone, Copy)]
pub enum Changed {
    /// A relation; `InvalidOid`: any.
    Relation(pg_sys::Oid),
    /// An entry of a system cache, by its hash; 0: any of the cache.
    Entry(pg_sys::SysCacheIdentifier::Type, u32),
}

thread_local! {
    static MESSAGES: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// How many messages there were so far: what was made while one came may be made of what is no longer so, and is not to be kept.
/// From the first call on there are messages.
pub fn messages() -> u64 {
    if !LISTENING.replace(true) {
        let none = pg_sys::Datum::from(0usize);
        // SAFETY: registers functions that live as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), none);
            for cache in [
                pg_sys::SysCacheIdentifier::PROCOID,
                pg_sys::SysCacheIdentifier::TYPEOID,
                pg_sys::SysCacheIdentifier::AUTHOID,
                pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
            ] {
                pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(entry_changed), none);
            }
        }
    }
    MESSAGES.get()
}

/// Nothing borrows what is kept across a call of Postgres, so no message comes while it is borrowed.
fn tell(changed: Changed) {
    MESSAGES.set(MESSAGES.get() + 1);
    cache::forget(changed);
    view::forget(changed);
    clock::forget(changed);
    settings::forget(changed);
}

unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relid: pg_sys::Oid) {
    tell(Changed::Relation(relid));
}

unsafe extern "C-unwind" fn entry_changed(_arg: pg_sys::Datum, cache: i32, hash: u32) {
    tell(Changed::Entry(cache as pg_sys::SysCacheIdentifier::Type, hash));
}
