//! Everything that can happen: workers claim, ask, send, report, and crash at any point; what they tell the database is
//! lost, comes late, comes twice; leases end whenever they like; people interfere. The checker tries every order.

use crate::broken::Broken;
use crate::monitor::{Failed, Kind, Monitor};
use crate::outbox::{Outbox, Rules, State as RowState};
use crate::properties::{possibilities, promises};
use crate::state::{Execution, Message, Phase, Report, State, NOBODY};
use stateright::{Model, Property};
use std::collections::BTreeSet;

/// The system, and how much may go wrong in one behaviour.
#[derive(Clone, Debug)]
pub struct System {
    pub kinds: Vec<Kind>,
    pub workers: usize,
    pub max_attempts: u32,
    pub crashes: u8,
    /// Messages lost, in either direction.
    pub losses: u8,
    /// Retries and cancellations by people.
    pub interventions: u8,
    pub broken: Option<Broken>,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sending {
    /// It arrives, and the worker hears of it.
    Arrives,
    /// It arrives, and the worker hears nothing.
    ArrivesUnheard,
    /// It does not arrive, and the worker hears nothing.
    VanishesUnheard,
    /// The destination refuses it for now.
    RefusedForNow,
    /// The destination refuses it for good.
    RefusedForGood,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Claim {
        worker: usize,
        action: usize,
    },
    /// The lease is given, and the answer lost.
    ClaimUnheard {
        action: usize,
    },
    Ask {
        worker: usize,
        action: usize,
    },
    Send {
        worker: usize,
        action: usize,
        how: Sending,
    },
    Report {
        worker: usize,
        action: usize,
    },
    Extend {
        worker: usize,
        action: usize,
    },
    /// The database takes a message and the sender hears what it says.
    Receive(Message),
    /// The same, and the sender does not hear of it.
    ReceiveUnheard(Message),
    Lose(Message),
    Crash {
        worker: usize,
    },
    LeaseEnds {
        action: usize,
    },
    BecomesDue {
        action: usize,
    },
    Rescue {
        action: usize,
    },
    Retry {
        action: usize,
    },
    Cancel {
        action: usize,
    },
}

impl Step {
    /// What nobody may count on.
    fn is_mishap(&self) -> bool {
        matches!(
            self,
            Step::ClaimUnheard { .. }
                | Step::ReceiveUnheard(_)
                | Step::Lose(_)
                | Step::Crash { .. }
                | Step::Extend { .. }
                | Step::Retry { .. }
                | Step::Cancel { .. }
        )
    }
}

impl System {
    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules { kinds: &self.kinds, broken: self.broken }
    }

    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// What a worker does next with what it holds.
    fn moves(&self, worker: usize, execution: &Execution, steps: &mut Vec<Step>) {
        let Execution { action, phase, .. } = *execution;
        let asks = self.kinds[action].irreversible && !self.is(Broken::SendsUnasked);
        match phase {
            Phase::Claimed if self.is(Broken::ReportsFirst) => steps.push(Step::Report { worker, action }),
            Phase::Claimed if asks => steps.push(Step::Ask { worker, action }),
            Phase::Claimed | Phase::Permitted => {
                for how in [
                    Sending::Arrives,
                    Sending::ArrivesUnheard,
                    Sending::VanishesUnheard,
                    Sending::RefusedForNow,
                    Sending::RefusedForGood,
                ] {
                    steps.push(Step::Send { worker, action, how });
                }
            }
            Phase::Asking => steps.push(Step::Ask { worker, action }),
            Phase::Reporting(_) => steps.push(Step::Report { worker, action }),
        }
    }

    pub(crate) fn report_of(&self, action: usize, how: Sending) -> Report {
        match how {
            Sending::Arrives => Report::Complete,
            Sending::RefusedForNow => Report::Fail(Failed::Ready),
            Sending::RefusedForGood => Report::Fail(Failed::Dead),
            Sending::ArrivesUnheard | Sending::VanishesUnheard => {
                let careful = self.kinds[action].irreversible && !self.is(Broken::UnknownIsFailure);
                Report::Fail(if careful { Failed::Uncertain } else { Failed::Ready })
            }
        }
    }
}

impl Model for System {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut monitor = Monitor::default();
        for kind in &self.kinds {
            monitor.add(*kind);
        }
        vec![State {
            outbox: Outbox::new(self.kinds.len(), self.max_attempts),
            workers: vec![Vec::new(); self.workers],
            network: BTreeSet::new(),
            woken_by: vec![None; self.kinds.len()],
            monitor,
            violation: None,
            refused: false,
            crashes: self.crashes,
            losses: self.losses,
            interventions: self.interventions,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // What comes after a broken promise says nothing more.
        if state.violation.is_some() {
            return;
        }
        for (worker, executions) in state.workers.iter().enumerate() {
            for action in 0..self.kinds.len() {
                // It keeps one execution of an action at a time.
                if executions.iter().all(|e| e.action != action) {
                    steps.push(Step::Claim { worker, action });
                }
            }
            for execution in executions {
                self.moves(worker, execution, steps);
                steps.push(Step::Extend { worker, action: execution.action });
            }
            if state.crashes > 0 && !executions.is_empty() {
                steps.push(Step::Crash { worker });
            }
        }
        for message in &state.network {
            steps.push(Step::Receive(*message));
            if state.losses > 0 {
                steps.push(Step::ReceiveUnheard(*message));
                steps.push(Step::Lose(*message));
            }
        }
        for action in 0..self.kinds.len() {
            match state.outbox.rows[action].state {
                RowState::Running { .. } => {
                    steps.push(Step::LeaseEnds { action });
                    steps.push(Step::Rescue { action });
                }
                RowState::Ready { due: false } => steps.push(Step::BecomesDue { action }),
                RowState::Ready { due: true } if state.losses > 0 => {
                    steps.push(Step::ClaimUnheard { action })
                }
                _ => {}
            }
            if state.interventions > 0 {
                steps.push(Step::Retry { action });
                steps.push(Step::Cancel { action });
            }
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let rules = self.rules();
        let happens = match step {
            Step::Claim { worker, action } => {
                let event = state.outbox.claim(rules, action);
                let attempt = state.outbox.rows[action].attempt;
                if event.is_some() {
                    state.workers[worker].push(Execution { action, attempt, phase: Phase::Claimed });
                }
                state.see(event)
            }
            Step::ClaimUnheard { action } => {
                let event = state.outbox.claim(rules, action);
                state.losses -= 1;
                state.see(event)
            }
            Step::Ask { worker, action } => {
                let execution = state.execution(worker, action)?;
                execution.phase = Phase::Asking;
                let attempt = execution.attempt;
                state.network.insert(Message { worker, action, attempt, report: None })
            }
            Step::Send { worker, action, how } => {
                state.send(self, worker, action, how);
                true
            }
            Step::Report { worker, action } => {
                let Execution { attempt, phase, .. } = *state.execution(worker, action)?;
                let report = match phase {
                    Phase::Reporting(report) => report,
                    _ if self.is(Broken::ReportsFirst) => Report::Complete,
                    _ => return None,
                };
                state.network.insert(Message { worker, action, attempt, report: Some(report) })
            }
            Step::Extend { worker, action } => {
                let attempt = state.execution(worker, action)?.attempt;
                let event = state.outbox.extend(action, attempt);
                state.see(event)
            }
            Step::Receive(message) => {
                state.receive(self, message, true);
                true
            }
            Step::ReceiveUnheard(message) => {
                state.losses -= 1;
                state.receive(self, message, false);
                true
            }
            Step::Lose(message) => {
                state.losses -= 1;
                state.network.remove(&message)
            }
            Step::Crash { worker } => {
                state.crashes -= 1;
                state.workers[worker].clear();
                for waker in state.woken_by.iter_mut().filter(|waker| **waker == Some(worker)) {
                    *waker = NOBODY;
                }
                true
            }
            Step::LeaseEnds { action } => {
                let event = state.outbox.lease_ends(action);
                state.see(event)
            }
            Step::BecomesDue { action } => {
                state.woken_by[action] != NOBODY && {
                    state.woken_by[action] = None;
                    state.outbox.becomes_due(action)
                }
            }
            Step::Rescue { action } => {
                let event = state.outbox.rescue(rules, action);
                state.see(event)
            }
            Step::Retry { action } => {
                let event = state.outbox.retry(action);
                state.interventions -= 1;
                state.see(event)
            }
            Step::Cancel { action } => {
                let event = state.outbox.cancel(action);
                state.interventions -= 1;
                state.see(event)
            }
        };
        happens.then_some(state)
    }

    fn properties(&self) -> Vec<Property<System>> {
        promises().chain(possibilities()).collect()
    }
}

impl System {
    /// Whether something happens by itself.
    pub(crate) fn goes_on(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.actions(state, &mut steps);
        steps
            .into_iter()
            .any(|step| !step.is_mishap() && self.next_state(state, step).is_some_and(|next| next != *state))
    }
}
