//! Who is told that something is ready, and who looks by himself: no firing is left lying while every sidecar rests.
//!
//! The product: `extension/src/outbox/tell.rs` (those who fire), `sidecar/src/executor/rest.rs` and `listen.rs`. One lock
//! each, taken and tried step by step, in every order that can come about.

use stateright::{Model, Property};

/// Those who fire, and those who execute.
#[derive(Clone, Debug)]
pub struct System {
    pub writers: usize,
    pub sidecars: usize,
    /// How often a sidecar may lose its connection.
    pub crashes: u8,
    pub broken: Option<Broken>,
}

/// The precaution that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A sidecar rests without waiting for those who fired before it could be seen.
    RestsUnsettled,
    /// It does not look once more when they have ended.
    RestsWithoutALook,
    /// Who fires looks whether somebody rests before he says that he writes.
    LooksBeforeWriting,
    /// Who fires says that he has written before it can be seen.
    EndsBeforeCommit,
    /// Who fires without a look at those who rest.
    OneAwakeIsEnough,
}

impl Broken {
    pub const ALL: [Broken; 5] = [
        Broken::RestsUnsettled,
        Broken::RestsWithoutALook,
        Broken::LooksBeforeWriting,
        Broken::EndsBeforeCommit,
        Broken::OneAwakeIsEnough,
    ];
}

/// One that fires once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writer {
    Begins,
    /// Somebody is awake: perhaps nobody need be told.
    MayBeSpared,
    /// Only where it is broken: nobody rested, and it does not say yet that it writes.
    Looked,
    /// It holds the lock of those who write and do not tell.
    Writes,
    Ends {
        tells: bool,
        holds: bool,
    },
    Committed,
}

/// One that executes. `told`: something was said to it that it has not looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sidecar {
    pub phase: Phase,
    pub told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Without its connection: it polls.
    Deaf,
    Unsettled,
    Resting,
    Awake,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub writers: Vec<Writer>,
    pub sidecars: Vec<Sidecar>,
    /// The one that says that somebody is awake.
    pub awake: Option<usize>,
    /// Firings that have committed and nobody took.
    pub ready: u8,
    pub crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Write(usize),
    Claim(usize),
    WakeUp(usize),
    SayAwake(usize),
    WantRest(usize),
    Settle(usize),
    Crash(usize),
    Connect(usize),
}

impl System {
    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The next thing that one who fires does.
    fn write(&self, state: &mut State, n: usize) {
        let rests = state.sidecars.iter().any(|s| matches!(s.phase, Phase::Unsettled | Phase::Resting));
        let told = Writer::Ends { tells: true, holds: false };
        state.writers[n] = match state.writers[n] {
            Writer::Begins if state.awake.is_none() => told,
            Writer::Begins => Writer::MayBeSpared,
            Writer::MayBeSpared if self.is(Broken::LooksBeforeWriting) => match rests {
                true => told,
                false => Writer::Looked,
            },
            Writer::MayBeSpared => Writer::Writes,
            Writer::Looked => Writer::Ends { tells: false, holds: true },
            Writer::Writes if self.is(Broken::OneAwakeIsEnough) => Writer::Ends { tells: false, holds: true },
            Writer::Writes => Writer::Ends { tells: rests, holds: true },
            Writer::Ends { tells, holds: true } if self.is(Broken::EndsBeforeCommit) => {
                Writer::Ends { tells, holds: false }
            }
            Writer::Ends { tells, .. } => {
                state.ready += 1;
                for sidecar in state.sidecars.iter_mut().filter(|s| tells && s.phase != Phase::Deaf) {
                    sidecar.told = true;
                }
                Writer::Committed
            }
            Writer::Committed => Writer::Committed,
        };
    }
}

impl State {
    /// Whether somebody holds the lock of those who write and do not tell.
    fn somebody_writes(&self) -> bool {
        self.writers.iter().any(|w| matches!(w, Writer::Writes | Writer::Ends { holds: true, .. }))
    }

    /// Whether a sidecar looks for what is ready: it polls, looks often, or was told.
    fn looks(&self, n: usize) -> bool {
        let Sidecar { phase, told } = self.sidecars[n];
        told || phase != Phase::Resting
    }
}

impl Model for System {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            writers: vec![Writer::Begins; self.writers],
            sidecars: vec![Sidecar { phase: Phase::Deaf, told: false }; self.sidecars],
            awake: None,
            ready: 0,
            crashes: self.crashes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        for (n, writer) in state.writers.iter().enumerate() {
            if *writer != Writer::Committed {
                actions.push(Step::Write(n));
            }
        }
        for (n, sidecar) in state.sidecars.iter().enumerate() {
            if state.looks(n) {
                actions.push(Step::Claim(n));
            }
            match sidecar.phase {
                Phase::Deaf => actions.push(Step::Connect(n)),
                Phase::Unsettled => actions.push(Step::Settle(n)),
                Phase::Resting => actions.push(Step::WakeUp(n)),
                Phase::Awake => actions.extend([Step::WantRest(n), Step::SayAwake(n)]),
            }
            if state.crashes > 0 && sidecar.phase != Phase::Deaf {
                actions.push(Step::Crash(n));
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Write(n) => self.write(&mut state, n),
            Step::Claim(n) => {
                state.ready = 0;
                state.sidecars[n].told = false;
            }
            Step::WakeUp(n) => {
                state.sidecars[n].phase = Phase::Awake;
                state.awake = state.awake.or(Some(n));
            }
            Step::SayAwake(n) => state.awake = state.awake.or(Some(n)),
            Step::Connect(n) => state.sidecars[n].phase = Phase::Unsettled,
            Step::WantRest(n) => {
                state.sidecars[n].phase = Phase::Unsettled;
                state.awake = state.awake.filter(|who| *who != n);
            }
            Step::Settle(n) => {
                if state.somebody_writes() && !self.is(Broken::RestsUnsettled) {
                    return None;
                }
                state.sidecars[n].phase = Phase::Resting;
                state.sidecars[n].told |= !self.is(Broken::RestsWithoutALook);
            }
            Step::Crash(n) => {
                state.crashes -= 1;
                state.sidecars[n] = Sidecar { phase: Phase::Deaf, told: false };
                state.awake = state.awake.filter(|who| *who != n);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is left lying", |_: &System, state: &State| {
                state.ready == 0 || (0..state.sidecars.len()).any(|n| state.looks(n))
            }),
            Property::sometimes("somebody is spared the telling", |_, state: &State| {
                state.writers.contains(&Writer::Ends { tells: false, holds: true })
            }),
            Property::sometimes("all rest", |_, state: &State| {
                (0..state.sidecars.len()).all(|n| !state.looks(n))
            }),
        ]
    }
}
