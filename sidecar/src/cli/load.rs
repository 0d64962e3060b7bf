//! `tradeflow load`.

use std::path::PathBuf;
use std::process::ExitCode;

use tradeflow_sidecar::load::{self, Kind, Options};

use super::Context;

/// Load BigCommerce payload files into the store tables
#[derive(clap::Args)]
#[command(after_help = "\
The kind of a payload is told by its shape, else by its file name or the nearest folder: companies, company-users, \
sales-staff, quotes, orders, b2b-orders. Envelopes {code, data, meta}, {list: […]}, arrays and one document a line are \
unpacked. Loading the same files again changes nothing and fires nothing; a payload older than the stored row is \
left out.

Examples:
  tradeflow load sidecar/samples/store
  tradeflow load --dry-run --json quotes.ndjson
  curl … | tradeflow load --kind quotes /dev/stdin

Exit code: 0 everything was loaded, 1 something was rejected or the database could not be reached.")]
pub struct Args {
    /// Payload files (.json, .ndjson, .jsonl), or directories with such files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Take every payload as this kind, whatever its shape and folder
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Load nothing of a file of which something is rejected
    #[arg(long)]
    strict: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// How many payloads go into one transaction
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch_size: u32,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Args { paths, kind, dry_run, strict, json, batch_size } = args;
    let options = Options { paths, kind, dry_run, strict, json, batch_size };
    load::run(options, &context.pool()?).await?;
    Ok(ExitCode::SUCCESS)
}
