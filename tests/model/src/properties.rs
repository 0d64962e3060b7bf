//! What the checker is asked: no promise is ever broken, and what must be possible comes about.

use crate::monitor::Violation;
use crate::state::State;
use crate::system::System;
use stateright::Property;

/// One property a promise, under the violation's name. The checker takes functions without surroundings, so each is written out.
pub fn promises() -> impl Iterator<Item = Property<System>> {
    use Violation::*;
    macro_rules! never {
        ($($violation:ident),*) => {
            [$(Property::always(stringify!($violation), |_, s: &State| s.violation != Some($violation))),*]
        };
    }
    let broken = never!(
        DoneUndelivered,
        StaleReportBelieved,
        TakenFromHolder,
        OutOfOrder,
        PassedDead,
        SentTwice,
        DeliveredWithoutAttempt,
        EndedAgain,
        AttemptReused
    );
    // With nothing left to happen but mishaps and people, everything is at an end or with a person.
    let lost = Property::always("Lost", |system: &System, state: &State| {
        state.violation.is_some() || state.monitor.unsettled().is_none() || system.goes_on(state)
    });
    broken.into_iter().chain([lost])
}

/// Without these the search would prove nothing.
pub fn possibilities() -> impl Iterator<Item = Property<System>> {
    fn all(state: &State) -> std::ops::Range<usize> {
        0..state.outbox.rows.len()
    }
    [
        Property::sometimes("everything is done", |_, s: &State| all(s).all(|a| s.monitor.is_done(a))),
        Property::sometimes("a late report is refused", |_, s: &State| s.refused),
        Property::sometimes("something is delivered twice", |_, s: &State| {
            all(s).any(|a| s.monitor.deliveries(a) > 1)
        }),
        Property::sometimes("something is uncertain", |_, s: &State| {
            all(s).any(|a| s.monitor.is_uncertain(a))
        }),
    ]
    .into_iter()
}
