//! Resting until the database tells that something is ready, and looking without being told while there is much: then those
//! who fire are spared the telling, which has them commit one after another. docs/decisions/0026.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Between looks while there is much.
const SHORT: Duration = Duration::from_millis(5);

/// Between looks while somebody who did not tell has not committed: at first, and at most.
const UNSETTLED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// So many claims in a row that found something are much…
const MANY: u32 = 16;

/// …each so soon after the last.
const SOON: Duration = Duration::from_millis(50);

/// Nothing found for so long: there is little.
const QUIET: Duration = Duration::from_millis(100);

/// What those who fire know of this sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does not listen, or its connection is lost: polling finds what there is.
    Deaf,
    /// It wants to be told, and some may have fired who did not know.
    Unsettled,
    /// It is told.
    Resting,
    /// It need not be told.
    Awake,
}

/// What the claims and the listening connection have to say to each other.
pub struct Rest {
    state: watch::Sender<State>,
    /// Whether the claims want to look by themselves.
    much: watch::Sender<bool>,
}

impl Default for Rest {
    fn default() -> Rest {
        Rest { state: watch::channel(State::Deaf).0, much: watch::channel(false).0 }
    }
}

impl Rest {
    /// How it is now; told by the listening connection.
    pub fn is(&self, state: State) {
        self.state.send_replace(state);
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Whether there is much; changes are waited for by the listening connection.
    pub fn much(&self) -> watch::Receiver<bool> {
        self.much.subscribe()
    }

    fn want(&self, much: bool) {
        self.much.send_if_modified(|wanted| std::mem::replace(wanted, much) != much);
    }
}

/// What the claims see.
pub struct Pace {
    in_a_row: u32,
    found: Instant,
    unsettled: Duration,
}

impl Pace {
    pub fn new() -> Pace {
        Pace { in_a_row: 0, found: Instant::now(), unsettled: UNSETTLED.0 }
    }

    /// A claim found something, or nothing.
    pub fn note(&mut self, rest: &Rest, found: bool) {
        let since = self.found.elapsed();
        if found {
            self.in_a_row = if since <= SOON { self.in_a_row.saturating_add(1) } else { 1 };
            self.found = Instant::now();
        }
        match *rest.much.borrow() {
            false if self.in_a_row >= MANY => {}
            true if since >= QUIET && !found => self.in_a_row = 0,
            _ => return,
        }
        rest.want(self.in_a_row >= MANY);
    }

    /// How long to wait, when that is not for being told.
    pub fn pause(&mut self, rest: &Rest) -> Option<Duration> {
        match rest.state() {
            State::Deaf | State::Resting => {
                self.unsettled = UNSETTLED.0;
                None
            }
            State::Awake => Some(SHORT),
            State::Unsettled => {
                let pause = self.unsettled;
                self.unsettled = (pause * 2).min(UNSETTLED.1);
                Some(pause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_claims_in_a_row_keep_it_awake_and_nothing_for_a_while_lets_it_rest() {
        let (rest, mut pace) = (Rest::default(), Pace::new());
        let much = rest.much();
        for _ in 1..MANY {
            pace.note(&rest, true);
        }
        assert!(!*much.borrow(), "a few are not much");
        pace.note(&rest, true);
        assert!(*much.borrow());
        pace.note(&rest, false);
        assert!(*much.borrow(), "nothing for a moment");
        pace.found -= QUIET;
        pace.note(&rest, false);
        assert!(!*much.borrow());
        for _ in 0..MANY {
            pace.found -= SOON * 2;
            pace.note(&rest, true);
        }
        assert!(!*much.borrow(), "not in a row");
    }

    #[test]
    fn it_looks_often_unless_it_is_told() {
        let (rest, mut pace) = (Rest::default(), Pace::new());
        assert_eq!(pace.pause(&rest), None, "deaf: it polls");
        rest.is(State::Unsettled);
        assert_eq!(pace.pause(&rest), Some(UNSETTLED.0));
        let later: Vec<_> = (0..10).filter_map(|_| pace.pause(&rest)).collect();
        assert_eq!(later.last(), Some(&UNSETTLED.1), "less and less often");
        rest.is(State::Resting);
        assert_eq!(pace.pause(&rest), None);
        rest.is(State::Awake);
        assert_eq!(pace.pause(&rest), Some(SHORT));
    }
}
