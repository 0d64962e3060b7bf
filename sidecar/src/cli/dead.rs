//! `tradeflow dead`: what failed for good and waits for a person.

use std::process::ExitCode;

use clap::Subcommand;

use super::change::{self, Change};
use super::select::{Filter, Selection, State};
use super::{outbox, Context};

/// Dead actions: list, retry, discard
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Retry(Retry),
    Discard(Discard),
}

/// List what is dead or uncertain, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow dead list
  tradeflow dead list --target erp --json

uncertain: it was being sent when the sidecar was lost; it may have arrived.")]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print them as JSON: {actions, more}
    #[arg(long)]
    json: bool,
}

/// Execute dead actions again, once their cause is mended
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow dead retry 4711
  tradeflow dead retry --rule big_quote
  tradeflow dead retry --target erp
  tradeflow dead retry --all --yes

Uncertain ones only by id: find out first whether they arrived.
Exit code: 1 when an action named by id was left as it is (and why).")]
struct Retry {
    #[command(flatten)]
    selection: Selection,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

/// Give dead actions up: they move to the history as cancelled
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow dead discard 4711 --reason 'the customer is gone'
  tradeflow dead discard --rule big_quote --since 7d

Uncertain ones only by id. Exit code: 1 when an action named by id was left as it is (and why).")]
struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept with the action
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(List { filter, limit, json }) => {
            let state = vec![State::Dead, State::Uncertain];
            outbox::list(&outbox::List { filter, state, limit, json }, context).await
        }
        Command::Retry(Retry { selection, json }) => {
            change::run(Change::Retry, &selection, &["dead"], None, json, context).await
        }
        Command::Discard(Discard { selection, reason, json }) => {
            change::run(Change::Cancel, &selection, &["dead"], reason.as_deref(), json, context).await
        }
    }
}
