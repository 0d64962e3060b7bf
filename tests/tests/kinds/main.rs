//! Each kind of action, through the real sidecar and the real Postgres, against fakes that keep state.

mod bigcommerce;
mod contract;
mod database;
mod hubspot;
mod mail;
mod meanwhile;
mod scene;
mod sheets;
mod storefront;
