//! Each kind of action, through the real sidecar and the real Postgres, against fakes that keep state.

mod answers;
mod bigcommerce;
mod contract;
mod credit;
mod database;
mod hubspot;
mod kills;
mod mail;
mod meanwhile;
mod refusals;
mod scene;
mod sheets;
mod storefront;
mod table;
