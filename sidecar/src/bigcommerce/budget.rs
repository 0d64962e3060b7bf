//! How many requests may be made now.
//!
//! B2B Edition allows 150 a minute per store, for all integrations together; core has a quota per half minute. The vendor
//! counts, and says in headers what is left: that is the counter which all processes, and other integrations, share. Reading for the
//! sync stops where the share begins that is left to actions; actions stop at nothing left, before they are refused. Until the
//! vendor has said anything, and between answers, buckets of our own keep the pace of reading, and actions of this
//! process are counted in them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;

/// The budgets of a store's APIs.
#[derive(Debug)]
pub struct Budgets {
    pub b2b: Budget,
    pub core: Budget,
}

impl Budgets {
    /// Those of a store, the same for all in this process who name it by the same address. Whoever comes first says how many
    /// requests a minute B2B Edition allows, and which share is left to actions.
    pub fn of(store: &str, per_minute: u32, action_share: f64) -> Arc<Budgets> {
        static ALL: Mutex<Vec<(String, Arc<Budgets>)>> = Mutex::new(Vec::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = all.iter().find(|(name, _)| name == store) {
            return known.clone();
        }
        let budgets = Arc::new(Budgets {
            b2b: Budget::new(per_minute, action_share),
            // Core's quota depends on the plan: only the vendor knows it.
            core: Budget::new(0, action_share),
        });
        all.push((store.to_owned(), budgets.clone()));
        budgets
    }
}

/// The budget of one API.
#[derive(Debug)]
pub struct Budget {
    per_minute: u32,
    action_share: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests that our own buckets still give: to reading, and to everybody. They fill up continuously.
    reading: f64,
    all: f64,
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
    /// `per_minute`: 0 counts nothing by itself. `action_share`: the part, from 0 to 1, that reading leaves.
    pub fn new(per_minute: u32, action_share: f64) -> Budget {
        let all = f64::from(per_minute);
        let reading = all * (1.0 - action_share);
        let state = Mutex::new(State { reading, all, filled: Instant::now(), told: None });
        Budget { per_minute, action_share, state }
    }

    /// Waits until the sync may make a request.
    pub async fn admit(&self) {
        while let Some(wait) = self.read(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a request of the sync's out of the budget, or says how long to wait.
    fn read(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reserve = |all: f64| all * self.action_share;
        if let Some(wait) = state.left(now, |told| f64::from(told.left) <= reserve(f64::from(told.allocated)))
        {
            return Some(wait);
        }
        if self.per_minute > 0 {
            self.fill(&mut state, now);
            let per_second = f64::from(self.per_minute) / 60.0;
            let mine = (1.0 - state.reading) / (per_second * (1.0 - self.action_share));
            let ours = (1.0 + reserve(f64::from(self.per_minute)) - state.all) / per_second;
            let wait = mine.max(ours);
            if wait > 1e-9 {
                return Some(Duration::from_secs_f64(wait));
            }
        }
        state.spend();
        state.reading -= 1.0;
        None
    }

    /// Takes an action's request out of the budget. The error: nothing is left, and for how long.
    pub fn act(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = state.left(now, |told| told.left == 0) {
            return Err(wait);
        }
        self.fill(&mut state, now);
        state.spend();
        Ok(())
    }

    fn fill(&self, state: &mut State, now: Instant) {
        let all = f64::from(self.per_minute);
        let gained = now.saturating_duration_since(state.filled).as_secs_f64() * all / 60.0;
        let share = 1.0 - self.action_share;
        state.all = (state.all + gained).min(all);
        state.reading = (state.reading + gained * share).min((all * share).max(1.0));
        state.filled = now;
    }

    /// Takes note of an answer's headers.
    pub fn note(&self, headers: &HeaderMap) {
        if let Some(told) = told(headers, Instant::now()) {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).told = Some(told);
        }
    }
}

impl State {
    /// How long to wait, if what the vendor said last is too little.
    fn left(&mut self, now: Instant, too_little: impl Fn(Told) -> bool) -> Option<Duration> {
        let told = self.told?;
        if now >= told.resets {
            self.told = None;
            return None;
        }
        too_little(told).then(|| told.resets - now + Duration::from_millis(10))
    }

    /// A request is under way: counted here until its answer says what is left.
    fn spend(&mut self) {
        self.told = self.told.map(|told| Told { left: told.left.saturating_sub(1), ..told });
        self.all -= 1.0;
    }
}

/// How long until the window begins anew, as the answer to a refused client (429) says.
pub fn resets_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = leading(headers, "x-request-window-resets-after");
    let millis = leading(headers, "x-rate-limit-time-reset-ms").map(|ms| ms / 1000.0);
    let wait = Duration::try_from_secs_f64(seconds.or(millis)?).ok()?;
    Some(wait.min(LONGEST_WINDOW) + Duration::from_millis(20))
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
        assert_eq!(resets_after(&b2b), Some(Duration::from_millis(417)));
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
        assert_eq!(budget.read(now), None);
        budget.note(&b2b("62 times"));
        assert_eq!((budget.read(now), budget.read(now)), (None, None));
        let wait = budget.read(now).expect("60 of 150 are the writers'");
        assert!(wait > Duration::from_secs(19) && wait < Duration::from_secs(21), "{wait:?}");
        assert_eq!(budget.read(now + Duration::from_secs(21)), None);
    }

    #[test]
    fn our_own_pace_holds_without_headers() {
        let budget = Budget::new(60, 0.5);
        let now = Instant::now();
        let at_once = (0..).take_while(|_| budget.read(now).is_none()).count();
        assert_eq!(at_once, 30);
        assert_eq!(budget.read(now + Duration::from_secs(3)), None, "one each two seconds from then on");
        assert!(budget.read(now + Duration::from_secs(3)).is_some());
    }

    #[test]
    fn actions_use_what_reading_leaves_and_are_counted() {
        let budget = Budget::new(60, 0.5);
        let now = Instant::now();
        for _ in 0..40 {
            assert_eq!(budget.act(now), Ok(()), "our own buckets never hold up an action");
        }
        // 20 of 60 are left, which is less than the actions' half.
        let wait = budget.read(now).expect("actions have used more than their half");
        assert!(wait > Duration::from_secs(10) && wait < Duration::from_secs(12), "{wait:?}");
        assert_eq!(budget.read(now + wait), None);
        // The vendor's word counts more.
        budget.note(&headers(&[
            ("x-requests-allocated", "150"),
            ("x-requests-remaining", "1"),
            ("x-request-window-resets-after", "20"),
        ]));
        assert!(budget.read(now).is_some());
        assert_eq!(budget.act(now), Ok(()));
        let wait = budget.act(now).expect_err("nothing is left");
        assert!(wait > Duration::from_secs(19) && wait < Duration::from_secs(21), "{wait:?}");
        assert_eq!(budget.act(now + Duration::from_secs(21)), Ok(()));
    }

    #[test]
    fn a_store_has_one_budget_in_a_process() {
        let first = Budgets::of("https://api.example/stores/one", 150, 0.4);
        assert!(Arc::ptr_eq(&first, &Budgets::of("https://api.example/stores/one", 150, 0.4)));
        assert!(!Arc::ptr_eq(&first, &Budgets::of("https://api.example/stores/two", 150, 0.4)));
    }
}
