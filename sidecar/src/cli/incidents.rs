//! `tradeflow incidents`: what went wrong and needs a person.

use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{json, Value as Json};
use tokio_postgres::types::Type;
use tradeflow_sidecar::db;

use super::query::{self, text};
use super::select::confirmed;
use super::table::printable;
use super::{when, Context};

/// Incidents: list them, take note of them
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Ack(Ack),
}

/// List open incidents, the latest first, each with what to do
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow incidents list
  tradeflow incidents list --rule big_quote --noted --since 7d
  tradeflow incidents list --json | jq -r '.incidents[] | .hint'")]
struct List {
    /// Of this rule
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Of this kind: rule_error, dead_action, held_burst, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Seen since: 2h, 30d, or a time (2026-11-25, 2026-11-25 14:00, UTC)
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<DateTime<Utc>>,
    /// Those too that somebody took note of
    #[arg(long)]
    noted: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print them as JSON: {incidents}
    #[arg(long)]
    json: bool,
}

/// Take note of incidents: they are open no longer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow incidents ack 12 13
  tradeflow incidents ack --rule big_quote
  tradeflow incidents ack --all --yes

What an incident is about stays as it is: a dead action is dead until it is retried or discarded.
Exit code: 1 when one named by id is not open.")]
struct Ack {
    /// Incidents by id
    #[arg(value_name = "ID", conflicts_with_all = ["rule", "kind", "all"])]
    ids: Vec<i64>,
    /// Of this rule
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// All that are open; asks first
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print what was noted as JSON: {noted: [id]}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(list) => self::list(&list, context).await,
        Command::Ack(ack) => self::ack(&ack, context).await,
    }
}

async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let sql = include_str!("../db/operator/incidents.sql");
    let values: query::Values<'_> = &[
        (&args.rule, Type::TEXT),
        (&args.kind, Type::TEXT),
        (&args.since, Type::TIMESTAMPTZ),
        (&args.noted, Type::BOOL),
        (&args.limit, Type::INT8),
    ];
    let incidents = query::rows(&mut client, sql, values).await?;
    if args.json {
        super::say_json(&json!({ "incidents": incidents }))?;
    } else if incidents.is_empty() {
        super::say("there is none")?;
    } else {
        let now = Utc::now();
        let told: Vec<String> = incidents.iter().map(|incident| told(incident, now)).collect();
        super::say(&told.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A few lines, not a row: the message and the remedy are what matters, and they are long.
fn told(incident: &Json, now: DateTime<Utc>) -> String {
    let seen = when::of(incident, "last_seen_at").map_or_else(String::new, |at| when::relative(at, now));
    let times = match query::number(incident, "count") {
        1 => seen,
        n => format!("{n} times, last {seen}"),
    };
    let noted = match text(incident, "acked_by") {
        nobody if nobody.is_empty() => String::new(),
        who => format!(", noted by {who}"),
    };
    let mut lines = vec![format!("{}  {} ({times}{noted})", text(incident, "id"), text(incident, "kind"))];
    lines.push(format!("    {}", printable(&text(incident, "message"))));
    let about = [
        ("rule", "rule"),
        ("subject", "subject"),
        ("action", "outbox_id"),
        ("source", "source"),
        ("sqlstate", "sqlstate"),
    ];
    let about: Vec<String> = about
        .iter()
        .map(|(label, key)| (label, text(incident, key)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| format!("{label} {}", printable(&value)))
        .collect();
    if !about.is_empty() {
        lines.push(format!("    {}", about.join(", ")));
    }
    if !incident["hint"].is_null() {
        lines.push(format!("  → {}", printable(&text(incident, "hint"))));
    }
    lines.join("\n")
}

async fn ack(args: &Ack, context: &Context) -> anyhow::Result<ExitCode> {
    let by_id = !args.ids.is_empty();
    let everything = args.rule.is_none() && args.kind.is_none();
    if !by_id && everything && !args.all {
        bail!("which incidents? Name them by id, or by --rule, --kind, or say --all");
    }
    let client = context.pool()?.get().await?;
    if !by_id && everything && !args.yes && !confirmed("take note of all open incidents?")? {
        super::say("nothing was changed")?;
        return Ok(ExitCode::FAILURE);
    }
    let ids = by_id.then_some(&args.ids);
    let values: query::Values<'_> =
        &[(&ids, Type::INT8_ARRAY), (&args.rule, Type::TEXT), (&args.kind, Type::TEXT)];
    let sql = include_str!("../db/operator/ack.sql");
    let rows = client.query_typed(sql, values).await.map_err(db::Error::from)?;
    let noted: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    match args.json {
        true => super::say_json(&json!({ "noted": noted }))?,
        false => super::say(&format!(
            "{} noted",
            if noted.len() == 1 { "1 incident".into() } else { format!("{} incidents", noted.len()) }
        ))?,
    }
    let left: Vec<&i64> = args.ids.iter().filter(|id| !noted.contains(id)).collect();
    for id in &left {
        eprintln!("tradeflow: incident {id} is not open: there is none, or it was noted before");
    }
    Ok(if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
