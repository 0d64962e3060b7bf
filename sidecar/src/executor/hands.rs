//! How much this sidecar takes of which target: a slow destination fills its own hand, never that of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{json, Value as Json};
use tokio::sync::Semaphore;

/// Claimed ahead is what is executed within this time. More would only wait here, where no other sidecar can have it.
const AHEAD: Duration = Duration::from_millis(100);

/// What is claimed and not executed yet, by target; actions without one are a target of their own.
pub struct Hands {
    /// Executions of one target at the same time.
    at_once: usize,
    /// Never more of one target in hand.
    most: usize,
    targets: Mutex<HashMap<String, Hand>>,
}

struct Hand {
    held: usize,
    slots: Arc<Semaphore>,
    /// How long an execution takes, in seconds, the last ones counting most. None was measured: slow.
    takes: f64,
}

impl Hands {
    pub fn new(at_once: usize, most: usize) -> Hands {
        Hands { at_once, most: most.max(at_once), targets: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Hand>> {
        self.targets.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes an action into the hand; it is executed under one of these slots.
    pub fn take(&self, target: &str) -> Arc<Semaphore> {
        let mut targets = self.lock();
        if let Some(hand) = targets.get_mut(target) {
            hand.held += 1;
            return hand.slots.clone();
        }
        let slots = Arc::new(Semaphore::new(self.at_once));
        targets.insert(target.to_owned(), Hand { held: 1, slots: slots.clone(), takes: f64::INFINITY });
        slots
    }

    /// An execution took this long.
    pub fn executed(&self, target: &str, took: Duration) {
        if let Some(hand) = self.lock().get_mut(target) {
            let took = took.as_secs_f64();
            hand.takes = if hand.takes.is_finite() { hand.takes * 0.9 + took * 0.1 } else { took };
        }
    }

    /// An action leaves the hand.
    pub fn leave(&self, target: &str) {
        if let Some(hand) = self.lock().get_mut(target) {
            hand.held = hand.held.saturating_sub(1);
        }
    }

    /// How many more of which target, as `claim()` wants it: at least what can be executed at once, more where that is quick.
    pub fn room(&self) -> Json {
        let targets = self.lock();
        let of_each = targets.iter().map(|(name, hand)| {
            let quick = (self.at_once as f64 * AHEAD.as_secs_f64() / hand.takes.max(1e-6)) as usize;
            let most = quick.clamp(self.at_once, self.most);
            (name.clone(), json!(most.saturating_sub(hand.held)))
        });
        of_each.chain([("*".to_owned(), json!(self.at_once))]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_target_is_claimed_ahead_and_a_slow_one_is_not() {
        let hands = Hands::new(32, 1000);
        assert_eq!(hands.room(), json!({"*": 32}));
        for _ in 0..20 {
            hands.take("slow");
            hands.take("");
        }
        assert_eq!(hands.room(), json!({"*": 32, "slow": 12, "": 12}), "nothing is known of them yet");
        hands.executed("", Duration::from_micros(5));
        hands.executed("slow", Duration::from_secs(5));
        assert_eq!(hands.room(), json!({"*": 32, "slow": 12, "": 980}));
        hands.executed("quick", Duration::from_millis(1));
        for _ in 0..20 {
            hands.leave("slow");
        }
        assert_eq!(hands.room()["slow"], 32);
        hands.leave("slow");
        assert_eq!(hands.room()["slow"], 32);
    }

    #[test]
    fn executions_of_one_target_share_its_slots() {
        let hands = Hands::new(2, 10);
        let slots = hands.take("there");
        let _held = slots.clone().try_acquire_many_owned(2).unwrap();
        assert!(hands.take("there").try_acquire().is_err());
        assert!(hands.take("elsewhere").try_acquire().is_ok());
    }
}
