//! `tradeflow kinds`: the kinds of action.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{json, Value as Json};

use super::pause::Pausable;
use super::query::{self, number, text};
use super::table::Table;
use super::Context;

/// Kinds of action: list them with who executes them, pause, resume
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Pause(Pause),
    Resume(Resume),
}

/// List kinds: whether a sidecar executes them, what keeps a repeat from harming, what of them is open
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow kinds list
  tradeflow kinds list --json | jq '.kinds[] | select(.status != \"ok\") | {kind, status, reason}'

STATUS: ok; paused, by a person; no_sidecar, none that runs executes it. docs/actions says what each delivery promises.")]
struct List {
    /// Print them as JSON: {kinds}
    #[arg(long)]
    json: bool,
}

/// Execute no more actions of a kind until it is resumed; the others go on
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tradeflow kinds pause email --reason 'the footer is wrong'")]
struct Pause {
    /// The kind
    #[arg(value_name = "KIND")]
    kind: String,
    /// Why, for others who ask
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print what it is now as JSON: {kind, paused, changed}
    #[arg(long)]
    json: bool,
}

/// Execute actions of a paused kind again
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tradeflow kinds resume email")]
struct Resume {
    /// The kind
    #[arg(value_name = "KIND")]
    kind: String,
    /// Print what it is now as JSON: {kind, paused, changed}
    #[arg(long)]
    json: bool,
}

const KIND: Pausable = Pausable {
    noun: "kind",
    command: "kinds",
    pause: "select tradeflow.pause_kind($1, $2)",
    resume: "select tradeflow.resume_kind($1)",
    resumed: "is executed again",
    not_paused: "is not paused",
};

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(list) => self::list(&list, context).await,
        Command::Pause(Pause { kind, reason, json }) => {
            KIND.pause(&kind, reason.as_deref(), json, context).await
        }
        Command::Resume(Resume { kind, json }) => KIND.resume(&kind, json, context).await,
    }
}

async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let kinds = query::rows(&mut client, include_str!("../db/operator/kinds.sql"), &[]).await?;
    match args.json {
        true => super::say_json(&json!({ "kinds": kinds }))?,
        false => super::say(&table(&kinds).text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(kinds: &[Json]) -> Table {
    let mut table =
        Table::new(&["KIND", "STATUS", "DELIVERY", ">READY", ">RUNNING", ">WAITING", ">DEAD", "WHAT"]);
    for kind in kinds {
        table.row([
            text(kind, "kind"),
            text(kind, "status"),
            text(kind, "delivery"),
            number(kind, "ready").to_string(),
            number(kind, "running").to_string(),
            number(kind, "waiting").to_string(),
            (number(kind, "dead") + number(kind, "uncertain")).to_string(),
            text(kind, "reason"),
        ]);
    }
    table
}
