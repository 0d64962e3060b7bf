//! `tradeflow test`.

use std::path::PathBuf;
use std::process::ExitCode;

use tradeflow_sidecar::db;
use tradeflow_sidecar::project::{test, Project};

use super::Context;

/// Run the project's tests
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow test
  tradeflow test welcome expiry          only tests whose file or name contains one of the words
  tradeflow test --junit junit.xml

The project's files are tested as they are, applied or not. Each test is a transaction that is rolled back: rows are given, something \
changes or time passes, and what must fire, wait and be sent is compared. Nothing is kept, nothing is sent. A superuser's tests \
run in databases made for the run, several at a time; others, and --in-place, in the database itself, one after another.
Exit code: 0 all passed, 1 something failed.")]
pub struct Args {
    /// Words that pick tests
    words: Vec<String>,
    /// How many tests at a time
    #[arg(long, value_name = "N", default_value_t = default_jobs(), value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// In the database itself instead of one made for the run; its sidecars should be stopped
    #[arg(long)]
    in_place: bool,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn default_jobs() -> u16 {
    std::thread::available_parallelism().map_or(2, |n| n.get().min(8) as u16)
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let (project, pool) = (Project::open(&config)?, db::Pool::new(&config)?);
    let Args { words, jobs, in_place, junit, json } = args;
    let options = test::Options { words, jobs: jobs.into(), in_place, junit };
    let tell = |tested: &test::Tested| {
        if !json {
            // That nobody reads on is seen at the end.
            let _ = super::say(&tested.text());
        }
    };
    let report = test::run(&project, &config, &pool, &options, tell).await?;
    match json {
        true => super::say_json(&report)?,
        false => super::say(&format!("\n{}", report.sum()))?,
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
