//! Searches every behaviour of the model: the outbox as it is breaks no promise; each broken one does, and is caught.

use stateright::{Checker, Model};
use tradeflow_model::broken::Broken;
use tradeflow_model::monitor::{Kind, Violation};
use tradeflow_model::system::System;

const MAIL: Kind = Kind { lane: 0, irreversible: true, blocks: false };
const CALL: Kind = Kind { lane: 0, irreversible: false, blocks: false };

/// The smallest system in which things go wrong: each test adds what it needs.
fn system(kinds: &[Kind]) -> System {
    System {
        kinds: kinds.to_vec(),
        workers: 2,
        max_attempts: 2,
        crashes: 1,
        losses: 1,
        interventions: 0,
        broken: None,
    }
}

/// Searches all of it: every promise holds, and these things do happen, or the search would prove nothing.
fn holds(system: System, possible: &[&str]) {
    let checker = system.checker().threads(2).spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    for violation in Violation::ALL {
        let name = format!("{violation:?}");
        let path = checker.discoveries().into_iter().find(|(found, _)| *found == name);
        if let Some((_, path)) = path {
            panic!("{violation:?}, by {:#?}", path.into_actions());
        }
    }
    for what in possible {
        assert!(checker.discoveries().contains_key(what), "it never comes about that {what}");
    }
}

/// Searches until this promise is broken.
fn catches(broken: Broken, violation: Violation, system: System) {
    let name: &'static str = format!("{violation:?}").leak();
    let checker = System { broken: Some(broken), ..system }.checker().threads(2).spawn_bfs().join();
    assert!(
        checker.discovery(name).is_some(),
        "{broken:?} went through {} states unnoticed",
        checker.unique_state_count()
    );
}

#[test]
fn one_mail_two_workers_a_crash_losses_and_a_person() {
    holds(
        System { losses: 1, interventions: 1, ..system(&[MAIL]) },
        &[
            "everything is done",
            "a late report is refused",
            "something is uncertain",
            "something is delivered twice",
        ],
    );
}

#[test]
fn a_lane_of_two_calls() {
    holds(
        System { crashes: 0, ..system(&[CALL, CALL]) },
        &["everything is done", "something is delivered twice"],
    );
}

#[test]
fn a_dead_action_that_holds_up_its_lane_beside_another_lane() {
    let holds_up = Kind { blocks: true, ..CALL };
    let other = Kind { lane: 1, ..MAIL };
    let system = system(&[holds_up, CALL, other]);
    holds(
        System { workers: 1, losses: 0, interventions: 1, max_attempts: 1, ..system },
        &["everything is done"],
    );
}

/// `make chaos` searches these, too: millions of states.
mod long {
    use super::*;

    #[test]
    #[ignore = "a minute; make chaos"]
    fn one_mail_three_attempts_and_everything_twice() {
        holds(
            System { crashes: 2, losses: 2, interventions: 2, max_attempts: 3, ..system(&[MAIL]) },
            &["something is delivered twice", "something is uncertain"],
        );
    }

    #[test]
    #[ignore = "a minute; make chaos"]
    fn a_lane_of_a_call_and_a_mail() {
        holds(system(&[CALL, MAIL]), &["everything is done", "a late report is refused"]);
    }

    #[test]
    #[ignore = "a minute; make chaos"]
    fn two_lanes_one_of_them_held_up() {
        let holds_up = Kind { blocks: true, ..CALL };
        let other = Kind { lane: 1, ..MAIL };
        let system = system(&[holds_up, CALL, other]);
        holds(System { losses: 0, interventions: 1, max_attempts: 1, ..system }, &["everything is done"]);
    }
}

mod broken {
    use super::*;

    #[test]
    fn reports_of_attempts_that_lost_their_lease() {
        catches(Broken::ReportsUnchecked, Violation::StaleReportBelieved, system(&[CALL]));
    }

    #[test]
    fn a_yes_to_one_that_lost_its_lease() {
        catches(Broken::StartedUnchecked, Violation::SentTwice, system(&[MAIL]));
    }

    #[test]
    fn a_rescuer_that_forgets_what_had_begun() {
        catches(Broken::RescueIgnoresStarted, Violation::SentTwice, system(&[MAIL]));
    }

    #[test]
    fn a_rescuer_without_patience() {
        catches(Broken::RescueIgnoresLease, Violation::TakenFromHolder, system(&[CALL]));
    }

    #[test]
    fn a_claim_without_the_lane() {
        catches(Broken::ClaimIgnoresLane, Violation::OutOfOrder, system(&[CALL, CALL]));
    }

    #[test]
    fn a_claim_past_a_dead_action_that_holds_up_its_lane() {
        catches(
            Broken::ClaimIgnoresDead,
            Violation::PassedDead,
            system(&[Kind { blocks: true, ..CALL }, CALL]),
        );
    }

    #[test]
    fn a_mail_sent_unasked() {
        catches(Broken::SendsUnasked, Violation::SentTwice, system(&[MAIL]));
    }

    #[test]
    fn a_mail_of_unknown_outcome_reported_as_failed() {
        catches(Broken::UnknownIsFailure, Violation::SentTwice, system(&[MAIL]));
    }

    #[test]
    fn success_reported_before_the_delivery() {
        catches(Broken::ReportsFirst, Violation::DoneUndelivered, system(&[CALL]));
    }

    #[test]
    fn a_retry_that_only_a_workers_memory_knows() {
        catches(Broken::RetryInMemory, Violation::Lost, system(&[CALL]));
    }

    /// A variant without a test above would prove nothing.
    #[test]
    fn all_of_them_are_here() {
        let here = include_str!("model.rs").matches("catches(Broken::").count();
        assert_eq!(here, Broken::ALL.len());
    }
}

/// Firings that tell nobody are found all the same; and each precaution is one.
#[test]
fn nobody_rests_while_something_is_ready() {
    use tradeflow_model::wake;
    let search = |sidecars, broken| {
        let system = wake::System { writers: 3, sidecars, crashes: 1, broken };
        system.checker().threads(2).spawn_bfs().join()
    };
    for sidecars in 1..=2 {
        let checker = search(sidecars, None);
        println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
        if let Some(path) = checker.discovery("nothing is left lying") {
            panic!("something is left lying, by {:#?}", path.into_actions());
        }
        for what in ["somebody is spared the telling", "all rest"] {
            assert!(checker.discovery(what).is_some(), "it never comes about that {what}");
        }
    }
    for broken in wake::Broken::ALL {
        let caught = search(2, Some(broken)).discovery("nothing is left lying").is_some();
        assert!(caught, "{broken:?} went unnoticed");
    }
}
