//! Rate limits: B2B Edition counts per store and minute, core per store and half minute; each with headers of its own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::b2b;
use crate::reply::Reply;

/// Requests allowed in a window of time; `None` counts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub b2b: Option<(u32, Duration)>,
    pub core: Option<(u32, Duration)>,
}

impl Limits {
    /// Never refuses.
    pub fn off() -> Limits {
        Limits { b2b: None, core: None }
    }

    /// As the vendor's: B2B 150 a minute for the whole store, core 150 in 30 seconds (Standard and Plus plans).
    pub fn real() -> Limits {
        Limits { b2b: Some((150, Duration::from_secs(60))), core: Some((150, Duration::from_secs(30))) }
    }
}

/// Headers that tell a client where it stands.
type Told = Vec<(&'static str, String)>;

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    used: u32,
}

impl Window {
    /// Requests left and the time to the window's end; `Err`: none was left.
    fn take(&mut self, allowed: u32, length: Duration) -> Result<(u32, Duration), Duration> {
        let now = Instant::now();
        let began = match self.began {
            Some(began) if now.duration_since(began) < length => began,
            _ => {
                self.used = 0;
                *self.began.insert(now)
            }
        };
        let rest = length.saturating_sub(now.duration_since(began));
        if self.used >= allowed {
            return Err(rest);
        }
        self.used += 1;
        Ok((allowed - self.used, rest))
    }
}

/// The windows of a store.
#[derive(Default)]
pub struct Throttle {
    b2b: Mutex<Window>,
    core: Mutex<Window>,
}

impl Throttle {
    /// Counts a request to B2B Edition. The values carry units; "Request-Window-Resets-After" is singular, as the vendor has it.
    pub fn b2b(&self, limits: &Limits) -> Result<Told, Reply> {
        let Some((allowed, length)) = limits.b2b else { return Ok(Vec::new()) };
        let taken = self.b2b.lock().unwrap_or_else(PoisonError::into_inner).take(allowed, length);
        let told = |left: u32, rest: Duration| {
            vec![
                ("X-Requests-Allocated", format!("{allowed} times/{} s", length.as_secs())),
                ("X-Requests-Remaining", format!("{left} times")),
                ("X-Requests-Window-Length", "0 times".to_owned()),
                ("X-Request-Window-Resets-After", format!("{:.3} s", rest.as_secs_f64())),
            ]
        };
        match taken {
            Ok((left, rest)) => Ok(told(left, rest)),
            Err(rest) => Err(told(0, rest)
                .into_iter()
                .fold(b2b::error(429, json!("Too many requests")), |reply, (n, v)| reply.header(n, v))),
        }
    }

    /// Counts a request to core. Without a limit the headers are absent: an unlimited plan, not zero.
    pub fn core(&self, limits: &Limits) -> Result<Told, Reply> {
        let Some((allowed, length)) = limits.core else { return Ok(Vec::new()) };
        let taken = self.core.lock().unwrap_or_else(PoisonError::into_inner).take(allowed, length);
        let told = |left: u32, rest: Duration| {
            vec![
                ("X-Rate-Limit-Time-Reset-Ms", rest.as_millis().to_string()),
                ("X-Rate-Limit-Time-Window-Ms", length.as_millis().to_string()),
                ("X-Rate-Limit-Requests-Quota", allowed.to_string()),
                ("X-Rate-Limit-Requests-Left", left.to_string()),
            ]
        };
        match taken {
            Ok((left, rest)) => Ok(told(left, rest)),
            Err(rest) => {
                let body = json!({"status": 429, "title": "Too many requests", "type": ""});
                Err(told(0, rest)
                    .into_iter()
                    .fold(Reply::json(429, body), |reply, (n, v)| reply.header(n, v)))
            }
        }
    }
}
