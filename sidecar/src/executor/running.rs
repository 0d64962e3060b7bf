//! What this process holds leases of.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Actions from their claim until the database heard what became of them.
#[derive(Default)]
pub struct Running {
    actions: Mutex<HashMap<i64, Entry>>,
}

struct Entry {
    attempt: i32,
    /// When the lease was last known to begin.
    since: Instant,
    /// It has a slot; before, it only waits for one.
    begun: bool,
    started: bool,
    abort: CancellationToken,
}

/// An action and the attempt that holds it.
pub type Held = (i64, i32);

/// What runs when the grace of a shutdown is over.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub started: Vec<Held>,
    pub not_started: Vec<Held>,
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Entry>> {
        self.actions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Remembers actions; the token of each ends its work.
    pub fn add(&self, held: &[Held], since: Instant) -> Vec<CancellationToken> {
        let mut actions = self.lock();
        let remember = |&(id, attempt): &Held| {
            let abort = CancellationToken::new();
            let entry = Entry { attempt, since, begun: false, started: false, abort: abort.clone() };
            actions.insert(id, entry);
            abort
        };
        held.iter().map(remember).collect()
    }

    /// Its execution begins. False: it was given back.
    pub fn begin(&self, id: i64) -> bool {
        self.lock().get_mut(&id).map(|entry| entry.begun = true).is_some()
    }

    /// Takes out what only waits for a slot.
    pub fn give_up_waiting(&self) -> Vec<Held> {
        let mut given_up = Vec::new();
        self.lock().retain(|id, entry| {
            if !entry.begun {
                entry.abort.cancel();
                given_up.push((*id, entry.attempt));
            }
            entry.begun
        });
        given_up
    }

    /// What cannot be taken back has begun, or the request may already be under way.
    pub fn mark_started(&self, id: i64) {
        if let Some(entry) = self.lock().get_mut(&id) {
            entry.started = true;
        }
    }

    /// Whether what cannot be taken back may have begun.
    pub fn is_started(&self, id: i64) -> bool {
        self.lock().get(&id).is_some_and(|entry| entry.started)
    }

    /// The database knows what became of these.
    pub fn remove(&self, held: impl IntoIterator<Item = Held>) {
        let mut actions = self.lock();
        for (id, attempt) in held {
            if actions.get(&id).is_some_and(|e| e.attempt == attempt) {
                actions.remove(&id);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Those whose lease was given or extended at least `age` ago.
    pub fn older_than(&self, age: Duration) -> Vec<Held> {
        let actions = self.lock();
        actions.iter().filter(|(_, e)| e.since.elapsed() >= age).map(|(id, e)| (*id, e.attempt)).collect()
    }

    /// The lease begins anew.
    pub fn extended(&self, id: i64, at: Instant) {
        if let Some(entry) = self.lock().get_mut(&id) {
            entry.since = at;
        }
    }

    /// Ends all work and says what there was.
    pub fn begin_abort(&self) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for (id, entry) in self.lock().iter() {
            entry.abort.cancel();
            let list = if entry.started { &mut unfinished.started } else { &mut unfinished.not_started };
            list.push((*id, entry.attempt));
        }
        unfinished
    }
}
