//! What the outbox promises, and a model that is searched for a way to break it. `docs/invariants.md` has the promises in
//! words, and where the product keeps each.
//!
//! | module | holds |
//! |---|---|
//! | [`monitor`] | the promises, as a machine that is told every event and says which promise one breaks |
//! | [`outbox`] | the database's half: the SQL functions, one step each |
//! | [`state`] | a moment of the whole: table, workers, network |
//! | [`system`] | workers that crash, a network that loses and delays, people; everything that can happen, for the checker |
//! | [`properties`] | what the checker is asked about them |
//! | [`wake`] | who is told that something is ready: a small model of its own |
//! | [`broken`] | the same system with one thing done wrong: proof that the search finds what it looks for |
//!
//! The crash tests tell the same monitor what happened to a real outbox (`tests/tests/chaos/trace.rs`).

pub mod broken;
pub mod monitor;
pub mod outbox;
pub mod properties;
pub mod state;
pub mod system;
pub mod wake;
