//! tradeflow, the part inside Postgres: rules over changed rows.
//!
//! What happens to a changed row, in the order of these modules:
//!
//! 1. [`observe`] is called for each changed row, while old and new are in the executor's slots. It asks
//!    [`change`] what changed and [`index`] which rules that can concern; for most rows, none.
//! 2. Rows that concern a rule are kept by [`pending`]; at the end of the statement [`flush`] has
//!    [`evaluate`] answer them, as the rule's owner ([`owner`]), errors isolated ([`subtransaction`]);
//!    [`query`] runs the queries of rules that have one. What they say are [`results`]; the
//!    row that they say it about becomes [`facts`].
//! 3. [`outbox`] writes the firings, in one insert.
//!
//! [`fire`] makes firings without a change: a backfill, or a [`schedule`]. What time it is for rules: [`clock`]; what people have set: [`settings`]. In a session whose [`mode`] is silent none are made.
//! Rules over several rows ask a view, at the end of the transaction: [`view`]. What failed becomes an [`incident`].
//!
//! Rules come from [`definition`], are compiled by [`mod@compile`] and kept per backend by [`cache`], until what they are made of changes:
//! [`invalidation`].
//! [`call`] runs the function of an action of kind `sql`. [`check`], [`still`] and [`template`] are what the SQL API calls when a rule
//! is written or a timer is due; [`statements`] reads the files of a project. tradeflow's own tables are found and read without a statement by [`own`] and [`small_table`].
//!
//! The SQL side is in `sql/` at the root, one topic a file; nothing here creates SQL objects.

mod cache;
mod call;
mod change;
mod change_log;
mod check;
mod clock;
mod compile;
mod definition;
mod dependencies;
mod error;
mod evaluate;
mod facts;
mod fire;
mod flush;
mod incident;
mod index;
mod invalidation;
mod mode;
mod observe;
mod outbox;
mod own;
mod owner;
mod partition;
mod parts;
mod pending;
mod query;
mod read_as;
mod replay;
mod results;
mod schedule;
mod settings;
mod small_table;
mod spi;
mod statements;
mod still;
mod subtransaction;
mod template;
mod view;

pgrx::pg_module_magic!();
