//! The extension itself: which changes fire which rules, and what never happens. One topic a module.

mod changes;
mod columns;
mod dump;
mod errors;
mod facts;
mod hijack;
mod options;
mod oracle;
mod partitions;
mod query;
mod reentrancy;
mod rights;
mod settings;
mod statements;
mod timers;
mod transactions;
