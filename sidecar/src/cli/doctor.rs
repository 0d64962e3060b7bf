//! `tradeflow doctor`.

use std::process::ExitCode;

use tradeflow_sidecar::doctor;

use super::Context;

/// Say what is wrong, and how to mend it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow doctor
  tradeflow doctor --json | jq '.findings[] | select(.level == \"problem\")'

Run it where the sidecar runs, with the sidecar's configuration and environment: secrets and targets are looked at \
from here. Nothing is changed and nothing is sent. Exit code: 0 nothing is wrong, 1 something is.")]
pub struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let report = doctor::run(&context.config()?).await;
    match args.json {
        true => super::say_json(&report)?,
        false => super::say(&report.text())?,
    }
    Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
