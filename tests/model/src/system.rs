//! Everything that can happen: workers claim, ask, send, report, and crash at any point; what they tell the database is
//! lost, comes late, comes twice; leases end whenever they like; people interfere. The checker tries every order.

use crate::broken::Broken;
use crate::monitor::{Event, Failed, Kind, Monitor, Violation};
use crate::outbox::{Outbox, Rules, State as RowState};
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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub outbox: Outbox,
    /// What each worker is at.
    workers: Vec<Vec<Execution>>,
    /// On the way to the database. It outlives its sender.
    network: BTreeSet<Message>,
    /// What time shall wake, where the broken system keeps it: who wakes it.
    woken_by: Vec<Option<usize>>,
    pub monitor: Monitor,
    pub violation: Option<Violation>,
    /// A report that came too late was refused.
    refused: bool,
    crashes: u8,
    losses: u8,
    interventions: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Execution {
    action: usize,
    attempt: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// It has the lease, as far as it knows.
    Claimed,
    /// It has asked whether it may begin.
    Asking,
    /// It may begin.
    Permitted,
    /// It says, again and again until it is answered, what became of it.
    Reporting(Report),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Report {
    Complete,
    Fail(Failed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    worker: usize,
    action: usize,
    attempt: u32,
    /// None: it asks whether it may begin.
    report: Option<Report>,
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
        worker: usize,
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
    fn rules(&self) -> Rules<'_> {
        Rules { kinds: &self.kinds, broken: self.broken }
    }

    fn is(&self, broken: Broken) -> bool {
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

    fn report_of(&self, action: usize, how: Sending) -> Report {
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

impl State {
    fn see(&mut self, event: Option<Event>) -> bool {
        let Some(event) = event else { return false };
        if let Err(violation) = self.monitor.see(event) {
            self.violation.get_or_insert(violation);
        }
        true
    }

    fn execution(&mut self, worker: usize, action: usize) -> Option<&mut Execution> {
        self.workers[worker].iter_mut().find(|e| e.action == action)
    }

    fn drop_execution(&mut self, worker: usize, action: usize, attempt: u32) {
        self.workers[worker].retain(|e| (e.action, e.attempt) != (action, attempt));
    }

    /// The database takes a message; `heard`: the sender gets the answer.
    fn receive(&mut self, system: &System, message: Message, heard: bool) {
        let Message { worker, action, attempt, report } = message;
        let rules = system.rules();
        self.network.remove(&message);
        let event = match report {
            None => self.outbox.started(rules, action, attempt),
            Some(Report::Complete) => self.outbox.complete(rules, action, attempt),
            Some(Report::Fail(outcome)) => self.outbox.fail(rules, action, attempt, outcome),
        };
        if let (true, Some(Event::Failed { to: Failed::Ready, .. })) =
            (system.is(Broken::RetryInMemory), event)
        {
            self.woken_by[action] = Some(worker);
        }
        // started() only marks: what it answers is what counts, and an unchecked yes is no event of the holder's.
        let accepted = match event {
            Some(Event::Started { .. }) if system.is(Broken::StartedUnchecked) => true,
            event => self.see(event),
        };
        self.refused |= report.is_some() && !accepted;
        if !heard {
            return;
        }
        match report {
            None if accepted => {
                if let Some(e) = self.execution(worker, action).filter(|e| e.attempt == attempt) {
                    if e.phase == Phase::Asking {
                        e.phase = Phase::Permitted;
                    }
                }
            }
            _ => self.drop_execution(worker, action, attempt),
        }
    }

    fn send(&mut self, system: &System, worker: usize, action: usize, how: Sending) {
        let Some(execution) = self.execution(worker, action) else { return };
        let attempt = execution.attempt;
        execution.phase = Phase::Reporting(system.report_of(action, how));
        if matches!(how, Sending::Arrives | Sending::ArrivesUnheard) {
            self.see(Some(Event::Delivered { action, attempt }));
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
                    if state.losses > 0 {
                        steps.push(Step::ClaimUnheard { worker, action });
                    }
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
        match step {
            Step::Claim { worker, action } => {
                let event = state.outbox.claim(rules, action);
                if !state.see(event) {
                    return None;
                }
                let attempt = state.outbox.rows[action].attempt;
                state.workers[worker].push(Execution { action, attempt, phase: Phase::Claimed });
            }
            Step::ClaimUnheard { action, .. } => {
                let event = state.outbox.claim(rules, action);
                state.losses -= 1;
                if !state.see(event) {
                    return None;
                }
            }
            Step::Ask { worker, action } => {
                let execution = state.execution(worker, action)?;
                execution.phase = Phase::Asking;
                let attempt = execution.attempt;
                state.network.insert(Message { worker, action, attempt, report: None });
            }
            Step::Send { worker, action, how } => state.send(self, worker, action, how),
            Step::Report { worker, action } => {
                let early = self.is(Broken::ReportsFirst);
                let execution = state.execution(worker, action)?;
                let attempt = execution.attempt;
                let report = match execution.phase {
                    Phase::Reporting(report) => report,
                    _ if early => Report::Complete,
                    _ => return None,
                };
                state.network.insert(Message { worker, action, attempt, report: Some(report) });
            }
            Step::Extend { worker, action } => {
                let attempt = state.execution(worker, action)?.attempt;
                let event = state.outbox.extend(action, attempt);
                if !state.see(event) {
                    return None;
                }
            }
            Step::Receive(message) => state.receive(self, message, true),
            Step::ReceiveUnheard(message) => {
                state.losses -= 1;
                state.receive(self, message, false);
            }
            Step::Lose(message) => {
                state.losses -= 1;
                state.network.remove(&message);
            }
            Step::Crash { worker } => {
                state.crashes -= 1;
                state.workers[worker].clear();
                for waker in &mut state.woken_by {
                    if *waker == Some(worker) {
                        // Nobody will.
                        *waker = Some(usize::MAX);
                    }
                }
            }
            Step::LeaseEnds { action } => {
                let event = state.outbox.lease_ends(action);
                if !state.see(event) {
                    return None;
                }
            }
            Step::BecomesDue { action } => {
                if state.woken_by[action] == Some(usize::MAX) || !state.outbox.becomes_due(action) {
                    return None;
                }
                state.woken_by[action] = None;
            }
            Step::Rescue { action } => {
                let event = state.outbox.rescue(rules, action);
                if !state.see(event) {
                    return None;
                }
            }
            Step::Retry { action } => {
                let event = state.outbox.retry(action);
                state.interventions -= 1;
                if !state.see(event) {
                    return None;
                }
            }
            Step::Cancel { action } => {
                let event = state.outbox.cancel(action);
                state.interventions -= 1;
                if !state.see(event) {
                    return None;
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<System>> {
        fn never(violation: Violation) -> Property<System> {
            match violation {
                Violation::DoneUndelivered => Property::always("DoneUndelivered", |_, s: &State| {
                    s.violation != Some(Violation::DoneUndelivered)
                }),
                Violation::StaleReportBelieved => Property::always("StaleReportBelieved", |_, s: &State| {
                    s.violation != Some(Violation::StaleReportBelieved)
                }),
                Violation::TakenFromHolder => Property::always("TakenFromHolder", |_, s: &State| {
                    s.violation != Some(Violation::TakenFromHolder)
                }),
                Violation::OutOfOrder => {
                    Property::always("OutOfOrder", |_, s: &State| s.violation != Some(Violation::OutOfOrder))
                }
                Violation::PassedDead => {
                    Property::always("PassedDead", |_, s: &State| s.violation != Some(Violation::PassedDead))
                }
                Violation::SentTwice => {
                    Property::always("SentTwice", |_, s: &State| s.violation != Some(Violation::SentTwice))
                }
                Violation::DeliveredWithoutAttempt => {
                    Property::always("DeliveredWithoutAttempt", |_, s: &State| {
                        s.violation != Some(Violation::DeliveredWithoutAttempt)
                    })
                }
                Violation::EndedAgain => {
                    Property::always("EndedAgain", |_, s: &State| s.violation != Some(Violation::EndedAgain))
                }
                Violation::AttemptReused => Property::always("AttemptReused", |_, s: &State| {
                    s.violation != Some(Violation::AttemptReused)
                }),
                // With nothing left to happen but mishaps and people, everything is at an end or with a person.
                Violation::Lost => Property::always("Lost", |system: &System, state: &State| {
                    state.violation.is_some() || state.monitor.unsettled().is_none() || system.goes_on(state)
                }),
            }
        }
        let mut properties: Vec<_> = Violation::ALL.into_iter().map(never).collect();
        // What must be possible, or the search would prove nothing.
        properties.extend([
            Property::sometimes("everything is done", |_, s: &State| {
                (0..s.outbox.rows.len()).all(|a| s.monitor.is_done(a))
            }),
            Property::sometimes("a late report is refused", |_, s: &State| s.refused),
            Property::sometimes("something is delivered twice", |_, s: &State| {
                (0..s.outbox.rows.len()).any(|a| s.monitor.deliveries(a) > 1)
            }),
            Property::sometimes("something is uncertain", |_, s: &State| {
                (0..s.outbox.rows.len()).any(|a| s.monitor.is_uncertain(a))
            }),
        ]);
        properties
    }
}

impl System {
    /// Whether something happens by itself.
    fn goes_on(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.actions(state, &mut steps);
        steps
            .into_iter()
            .any(|step| !step.is_mishap() && self.next_state(state, step).is_some_and(|next| next != *state))
    }
}
