//! Log lines: to standard error, as text for people or as JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[error("`log` is not a filter: {0}\nhint: write a level (\"info\") or \"info,tradeflow_sidecar=debug\"")]
pub struct Error(String);

/// Begins logging; to be called once.
pub fn init(config: &Config) -> Result<(), Error> {
    // The verifier logs what its caller reports anyway.
    let quiet = format!("{},rustls_platform_verifier=off", config.log);
    let filter = EnvFilter::try_new(quiet).map_err(|e| Error(e.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal();
    match config.log_format {
        LogFormat::Text => builder.with_target(false).with_ansi(colours).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
    }
    .map_err(|e| Error(e.to_string()))
}
