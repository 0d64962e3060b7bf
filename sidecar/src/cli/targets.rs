//! `tradeflow targets`: the destinations.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use futures_util::future::join_all;
use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;
use tradeflow_sidecar::doctor::{targets as examined, Level, Report};
use tradeflow_sidecar::{db, deliver};

use super::pause::Pausable;
use super::query::{self, number, text};
use super::table::Table;
use super::{when, Context};

/// Destinations: list, pause, resume, test
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
    Test(Test),
}

/// List targets with what waits for them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow targets list
  tradeflow targets list --json | jq '.targets[] | select(.lag_seconds > 60)'")]
struct List {
    /// Print them as JSON: {targets}
    #[arg(long)]
    json: bool,
}

/// Send nothing to a target until it is resumed; the others go on
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tradeflow targets pause erp --reason 'maintenance until 18:00'")]
struct Pause {
    /// The target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Why, for others who ask
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print what it is now as JSON: {target, paused, changed}
    #[arg(long)]
    json: bool,
}

/// Send to a target again that is paused, that asked for patience, or whose circuit breaker is open
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow targets resume erp
  tradeflow outbox retry --target erp     what was told to wait does not wait any more

An open breaker lets one action try at once; whether it closes is for that one to say.")]
struct Resume {
    /// The target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Print what it is now as JSON: {target, paused, changed}
    #[arg(long)]
    json: bool,
}

/// Really connect to targets, and say what is wrong
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow targets test
  tradeflow targets test erp smtp
  tradeflow targets test --json | jq '.findings[] | select(.level == \"problem\")'

SMTP: connects, greets, encrypts, logs in, leaves. HTTP: asks for the head of base_url with the target's credentials.
BigCommerce, HubSpot, Google: reads something small with the token, where each kind of action that uses the target would write.
Nothing is sent and nothing is changed. Run it where the sidecar runs: secrets are read from here.
Exit code: 0 nothing is wrong, 1 something is.")]
struct Test {
    /// These targets [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Print the findings as JSON: {healthy, findings}
    #[arg(long)]
    json: bool,
}

const TARGET: Pausable = Pausable {
    noun: "target",
    command: "targets",
    pause: "select tradeflow.pause_target($1, $2)",
    resume: "select tradeflow.resume_target($1)",
    resumed: "is sent to",
    not_paused: "is not paused, and nothing else stops it",
};

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(list) => self::list(&list, context).await,
        Command::Pause(Pause { target, reason, json }) => {
            TARGET.pause(&target, reason.as_deref(), json, context).await
        }
        Command::Resume(Resume { target, json }) => TARGET.resume(&target, json, context).await,
        Command::Test(test) => self::test(&test, context).await,
    }
}

async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let none: Option<String> = None;
    let sql = include_str!("../db/operator/targets.sql");
    let targets = query::rows(&mut client, sql, &[(&none, Type::TEXT)]).await?;
    if args.json {
        super::say_json(&json!({ "targets": targets }))?;
    } else if targets.is_empty() {
        super::say("there is none: insert into tradeflow.targets")?;
    } else {
        super::say(&table(&targets).text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(targets: &[Json]) -> Table {
    let mut table = Table::new(&[
        "TARGET", "SYSTEM", "STATUS", ">READY", ">RUNNING", ">WAITING", ">DEAD", ">LAG", "BASE URL", "WHAT",
    ]);
    for target in targets {
        table.row([
            text(target, "target"),
            text(target, "system"),
            text(target, "status"),
            number(target, "ready").to_string(),
            number(target, "running").to_string(),
            number(target, "waiting").to_string(),
            (number(target, "dead") + number(target, "uncertain")).to_string(),
            when::rough_seconds(target, "lag_seconds"),
            text(target, "base_url"),
            text(target, "reason"),
        ]);
    }
    table
}

async fn test(args: &Test, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let client = db::Pool::new(&config)?.get().await?;
    let mut targets = examined::all(&client).await?;
    if let Some(unknown) = args.targets.iter().find(|name| !targets.iter().any(|t| t.name == **name)) {
        let known: Vec<&str> = targets.iter().map(|t| t.name.as_str()).collect();
        bail!("there is no target \"{unknown}\"\nhint: there are {}", known.join(", "));
    }
    targets.retain(|target| args.targets.is_empty() || args.targets.contains(&target.name));
    let examiner = examined::Examiner::new(&config).map_err(anyhow::Error::msg)?;
    let uses = examined::uses(&client).await?;
    let found =
        join_all(targets.iter().map(|target: &deliver::Target| examiner.examine(target, &uses))).await;
    let findings: Vec<_> = found.into_iter().flatten().collect();
    let healthy = findings.iter().all(|finding| finding.level != Level::Problem);
    let report = Report { healthy, findings };
    match args.json {
        true => super::say_json(&report)?,
        false => super::say(&report.text())?,
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
