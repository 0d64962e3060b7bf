//! What keeps a repeated execution from harming. Each kind implements one of the traits of operations here, and the
//! strategy of it does the rest: docs/actions/README.md has the table of what happens when a sidecar dies at each point.
//!
//! | strategy | of a kind that can | a repeat |
//! |---|---|---|
//! | [`ClaimOnce`] | prepare, then send what cannot be taken back | is not made: the outcome is a person's to find out |
//! | [`UpsertByKey`] | write under a key that the other side keeps unique | writes the same again |
//! | [`AbsoluteSet`] | read what is there, and set it outright | reads first, and finds it done |
//! | [`LookUpFirst`] | find what it would create | finds it |
//! | [`DeterministicId`] | create under a name that follows from the action | is refused as already there, and finds it |

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{json, Map, Value as Json};

use super::lock::Held;
use super::{Deliver, Done, Failure, Job, Start, System, Tools};
use crate::bigcommerce::value::same;

/// A way of executing.
pub trait Strategy {
    /// As `action_kinds.delivery` says it.
    const NAME: &'static str;

    /// Executes; the result.
    fn execute(self, start: &(dyn Start + Sync)) -> impl Future<Output = Result<Json, Failure>> + Send;
}

/// What cannot be taken back, nor asked for afterwards.
pub trait Irrevocable: Send + Sync {
    /// What sending needs, with everything that can fail harmlessly behind it.
    type Ready: Send;
    fn prepare(&self) -> impl Future<Output = Result<Self::Ready, Failure>> + Send;
    fn send(&self, ready: Self::Ready) -> impl Future<Output = Result<Json, Failure>> + Send;
    /// The lease was lost in between.
    fn give_up(&self, ready: Self::Ready) -> impl Future<Output = ()> + Send;
}

/// Started in the database before it is sent, and never sent again by itself after that.
pub struct ClaimOnce<T>(pub T);

/// As `action_kinds.delivery` says it.
pub const CLAIM_ONCE: &str = "claim_once";

impl<T: Irrevocable> Strategy for ClaimOnce<T> {
    const NAME: &'static str = CLAIM_ONCE;

    async fn execute(self, start: &(dyn Start + Sync)) -> Result<Json, Failure> {
        let ready = self.0.prepare().await?;
        if !start.start().await? {
            self.0.give_up(ready).await;
            return Err(Failure::lost());
        }
        self.0.send(ready).await
    }
}

/// What the other side keeps under a unique key.
pub trait Upsert: Send + Sync {
    fn upsert(&self) -> impl Future<Output = Result<Json, Failure>> + Send;
}

/// Written again as often as need be.
pub struct UpsertByKey<T>(pub T);

impl<T: Upsert> Strategy for UpsertByKey<T> {
    const NAME: &'static str = "upsert_by_key";

    async fn execute(self, _: &(dyn Start + Sync)) -> Result<Json, Failure> {
        self.0.upsert().await
    }
}

/// Values that are set outright.
pub trait Setting: Send + Sync {
    /// Nobody else of ours may write between reading and writing.
    fn lock(&self) -> impl Future<Output = Result<Option<Held>, Failure>> + Send {
        async { Ok(None) }
    }
    /// The values as they are, under the names that `wanted` uses.
    fn read(&self) -> impl Future<Output = Result<Map<String, Json>, Failure>> + Send;
    /// Whether it is still wanted, now that what is there is known; else [`Failure::cancelled`]. Not asked when all of it is
    /// there: it may have been an attempt before that set it, and the steps after it are to follow.
    fn permit(&self, _now: &Map<String, Json>) -> Result<(), Failure> {
        Ok(())
    }
    /// The values as they must be, and nothing else.
    fn wanted(
        &self,
        now: &Map<String, Json>,
    ) -> impl Future<Output = Result<Map<String, Json>, Failure>> + Send;
    /// Sets those that differ.
    fn write(
        &self,
        now: &Map<String, Json>,
        differing: &Map<String, Json>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Whether what is read afterwards shows that a value was taken.
    fn taken(&self, _name: &str, wanted: &Json, after: &Json) -> bool {
        same(wanted, after)
    }
    /// What its result says besides.
    fn result(&self) -> Map<String, Json> {
        Map::new()
    }
    /// All of it is there.
    fn settled(&self, _after: &Map<String, Json>) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }
}

/// Reads, writes what differs, and reads again: read-only and unknown fields are answered with success and ignored.
pub struct AbsoluteSet<T>(pub T);

impl<T: Setting> Strategy for AbsoluteSet<T> {
    const NAME: &'static str = "absolute_set";

    async fn execute(self, _: &(dyn Start + Sync)) -> Result<Json, Failure> {
        let setting = self.0;
        let lock = setting.lock().await?;
        let result = set(&setting, lock.as_ref()).await;
        if let Some(lock) = lock {
            lock.release().await;
        }
        result
    }
}

async fn set<T: Setting>(setting: &T, lock: Option<&Held>) -> Result<Json, Failure> {
    let now = setting.read().await?;
    let wanted = setting.wanted(&now).await?;
    let missing = Json::Null;
    let differing: Map<String, Json> = wanted
        .iter()
        .filter(|(name, value)| !same(value, now.get(*name).unwrap_or(&missing)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let before: Map<String, Json> =
        differing.keys().map(|name| (name.clone(), now.get(name).cloned().unwrap_or_default())).collect();
    if differing.is_empty() {
        setting.settled(&now).await?;
        return Ok(with(setting.result(), json!({"changed": {}, "before": {}, "skipped": true})));
    }
    setting.permit(&now)?;
    if let Some(lock) = lock {
        lock.check().await?;
    }
    setting.write(&now, &differing).await?;
    let after = setting.read().await?;
    let ignored: Vec<&str> = differing
        .iter()
        .filter(|(name, value)| !setting.taken(name, value, after.get(*name).unwrap_or(&missing)))
        .map(|(name, _)| name.as_str())
        .collect();
    if !ignored.is_empty() {
        return Err(Failure::dead(format!(
            "success was answered, but what is read back is not what was written: {}; the field may be read-only, or somebody changed it at the same moment",
            ignored.join(", ")
        )));
    }
    setting.settled(&after).await?;
    Ok(with(setting.result(), json!({"changed": differing, "before": before, "skipped": false})))
}

fn with(more: Map<String, Json>, mut result: Json) -> Json {
    if let Some(map) = result.as_object_mut() {
        map.extend(more);
    }
    result
}

/// What can be found before it is created.
pub trait Creation: Send + Sync {
    /// Nobody else of ours may create between looking and creating.
    fn lock(&self) -> impl Future<Output = Result<Option<Held>, Failure>> + Send {
        async { Ok(None) }
    }
    /// The result, when it is there.
    fn find(&self) -> impl Future<Output = Result<Option<Json>, Failure>> + Send;
    /// Creates it; the result.
    fn create(&self) -> impl Future<Output = Result<Created, Failure>> + Send;
}

/// What came of creating.
pub enum Created {
    New(Json),
    /// It is there already, the other side says.
    Exists(Failure),
}

/// Looks for it, and creates it when it is not there. After an unknown outcome the next attempt looks again.
pub struct LookUpFirst<T>(pub T);

impl<T: Creation> Strategy for LookUpFirst<T> {
    const NAME: &'static str = "look_up_first";

    async fn execute(self, _: &(dyn Start + Sync)) -> Result<Json, Failure> {
        let creation = self.0;
        let lock = creation.lock().await?;
        let result = async {
            match creation.find().await? {
                Some(found) => Ok(marked(found, false)),
                None => create(&creation, lock.as_ref()).await,
            }
        };
        let result = result.await;
        if let Some(lock) = lock {
            lock.release().await;
        }
        result
    }
}

/// Creates it under its name; what is there under it already is the same.
pub struct DeterministicId<T>(pub T);

impl<T: Creation> Strategy for DeterministicId<T> {
    const NAME: &'static str = "deterministic_id";

    async fn execute(self, _: &(dyn Start + Sync)) -> Result<Json, Failure> {
        create(&self.0, None).await
    }
}

async fn create<T: Creation>(creation: &T, lock: Option<&Held>) -> Result<Json, Failure> {
    if let Some(lock) = lock {
        lock.check().await?;
    }
    match creation.create().await? {
        Created::New(made) => Ok(marked(made, true)),
        Created::Exists(failure) => match creation.find().await? {
            Some(found) => Ok(marked(found, false)),
            None => Err(failure),
        },
    }
}

fn marked(mut result: Json, created: bool) -> Json {
    if let Some(map) = result.as_object_mut() {
        map.insert("created".into(), created.into());
    }
    result
}

/// One execution of a kind: what its parameters say, ready for its strategy.
pub trait Operation: Sized + Send {
    type Strategy: Strategy + From<Self> + Send;

    /// The system its target must be of.
    const SYSTEM: System;

    /// Reads the job's parameters.
    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Self, Failure>;
}

/// A kind that is an [`Operation`] and its strategy.
pub struct Kind<T> {
    name: &'static str,
    tools: Arc<Tools>,
    operation: PhantomData<fn() -> T>,
}

/// The kind of this name.
pub fn kind<T: Operation + 'static>(tools: &Arc<Tools>, name: &'static str) -> Box<dyn Deliver> {
    Box::new(Kind::<T> { name, tools: tools.clone(), operation: PhantomData })
}

impl<T: Operation> Deliver for Kind<T> {
    fn kind(&self) -> &'static str {
        self.name
    }

    fn system(&self) -> Option<System> {
        Some(T::SYSTEM)
    }

    fn delivery(&self) -> &'static str {
        T::Strategy::NAME
    }

    fn deliver<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let operation = T::read(&self.tools, &job)?;
            let mut result = T::Strategy::from(operation).execute(job.start).await?;
            if let Some(map) = result.as_object_mut() {
                map.insert("request".into(), job.params);
            }
            Ok(Done::Result(result))
        })
    }
}

macro_rules! wraps {
    ($($strategy:ident),*) => {$(
        impl<T> From<T> for $strategy<T> {
            fn from(operation: T) -> Self {
                $strategy(operation)
            }
        }
    )*};
}
wraps!(ClaimOnce, UpsertByKey, AbsoluteSet, LookUpFirst, DeterministicId);
