//! Actions that are executed at the same time become one request, where an API takes several.
//!
//! The first to come for a lane waits a moment for others, then all of them go out together; who comes meanwhile goes with
//! the next. Two for the same thing are never in one batch: the second waits, so the order between them stays.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Failure;

/// Collects items by lane.
pub struct Batcher<I, O> {
    lanes: Mutex<HashMap<String, VecDeque<Waiting<I, O>>>>,
    gather: Duration,
    most: usize,
}

struct Waiting<I, O> {
    unique: String,
    item: I,
    answer: oneshot::Sender<Result<O, Failure>>,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// At most `most` in one batch; `gather` is how long the first of a batch waits for others.
    pub fn new(most: usize, gather: Duration) -> Batcher<I, O> {
        Batcher { lanes: Mutex::default(), gather, most }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Waiting<I, O>>>> {
        self.lanes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands an item over and waits for its outcome. `run` executes a batch, and answers for each item in their order; that
    /// of the one who begins a lane is used until the lane is empty.
    pub async fn submit<F, Fut>(
        self: &Arc<Self>,
        lane: &str,
        unique: String,
        item: I,
        run: F,
    ) -> Result<O, Failure>
    where
        F: Fn(Vec<I>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Result<O, Failure>>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut lanes = self.lanes();
            let begins = !lanes.contains_key(lane);
            lanes.entry(lane.to_owned()).or_default().push_back(Waiting { unique, item, answer });
            begins
        };
        if begins {
            // A task of its own: when this action is given up, the others of the batch go on.
            tokio::spawn(self.clone().work(lane.to_owned(), run));
        }
        answered.await.unwrap_or_else(|_| Err(Failure::retry("the batch it was in came to no end")))
    }

    async fn work<F, Fut>(self: Arc<Self>, lane: String, run: F)
    where
        F: Fn(Vec<I>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Result<O, Failure>>> + Send + 'static,
    {
        // Should `run` panic, nobody may be left waiting in a lane that nobody works on.
        let _leaving = Leaving { batcher: self.clone(), lane: lane.clone() };
        loop {
            tokio::time::sleep(self.gather).await;
            let (items, answers) = match self.take(&lane) {
                Some(batch) => batch,
                None => return,
            };
            let mut outcomes = run(items).await.into_iter();
            for answer in answers {
                let outcome =
                    outcomes.next().unwrap_or_else(|| Err(Failure::retry("the batch says nothing of it")));
                // Whoever does not listen any more has lost its lease.
                let _ = answer.send(outcome);
            }
        }
    }

    /// The next batch; none ends the lane.
    #[allow(clippy::type_complexity)]
    fn take(&self, lane: &str) -> Option<(Vec<I>, Vec<oneshot::Sender<Result<O, Failure>>>)> {
        let mut lanes = self.lanes();
        let waiting = lanes.get_mut(lane)?;
        let (mut items, mut answers, mut later) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut seen = HashSet::new();
        while let Some(one) = waiting.pop_front() {
            if one.answer.is_closed() {
                continue;
            }
            // Once one waits for the next batch, those like it behind it wait too.
            if seen.insert(one.unique.clone()) && items.len() < self.most {
                items.push(one.item);
                answers.push(one.answer);
            } else {
                later.push_back(one);
            }
        }
        *waiting = later;
        if items.is_empty() {
            lanes.remove(lane);
            return None;
        }
        Some((items, answers))
    }
}

struct Leaving<I: Send + 'static, O: Send + 'static> {
    batcher: Arc<Batcher<I, O>>,
    lane: String,
}

impl<I: Send + 'static, O: Send + 'static> Drop for Leaving<I, O> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.batcher.lanes().remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_of_one_moment_go_together_and_twins_apart() {
        let batcher = Arc::new(Batcher::<&'static str, usize>::new(3, Duration::from_millis(20)));
        let submit = |unique: &'static str, item: &'static str| {
            let batcher = batcher.clone();
            tokio::spawn(async move {
                let run =
                    |items: Vec<&'static str>| async move { items.iter().map(|_| Ok(items.len())).collect() };
                batcher.submit("lane", unique.to_owned(), item, run).await.unwrap()
            })
        };
        let all = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("d", "5"), ("a", "6")]
            .map(|(u, i)| submit(u, i));
        let mut sizes = Vec::new();
        for one in all {
            sizes.push(one.await.unwrap());
        }
        // a1 b2 c4 | a3 d5 | a6
        assert_eq!(sizes, [3, 3, 2, 3, 2, 1]);
    }

    #[tokio::test]
    async fn each_gets_its_own_outcome() {
        let batcher = Arc::new(Batcher::<u32, u32>::new(10, Duration::from_millis(20)));
        let run = |items: Vec<u32>| async move {
            items.into_iter().map(|n| if n == 2 { Err(Failure::dead("two")) } else { Ok(n * 10) }).collect()
        };
        let (one, two) =
            tokio::join!(batcher.submit("l", "1".into(), 1, run), batcher.submit("l", "2".into(), 2, run));
        assert_eq!(one.unwrap(), 10);
        assert_eq!(two.unwrap_err().message, "two");
    }
}
