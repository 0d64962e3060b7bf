//! `tradeflow apply`.

use std::process::ExitCode;

use tradeflow_sidecar::project::apply;

use super::plan::Shared;
use super::Context;

/// Make the database what the project's files say
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow apply
  tradeflow apply --prune --json

One transaction: everything is applied, or nothing. What no file says any more stays, unless --prune is given; rules of other \
projects, and rules of none, are left alone. What was changed in the database since the last apply is made again what the files \
say. Rows that are there already fire nothing. Exit code: 0 applied, or nothing to do; 1 nothing was changed.")]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
}

pub async fn run(Args { shared }: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (project, pool) = context.project()?;
    let done = apply::run(&project, &pool, shared.options()).await?;
    match shared.json {
        true => super::say_json(&done)?,
        false => super::say(&done.text())?,
    }
    Ok(ExitCode::SUCCESS)
}
