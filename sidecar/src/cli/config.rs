//! `tradeflow config`.

use std::process::ExitCode;

use tradeflow_sidecar::config::DEFAULT_FILE;

/// Print the default configuration, every key explained
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tradeflow config > tradeflow.toml")]
pub struct Args {}

pub fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    super::say(DEFAULT_FILE.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
