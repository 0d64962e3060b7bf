//! The sidecar of tradeflow: it claims what the database decided, acts, and reports back.

pub mod config;
pub mod db;
pub mod load;
pub mod render;
pub mod telemetry;
pub mod tls;
