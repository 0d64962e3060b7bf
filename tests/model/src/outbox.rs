//! The database's half of the model: each function is one transaction, as in `sql/40_executor_api.sql`, `45_tick.sql` and
//! `50_operator_api.sql`. Time is not a number here: that a lease has ended, or a retry's time has come, just happens.

use crate::broken::Broken;
use crate::monitor::{Event, Failed, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// `due`: its `run_at` has come.
    Ready {
        due: bool,
    },
    Running {
        lease_ended: bool,
        started: bool,
    },
    Done,
    Dead,
    Uncertain,
    Cancelled,
}

/// A row of `tradeflow.outbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: State,
    pub attempt: u32,
    pub max_attempts: u32,
}

/// The table, and what its rows are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outbox {
    pub rows: Vec<Row>,
}

/// What its functions go by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub kinds: &'a [Kind],
    pub broken: Option<Broken>,
}

impl Rules<'_> {
    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }
}

impl Outbox {
    pub fn new(actions: usize, max_attempts: u32) -> Outbox {
        Outbox { rows: vec![Row { state: State::Ready { due: true }, attempt: 0, max_attempts }; actions] }
    }

    /// `claim()`, of one action: the event, if it may be taken.
    pub fn claim(&mut self, rules: Rules, action: usize) -> Option<Event> {
        if self.rows[action].state != (State::Ready { due: true }) {
            return None;
        }
        let lane = |other: &usize| rules.kinds[*other].lane == rules.kinds[action].lane && *other != action;
        for other in (0..self.rows.len()).filter(lane) {
            let holds_up = match self.rows[other].state {
                // A timer that became ready meanwhile may have a lower id than what runs.
                State::Running { .. } => !rules.is(Broken::ClaimIgnoresLane),
                State::Ready { .. } => other < action && !rules.is(Broken::ClaimIgnoresLane),
                State::Dead | State::Uncertain => {
                    other < action && rules.kinds[other].blocks && !rules.is(Broken::ClaimIgnoresDead)
                }
                State::Done | State::Cancelled => false,
            };
            if holds_up {
                return None;
            }
        }
        let row = &mut self.rows[action];
        row.attempt += 1;
        row.state = State::Running { lease_ended: false, started: false };
        Some(Event::Claimed { action, attempt: row.attempt })
    }

    /// `started()`: whether the attempt may begin.
    pub fn started(&mut self, rules: Rules, action: usize, attempt: u32) -> Option<Event> {
        let row = &mut self.rows[action];
        match &mut row.state {
            State::Running { lease_ended: false, started } if row.attempt == attempt => {
                *started = true;
                Some(Event::Started { action, attempt })
            }
            // It says yes, and writes what it would write for the holder.
            _ if rules.is(Broken::StartedUnchecked) => Some(Event::Started { action, attempt }),
            _ => None,
        }
    }

    /// `extend()`: a lease that ended and was not taken back yet begins anew.
    pub fn extend(&mut self, action: usize, attempt: u32) -> Option<Event> {
        let row = &mut self.rows[action];
        match &mut row.state {
            State::Running { lease_ended, .. } if row.attempt == attempt => {
                *lease_ended = false;
                Some(Event::LeaseExtended { action, attempt })
            }
            _ => None,
        }
    }

    /// `complete()`, of one action.
    pub fn complete(&mut self, rules: Rules, action: usize, attempt: u32) -> Option<Event> {
        self.believes(rules, action, attempt).then(|| {
            self.rows[action].state = State::Done;
            Event::Completed { action, attempt }
        })
    }

    /// `fail()`.
    pub fn fail(&mut self, rules: Rules, action: usize, attempt: u32, outcome: Failed) -> Option<Event> {
        if !self.believes(rules, action, attempt) {
            return None;
        }
        let row = &mut self.rows[action];
        let to = match outcome {
            Failed::Ready if row.attempt >= row.max_attempts => Failed::Dead,
            other => other,
        };
        row.state = state_after(to, false);
        Some(Event::Failed { action, attempt, to })
    }

    fn believes(&self, rules: Rules, action: usize, attempt: u32) -> bool {
        let row = &self.rows[action];
        matches!(row.state, State::Running { .. })
            && (row.attempt == attempt || rules.is(Broken::ReportsUnchecked))
    }

    /// Time passes: a lease ends.
    pub fn lease_ends(&mut self, action: usize) -> Option<Event> {
        match &mut self.rows[action].state {
            State::Running { lease_ended: ended @ false, .. } => {
                *ended = true;
                Some(Event::LeaseEnded { action })
            }
            _ => None,
        }
    }

    /// Time passes: a retry's backoff is over. Whether it was waited for.
    pub fn becomes_due(&mut self, action: usize) -> bool {
        match &mut self.rows[action].state {
            State::Ready { due: due @ false } => {
                *due = true;
                true
            }
            _ => false,
        }
    }

    /// `tick()`: takes back a lease that ended.
    pub fn rescue(&mut self, rules: Rules, action: usize) -> Option<Event> {
        let row = &mut self.rows[action];
        let State::Running { lease_ended, started } = row.state else { return None };
        if !lease_ended && !rules.is(Broken::RescueIgnoresLease) {
            return None;
        }
        let harm = rules.kinds[action].irreversible && started && !rules.is(Broken::RescueIgnoresStarted);
        let to = if harm {
            Failed::Uncertain
        } else if row.attempt >= row.max_attempts {
            Failed::Dead
        } else {
            Failed::Ready
        };
        row.state = state_after(to, true);
        Some(Event::Rescued { action, to })
    }

    /// `retry()`, by a person: a last attempt is granted where none was left.
    pub fn retry(&mut self, action: usize) -> Option<Event> {
        let row = &mut self.rows[action];
        match row.state {
            State::Dead | State::Uncertain | State::Ready { due: false } => {
                row.state = State::Ready { due: true };
                row.max_attempts = row.max_attempts.max(row.attempt + 1);
                Some(Event::Retried { action })
            }
            _ => None,
        }
    }

    /// `cancel()`, by a person: never what runs.
    pub fn cancel(&mut self, action: usize) -> Option<Event> {
        match self.rows[action].state {
            State::Ready { .. } | State::Dead | State::Uncertain => {
                self.rows[action].state = State::Cancelled;
                Some(Event::Cancelled { action })
            }
            _ => None,
        }
    }
}

fn state_after(to: Failed, due: bool) -> State {
    match to {
        Failed::Ready => State::Ready { due },
        Failed::Dead => State::Dead,
        Failed::Uncertain => State::Uncertain,
    }
}
