//! The sidecar of tradeflow: it claims what the database decided, acts, and reports back.

pub mod api;
pub mod bigcommerce;
pub mod config;
pub mod db;
pub mod deliver;
pub mod doctor;
pub mod executor;
pub mod google;
pub mod hubspot;
pub mod init;
pub mod load;
pub mod metrics;
pub mod project;
pub mod render;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod store;
pub mod storefront;
pub mod sync;
pub mod telemetry;
pub mod tls;
pub mod trace;
