//! The promises of the outbox, as a machine that is told every event in its order and says which promise one breaks.
//!
//! It knows nothing of how the outbox works: the model tells it what the model did, the crash tests what a real outbox and
//! a real destination recorded.

/// A promise that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// Something is done that was never delivered.
    DoneUndelivered,
    /// A report was believed that came from an attempt which did not hold the lease.
    StaleReportBelieved,
    /// Somebody was given what another held, whose lease had not ended.
    TakenFromHolder,
    /// An attempt began before what is older in its lane had ended.
    OutOfOrder,
    /// An attempt began although a dead action holds up its lane.
    PassedDead,
    /// What cannot be taken back was sent again, and no person had asked for it.
    SentTwice,
    /// An attempt delivered more than once, or one that had never begun did.
    DeliveredWithoutAttempt,
    /// Something happened to an action that had ended.
    EndedAgain,
    /// An attempt has a number that an earlier one had.
    AttemptReused,
    /// An action is neither at an end nor with a person, and nothing moves it any more.
    Lost,
}

impl Violation {
    pub const ALL: [Violation; 10] = [
        Violation::DoneUndelivered,
        Violation::StaleReportBelieved,
        Violation::TakenFromHolder,
        Violation::OutOfOrder,
        Violation::PassedDead,
        Violation::SentTwice,
        Violation::DeliveredWithoutAttempt,
        Violation::EndedAgain,
        Violation::AttemptReused,
        Violation::Lost,
    ];
}

/// What the outbox was told about an action when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Which lane, by number.
    pub lane: usize,
    /// Whether a repetition does harm.
    pub irreversible: bool,
    /// Whether it holds up its lane when it is dead or uncertain.
    pub blocks: bool,
}

/// What happened. Actions are numbered in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// An attempt has the lease.
    Claimed {
        action: usize,
        attempt: u32,
    },
    /// Its time is over. An extension begins it anew.
    LeaseEnded {
        action: usize,
    },
    LeaseExtended {
        action: usize,
        attempt: u32,
    },
    /// The database let the attempt begin what cannot be taken back.
    Started {
        action: usize,
        attempt: u32,
    },
    /// The destination got it, from this attempt.
    Delivered {
        action: usize,
        attempt: u32,
    },
    /// The database believed a report of this attempt.
    Completed {
        action: usize,
        attempt: u32,
    },
    Failed {
        action: usize,
        attempt: u32,
        to: Failed,
    },
    /// The database took it back from a holder whose lease had ended.
    Rescued {
        action: usize,
        to: Failed,
    },
    /// A person wants it executed again.
    Retried {
        action: usize,
    },
    /// A person, or a change of the answer, ended it.
    Cancelled {
        action: usize,
    },
}

/// What a failed or lost attempt leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failed {
    Ready,
    Dead,
    Uncertain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Ready,
    Held { attempt: u32, ended: bool, started: bool },
    Done,
    Dead,
    Uncertain,
    Cancelled,
}

/// One action, as the events so far have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Watched {
    kind: Kind,
    state: State,
    /// The last attempt's number.
    attempt: u32,
    /// Which attempts have delivered, in the order of delivery.
    delivered: Vec<u32>,
    /// How often a person had it executed again.
    retried: usize,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Monitor {
    actions: Vec<Watched>,
    /// The actions of each lane, oldest first.
    lanes: Vec<Vec<usize>>,
}

impl Monitor {
    /// An action comes; they come in the order of their ids. Returns its number.
    pub fn add(&mut self, kind: Kind) -> usize {
        let number = self.actions.len();
        if self.lanes.len() <= kind.lane {
            self.lanes.resize(kind.lane + 1, Vec::new());
        }
        self.lanes[kind.lane].push(number);
        self.actions.push(Watched {
            kind,
            state: State::Ready,
            attempt: 0,
            delivered: Vec::new(),
            retried: 0,
        });
        number
    }

    /// Takes note of an event.
    pub fn see(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Claimed { action, attempt } => self.claimed(action, attempt),
            Event::LeaseEnded { action } => {
                if let State::Held { ended, .. } = &mut self.actions[action].state {
                    *ended = true;
                }
                Ok(())
            }
            Event::LeaseExtended { action, attempt } => {
                let (_, ended) = self.holder(action, attempt)?;
                *ended = false;
                Ok(())
            }
            Event::Started { action, attempt } => {
                let (started, _) = self.holder(action, attempt)?;
                *started = true;
                Ok(())
            }
            Event::Delivered { action, attempt } => self.delivered(action, attempt),
            Event::Completed { action, attempt } => {
                self.holder(action, attempt)?;
                if self.actions[action].delivered.is_empty() {
                    return Err(Violation::DoneUndelivered);
                }
                self.actions[action].state = State::Done;
                Ok(())
            }
            Event::Failed { action, attempt, to } => {
                self.holder(action, attempt)?;
                self.actions[action].state = to.state();
                Ok(())
            }
            Event::Rescued { action, to } => self.rescued(action, to),
            Event::Retried { action } => {
                let one = &mut self.actions[action];
                match one.state {
                    State::Ready | State::Dead | State::Uncertain => {
                        one.state = State::Ready;
                        one.retried += 1;
                        Ok(())
                    }
                    State::Held { .. } => Err(Violation::TakenFromHolder),
                    State::Done | State::Cancelled => Err(Violation::EndedAgain),
                }
            }
            Event::Cancelled { action } => {
                let one = &mut self.actions[action];
                match one.state {
                    State::Held { .. } => return Err(Violation::TakenFromHolder),
                    State::Done | State::Cancelled => return Err(Violation::EndedAgain),
                    State::Ready | State::Dead | State::Uncertain => one.state = State::Cancelled,
                }
                Ok(())
            }
        }
    }

    /// The first action that is neither at an end nor with a person, nor behind one that is and holds up its lane.
    pub fn unsettled(&self) -> Option<usize> {
        (0..self.actions.len()).find(|&action| match self.actions[action].state {
            State::Done | State::Dead | State::Uncertain | State::Cancelled => false,
            State::Held { .. } => true,
            State::Ready => !self.older(action).any(|one| one.holds_up()),
        })
    }

    pub fn is_done(&self, action: usize) -> bool {
        self.actions[action].state == State::Done
    }

    pub fn is_uncertain(&self, action: usize) -> bool {
        self.actions[action].state == State::Uncertain
    }

    /// How often the destination got it.
    pub fn deliveries(&self, action: usize) -> usize {
        self.actions[action].delivered.len()
    }

    fn older(&self, action: usize) -> impl Iterator<Item = &Watched> {
        let lane = &self.lanes[self.actions[action].kind.lane];
        lane.iter().take_while(move |other| **other < action).map(|other| &self.actions[*other])
    }

    fn claimed(&mut self, action: usize, attempt: u32) -> Result<(), Violation> {
        let one = &self.actions[action];
        match one.state {
            State::Ready => {}
            State::Held { .. } => return Err(Violation::TakenFromHolder),
            State::Done | State::Cancelled => return Err(Violation::EndedAgain),
            State::Dead | State::Uncertain => return Err(Violation::SentTwice),
        }
        if attempt <= one.attempt {
            return Err(Violation::AttemptReused);
        }
        for older in self.older(action) {
            match older.state {
                State::Ready | State::Held { .. } => return Err(Violation::OutOfOrder),
                State::Dead | State::Uncertain if older.kind.blocks => return Err(Violation::PassedDead),
                _ => {}
            }
        }
        let one = &mut self.actions[action];
        one.attempt = attempt;
        one.state = State::Held { attempt, ended: false, started: false };
        Ok(())
    }

    fn delivered(&mut self, action: usize, attempt: u32) -> Result<(), Violation> {
        let one = &mut self.actions[action];
        // An attempt that lost its lease may still deliver, late: what can be repeated carries a key for that.
        if attempt == 0 || attempt > one.attempt || one.delivered.contains(&attempt) {
            return Err(Violation::DeliveredWithoutAttempt);
        }
        one.delivered.push(attempt);
        if one.kind.irreversible && one.delivered.len() > 1 + one.retried {
            return Err(Violation::SentTwice);
        }
        Ok(())
    }

    fn rescued(&mut self, action: usize, to: Failed) -> Result<(), Violation> {
        let one = &mut self.actions[action];
        match one.state {
            State::Held { ended: false, .. } => Err(Violation::TakenFromHolder),
            State::Held { started: true, .. } if one.kind.irreversible && to != Failed::Uncertain => {
                Err(Violation::SentTwice)
            }
            State::Held { .. } => {
                one.state = to.state();
                Ok(())
            }
            _ => Err(Violation::EndedAgain),
        }
    }

    /// Whether it was started and whether its lease ended, if this attempt holds the action.
    fn holder(&mut self, action: usize, attempt: u32) -> Result<(&mut bool, &mut bool), Violation> {
        match &mut self.actions[action].state {
            State::Held { attempt: holder, started, ended } if *holder == attempt => Ok((started, ended)),
            _ => Err(Violation::StaleReportBelieved),
        }
    }
}

impl Watched {
    fn holds_up(&self) -> bool {
        match self.state {
            State::Ready | State::Held { .. } => true,
            State::Dead | State::Uncertain => self.kind.blocks,
            State::Done | State::Cancelled => false,
        }
    }
}

impl Failed {
    fn state(self) -> State {
        match self {
            Failed::Ready => State::Ready,
            Failed::Dead => State::Dead,
            Failed::Uncertain => State::Uncertain,
        }
    }
}
