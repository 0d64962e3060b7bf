//! What the end-to-end tests stand on: real servers of their own, started and ended by each test.
//!
//! | module | gives |
//! |---|---|
//! | [`cluster`] | a private Postgres with the extension, shared by a whole run, or one a test may crash |
//! | [`database`] | a database of one's own, copied from a template, dropped at the end |
//! | [`sidecar`] | the `tradeflow` binary: run once, or kept running, killed, told to stop |
//! | [`mail`] | a real SMTP server that keeps what it gets and misbehaves on request |
//! | [`proxy`] | a TCP proxy that cuts and silences connections |
//! | [`golden`] | files that say what is, compared or written anew |
//! | [`http`] | an HTTP server that records requests and gives scripted answers |
//! | [`rules`] | tables with rules, and what fired |
//! | [`jobs`] | a table each change of which is an action |
//! | [`project`] | a project's folder, with the program run in it |
//! | [`sync`] | `tradeflow sync` of a fake store |
//! | [`eventually`] | waiting for what another process does |
//!
//! ```no_run
//! use tradeflow_tests::database::Database;
//!
//! # async fn example() {
//! let db = Database::with_extension().await; // dropped when `db` is
//! db.sql("create table t (id int primary key, n int)").await;
//! db.sql("select tradeflow.watch('t')").await;
//! let other = db.connect().await; // a second session
//! other.batch_execute("insert into t values (1, 1)").await.unwrap();
//! assert_eq!(db.one::<i64>("select count(*) from tradeflow.outbox").await, 0);
//! # }
//! ```
//!
//! The run's Postgres is the one that `TRADEFLOW_TEST_PG` names (libpq words, a superuser), which `make test` sets;
//! without it every test process starts its own, so `cargo test -p tradeflow-tests` works too, more slowly.

pub mod cluster;
pub mod database;
pub mod eventually;
pub mod golden;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod process;
pub mod project;
pub mod proxy;
pub mod random;
pub mod rules;
pub mod sidecar;
pub mod storefront;
pub mod sync;
