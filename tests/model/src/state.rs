//! A moment of the system: the table, what each worker is at, what is under way between them; and how a message and a
//! delivery change it.

use crate::broken::Broken;
use crate::monitor::{Event, Failed, Monitor, Violation};
use crate::outbox::Outbox;
use crate::system::{Sending, System};
use std::collections::BTreeSet;

/// The worker whose memory held when something is due again has crashed.
pub(crate) const NOBODY: Option<usize> = Some(usize::MAX);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub outbox: Outbox,
    /// What each worker is at.
    pub(crate) workers: Vec<Vec<Execution>>,
    /// On the way to the database. It outlives its sender.
    pub(crate) network: BTreeSet<Message>,
    /// What time shall wake, where the broken system keeps it: who wakes it.
    pub(crate) woken_by: Vec<Option<usize>>,
    pub monitor: Monitor,
    pub violation: Option<Violation>,
    /// A report that came too late was refused.
    pub refused: bool,
    pub(crate) crashes: u8,
    pub(crate) losses: u8,
    pub(crate) interventions: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Execution {
    pub(crate) action: usize,
    pub(crate) attempt: u32,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
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
pub enum Report {
    Complete,
    Fail(Failed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    pub(crate) worker: usize,
    pub(crate) action: usize,
    pub(crate) attempt: u32,
    /// None: it asks whether it may begin.
    pub(crate) report: Option<Report>,
}

impl State {
    pub(crate) fn see(&mut self, event: Option<Event>) -> bool {
        let Some(event) = event else { return false };
        if let Err(violation) = self.monitor.see(event) {
            self.violation.get_or_insert(violation);
        }
        true
    }

    pub(crate) fn execution(&mut self, worker: usize, action: usize) -> Option<&mut Execution> {
        self.workers[worker].iter_mut().find(|e| e.action == action)
    }

    pub(crate) fn drop_execution(&mut self, worker: usize, action: usize, attempt: u32) {
        self.workers[worker].retain(|e| (e.action, e.attempt) != (action, attempt));
    }

    /// The database takes a message; `heard`: the sender gets the answer.
    pub(crate) fn receive(&mut self, system: &System, message: Message, heard: bool) {
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

    pub(crate) fn send(&mut self, system: &System, worker: usize, action: usize, how: Sending) {
        let Some(execution) = self.execution(worker, action) else { return };
        let attempt = execution.attempt;
        execution.phase = Phase::Reporting(system.report_of(action, how));
        if matches!(how, Sending::Arrives | Sending::ArrivesUnheard) {
            self.see(Some(Event::Delivered { action, attempt }));
        }
    }
}
