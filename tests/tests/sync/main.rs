//! `tradeflow sync` and webhooks, against the fake of BigCommerce.

mod bad_input;
mod hooks;
mod incremental;
mod kills;
mod resources;
mod shop;
