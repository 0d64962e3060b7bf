//! The time as a fake sees it: the machine's, unless a test sets it.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeZone, Utc};

/// A clock that a test may set. Unix seconds, as most of the APIs count.
#[derive(Debug, Default)]
pub struct Clock {
    /// 0: the machine's clock.
    fixed: AtomicI64,
}

impl Clock {
    /// Unix seconds now.
    pub fn now(&self) -> i64 {
        match self.fixed.load(Ordering::Relaxed) {
            0 => Utc::now().timestamp(),
            fixed => fixed,
        }
    }

    /// Stands still at this time from now on; 0 lets it run with the machine's again.
    pub fn set(&self, unix_seconds: i64) {
        self.fixed.store(unix_seconds, Ordering::Relaxed);
    }

    /// A clock that stands still stands still so much later; one that runs goes on.
    pub fn advance(&self, seconds: i64) {
        if self.fixed.load(Ordering::Relaxed) != 0 {
            self.fixed.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    /// The time as a date.
    pub fn utc(&self) -> DateTime<Utc> {
        utc(self.now())
    }
}

/// Unix seconds as a date; what no calendar has becomes 1970.
pub fn utc(unix_seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(unix_seconds, 0).single().unwrap_or_default()
}

/// As core V2 writes it: RFC 2822 in UTC.
pub fn rfc2822(unix_seconds: i64) -> String {
    utc(unix_seconds).format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// As core V3 writes it: ISO 8601 in UTC.
pub fn iso8601(unix_seconds: i64) -> String {
    utc(unix_seconds).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
