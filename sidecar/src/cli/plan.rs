//! `tradeflow plan`.

use std::process::ExitCode;
use std::time::Duration;

use tradeflow_sidecar::project::plan::{self, Options};

use super::Context;

/// The exit code of a plan that would change something.
const CHANGES: u8 = 3;

/// Show what apply would change in the database
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow plan
  tradeflow plan --prune --json | jq '.changes[] | .what + \" \" + .kind + \" \" + .name'
  tradeflow plan || [ $? -eq 3 ]        in CI: changes are fine, mistakes are not

Run in a project's folder (see tradeflow new). The files are run in a transaction that is rolled back, so what is shown is what \
apply does. Exit code: 0 the database is what the files say, 3 apply would change it, 1 the files have a mistake.")]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
}

/// Flags of plan and apply.
#[derive(clap::Args)]
pub struct Shared {
    /// Also remove what no file says any more
    #[arg(long)]
    prune: bool,
    /// How long to wait for another plan or apply
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Print the changes as JSON
    #[arg(long)]
    pub json: bool,
}

impl Shared {
    pub fn options(&self) -> Options {
        Options { prune: self.prune, wait: self.wait }
    }
}

pub async fn run(Args { shared }: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (project, pool) = context.project()?;
    let plan = plan::run(&project, &pool, shared.options()).await?;
    match shared.json {
        true => super::say_json(&plan)?,
        false => super::say(&plan.text())?,
    }
    Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}
