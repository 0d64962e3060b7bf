//! `tradeflow init`.

use std::process::ExitCode;

use tradeflow_sidecar::init;

use super::Context;

/// Set up a database: the extension, schema store, what is watched
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow init --database-url postgres://postgres@localhost:5432/shop
  tradeflow init --schema-only          (tables only: a copy for reports, a database without the extension)

It may be repeated at any time. Creating the extension needs a superuser, or somebody who ran \
`create extension tradeflow` before; the tables need the right to create schemas in the database.")]
pub struct Args {
    /// Only the tables: no extension, nothing watched
    #[arg(long)]
    schema_only: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let done = init::run(args.schema_only, &context.pool()?).await?;
    match args.json {
        true => super::say_json(&done)?,
        false => super::say(&done.text())?,
    }
    Ok(ExitCode::SUCCESS)
}
