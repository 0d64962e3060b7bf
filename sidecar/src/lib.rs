//! The sidecar of tradeflow: it claims what the database decided, acts, and reports back.

pub mod bigcommerce;
pub mod config;
pub mod db;
pub mod deliver;
pub mod doctor;
pub mod executor;
pub mod init;
pub mod load;
pub mod metrics;
pub mod render;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod tls;
pub mod trace;
