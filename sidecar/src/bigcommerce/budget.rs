//! How many requests may be made now.
//!
//! B2B Edition allows 150 a minute per store, for all integrations together; core has a quota per half minute. The vendor
//! counts, and says in headers what is left: that is the counter which all sidecars, the actions and other integrations
//! share. Reading stops where the share begins that is left to writing. Until the vendor has said anything, and between
//! answers, a bucket of our own keeps the pace.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;

/// The budget of one API.
pub struct Budget {
    per_minute: u32,
    write_share: f64,
    state: Mutex<State>,
}

struct State {
    /// Requests our own bucket still gives; filled up continuously.
    tokens: f64,
    filled: Instant,
    /// What the vendor said last.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    allocated: u32,
    left: u32,
    resets: Instant,
}

/// A window that ends later than this is a misreading.
const LONGEST_WINDOW: Duration = Duration::from_secs(120);

impl Budget {
    /// `per_minute`: 0 counts nothing by itself. `write_share`: the part, from 0 to 1, that is not ours.
    pub fn new(per_minute: u32, write_share: f64) -> Budget {
        let tokens = f64::from(per_minute) * (1.0 - write_share);
        Budget {
            per_minute,
            write_share,
            state: Mutex::new(State { tokens, filled: Instant::now(), told: None }),
        }
    }

    /// Waits until a request may be made.
    pub async fn admit(&self) {
        while let Some(wait) = self.take(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a request out of the budget, or says how long to wait.
    fn take(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = state.told {
            if now >= told.resets {
                state.told = None;
            } else if f64::from(told.left) <= f64::from(told.allocated) * self.write_share {
                return Some(told.resets - now + Duration::from_millis(10));
            } else {
                // Others are under way: counted here until their answers say so.
                state.told = Some(Told { left: told.left.saturating_sub(1), ..told });
            }
        }
        if self.per_minute == 0 {
            return None;
        }
        let most = (f64::from(self.per_minute) * (1.0 - self.write_share)).max(1.0);
        let per_second = most / 60.0;
        let passed = now.saturating_duration_since(state.filled).as_secs_f64();
        state.tokens = (state.tokens + passed * per_second).min(most);
        state.filled = now;
        if state.tokens < 1.0 {
            return Some(Duration::from_secs_f64((1.0 - state.tokens) / per_second));
        }
        state.tokens -= 1.0;
        None
    }

    /// Takes note of an answer's headers.
    pub fn note(&self, headers: &HeaderMap) {
        if let Some(told) = told(headers, Instant::now()) {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).told = Some(told);
        }
    }

    /// How long a refused client (429) is to wait, if the answer says so.
    pub fn refused(headers: &HeaderMap) -> Option<Duration> {
        let seconds = leading(headers, "x-request-window-resets-after").map(Duration::from_secs_f64);
        let millis =
            leading(headers, "x-rate-limit-time-reset-ms").map(|ms| Duration::from_secs_f64(ms / 1000.0));
        let after = leading(headers, "retry-after").map(Duration::from_secs_f64);
        seconds.or(millis).or(after).map(|wait| wait.min(LONGEST_WINDOW) + Duration::from_millis(20))
    }
}

/// B2B Edition writes `X-Requests-Remaining: 149 times`, units and all; core plain numbers. Without headers, core has no limit.
fn told(headers: &HeaderMap, now: Instant) -> Option<Told> {
    let b2b = || {
        Some((
            leading(headers, "x-requests-allocated")?,
            leading(headers, "x-requests-remaining")?,
            leading(headers, "x-request-window-resets-after")?,
        ))
    };
    let core = || {
        Some((
            leading(headers, "x-rate-limit-requests-quota")?,
            leading(headers, "x-rate-limit-requests-left")?,
            leading(headers, "x-rate-limit-time-reset-ms")? / 1000.0,
        ))
    };
    let (allocated, left, resets) = b2b().or_else(core)?;
    let window = Duration::from_secs_f64(resets).min(LONGEST_WINDOW);
    Some(Told { allocated: allocated as u32, left: left as u32, resets: now + window })
}

/// The number at the beginning of a header's value.
fn leading(headers: &HeaderMap, name: &str) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn units_are_read_over() {
        let now = Instant::now();
        let b2b = headers(&[
            ("x-requests-allocated", "150 times/60 s"),
            ("x-requests-remaining", "7 times"),
            ("x-requests-window-length", "0 times"),
            ("x-request-window-resets-after", "0.397 s"),
        ]);
        let expected = Told { allocated: 150, left: 7, resets: now + Duration::from_millis(397) };
        assert_eq!(told(&b2b, now), Some(expected));
        assert_eq!(Budget::refused(&b2b), Some(Duration::from_millis(417)));
        assert_eq!(told(&headers(&[]), now), None);
        assert_eq!(told(&headers(&[("x-requests-allocated", "many")]), now), None);
    }

    #[test]
    fn the_writers_share_is_left() {
        let budget = Budget::new(0, 0.4);
        let b2b = |left: &str| {
            headers(&[
                ("x-requests-allocated", "150 times/60 s"),
                ("x-requests-remaining", left),
                ("x-request-window-resets-after", "20 s"),
            ])
        };
        let now = Instant::now();
        assert_eq!(budget.take(now), None);
        budget.note(&b2b("62 times"));
        assert_eq!((budget.take(now), budget.take(now)), (None, None));
        let wait = budget.take(now).expect("60 of 150 are the writers'");
        assert!(wait > Duration::from_secs(19) && wait < Duration::from_secs(21), "{wait:?}");
        assert_eq!(budget.take(now + Duration::from_secs(21)), None);
    }

    #[test]
    fn our_own_pace_holds_without_headers() {
        let budget = Budget::new(60, 0.5);
        let now = Instant::now();
        let at_once = (0..).take_while(|_| budget.take(now).is_none()).count();
        assert_eq!(at_once, 30);
        assert_eq!(budget.take(now + Duration::from_secs(3)), None, "one each two seconds from then on");
        assert!(budget.take(now + Duration::from_secs(3)).is_some());
    }
}
