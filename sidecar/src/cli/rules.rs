//! `tradeflow rules`: how the rules do.

use std::process::ExitCode;

use chrono::Utc;
use clap::Subcommand;
use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;

use super::pause::Pausable;
use super::query::{self, number, text};
use super::table::Table;
use super::{when, Context};

/// Rules: list them with what they do, pause, resume
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

/// List rules: whether they are asked, what of them is open, what they did within 24 hours
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow rules list
  tradeflow rules list --json | jq '.rules[] | select(.status == \"invalid\") | {rule, reason}'")]
struct List {
    /// Print them as JSON: {rules}
    #[arg(long)]
    json: bool,
}

/// Stop a rule until it is resumed: it is not asked, and its actions stay where they are
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow rules pause big_quote --reason 'wrong price list'
  tradeflow rules pause big_quote --json | jq .changed

What changes meanwhile is not made up for: see tradeflow.backfill().")]
struct Pause {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Why, for others who ask
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print what it is now as JSON: {rule, paused, changed}
    #[arg(long)]
    json: bool,
}

/// Ask a paused rule again, and take note of the incidents that had it paused
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tradeflow rules resume big_quote")]
struct Resume {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Print what it is now as JSON: {rule, paused, changed}
    #[arg(long)]
    json: bool,
}

const RULE: Pausable = Pausable {
    noun: "rule",
    command: "rules",
    pause: "select tradeflow.pause($1, $2)",
    resume: "select tradeflow.resume($1)",
    resumed: "is asked again",
    not_paused: "is not paused",
};

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(list) => self::list(&list, context).await,
        Command::Pause(Pause { rule, reason, json }) => {
            RULE.pause(&rule, reason.as_deref(), json, context).await
        }
        Command::Resume(Resume { rule, json }) => RULE.resume(&rule, json, context).await,
    }
}

async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let none: Option<String> = None;
    let rules =
        query::rows(&mut client, include_str!("../db/operator/rules.sql"), &[(&none, Type::TEXT)]).await?;
    if args.json {
        super::say_json(&json!({ "rules": rules }))?;
    } else if rules.is_empty() {
        super::say("there is none: insert into tradeflow.rules")?;
    } else {
        super::say(&table(&rules).text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rules: &[Json]) -> Table {
    let mut table = Table::new(&[
        "RULE",
        "ABOUT",
        "STATUS",
        ">OPEN",
        ">DEAD",
        ">HELD",
        ">DONE 24H",
        ">MEDIAN",
        "LAST FIRED",
        "WHAT",
    ]);
    let now = Utc::now();
    for rule in rules {
        let about = ["source", "view", "schedule"].iter().map(|key| text(rule, key)).find(|a| !a.is_empty());
        let open = number(rule, "ready") + number(rule, "waiting") + number(rule, "running");
        let incidents = match number(rule, "incidents") {
            0 => String::new(),
            1 => "1 incident".into(),
            n => format!("{n} incidents"),
        };
        let what = [text(rule, "reason"), incidents].into_iter().filter(|part| !part.is_empty());
        table.row([
            text(rule, "rule"),
            about.unwrap_or_default(),
            text(rule, "status"),
            open.to_string(),
            (number(rule, "dead") + number(rule, "uncertain")).to_string(),
            number(rule, "held").to_string(),
            number(rule, "done_24h").to_string(),
            when::rough_seconds(rule, "median_latency_seconds_24h"),
            when::of(rule, "last_fired_at").map_or_else(String::new, |at| when::relative(at, now)),
            what.collect::<Vec<_>>().join("; "),
        ]);
    }
    table
}
