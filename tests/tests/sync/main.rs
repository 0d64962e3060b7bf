//! `tradeflow sync` and webhooks, against the fakes of BigCommerce and Google.

mod bad_input;
mod hooks;
mod incremental;
mod kills;
mod resources;
mod round_trip;
mod sheets;
mod shop;
