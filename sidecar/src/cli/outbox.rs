//! `tradeflow outbox`: the actions that wait, run or ended.

use std::process::ExitCode;

use chrono::Utc;
use clap::Subcommand;
use serde_json::{json, Value as Json};
use tokio_postgres::types::{ToSql, Type};

use super::change::{self, Change};
use super::query::{self, number, text};
use super::select::{self, Filter, Selection, State};
use super::table::Table;
use super::{show, when, Context};

/// Actions: list them, look at one, retry, cancel, hold, release
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Retry(Retry),
    Cancel(Cancel),
    Hold(Hold),
    Release(Release),
}

/// List actions, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox list                                   what has not ended
  tradeflow outbox list --state dead,uncertain
  tradeflow outbox list --rule big_quote --state all --since 2d
  tradeflow outbox list --lane store.quotes:17            in the order they run: the last line first
  tradeflow outbox list --json | jq -r '.actions[].id'")]
pub struct List {
    #[command(flatten)]
    pub filter: Filter,
    /// In this state (may be repeated, or a list with commas) [default: open]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub state: Vec<State>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub limit: i64,
    /// Print them as JSON: {actions, more}
    #[arg(long)]
    pub json: bool,
}

/// Show an action with its whole firing: facts, steps, request, result, why it waits
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox show 4711
  tradeflow outbox show 4711 --json | jq '.actions[] | {state, waits_for}'

Exit code: 1 when there is no such action.")]
struct Show {
    /// The action's id, as `outbox list` shows it
    #[arg(value_name = "ID")]
    id: i64,
    /// Print it as JSON: {id, firing, actions, later_steps, incidents}
    #[arg(long)]
    json: bool,
}

/// Execute dead, uncertain or held actions again, and those between attempts at once
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox retry 4711 4712
  tradeflow outbox retry --target erp --since 1d

Uncertain actions are taken by id only: such a mail may arrive twice, so look first.
Exit code: 1 when an action named by id was left as it is (and why).")]
struct Retry {
    #[command(flatten)]
    selection: Selection,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

/// Cancel actions that are not running; they move to the history with the reason
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox cancel 4711 --reason 'sent by hand'
  tradeflow outbox cancel --rule reminder --subject 17

Uncertain actions are taken by id only. Exit code: 1 when an action named by id was left as it is (and why).")]
struct Cancel {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept with the action
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

/// Hold actions that are ready or wait for their time, until they are released
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox hold --rule big_quote --reason 'wrong price list, ask Ada'
  tradeflow outbox release --rule big_quote

What fires later is not held: `tradeflow rules pause` and `tradeflow targets pause` are for that.
Exit code: 1 when an action named by id was left as it is (and why).")]
struct Hold {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept with the action
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

/// Let held actions go
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow outbox list --state held
  tradeflow outbox release --rule big_quote
  tradeflow outbox release --all --yes

Exit code: 1 when an action named by id was left as it is (and why).")]
struct Release {
    #[command(flatten)]
    selection: Selection,
    /// Print the outcome as JSON: {changed, left: [{id, why}]}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(list) => self::list(&list, context).await,
        Command::Show(show) => self::show(&show, context).await,
        Command::Retry(Retry { selection, json }) => {
            change::run(Change::Retry, &selection, &["dead", "held", "retrying"], None, json, context).await
        }
        Command::Cancel(Cancel { selection, reason, json }) => {
            let states = ["ready", "waiting", "held", "dead"];
            change::run(Change::Cancel, &selection, &states, reason.as_deref(), json, context).await
        }
        Command::Hold(Hold { selection, reason, json }) => {
            change::run(Change::Hold, &selection, Change::Hold.states(), reason.as_deref(), json, context)
                .await
        }
        Command::Release(Release { selection, json }) => {
            change::run(Change::Release, &selection, Change::Release.states(), None, json, context).await
        }
    }
}

/// Lists actions; also for `tradeflow dead list`.
pub async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let states = select::states(&args.state);
    // One more, to know whether there are more.
    let most = args.limit + 1;
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&states, Type::TEXT_ARRAY)];
    values.extend(args.filter.values());
    values.push((&most, Type::INT8));
    let mut client = context.pool()?.get().await?;
    let mut actions = query::rows(&mut client, include_str!("../db/operator/list.sql"), &values).await?;
    let more = actions.len() as i64 > args.limit;
    actions.truncate(args.limit as usize);
    if args.json {
        super::say_json(&json!({"actions": actions, "more": more}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if actions.is_empty() {
        super::say("there is none")?;
        if let Some(unknown) = args.filter.unknown(&client).await? {
            eprintln!("tradeflow: {unknown}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    super::say(&table(&actions).text())?;
    if more {
        eprintln!("… and more: --limit shows them");
    }
    Ok(ExitCode::SUCCESS)
}

fn table(actions: &[Json]) -> Table {
    let mut table =
        Table::new(&[">ID", "RULE", "SUBJECT", "ACTION", "TARGET", "STATE", ">TRIES", "FIRED", "WHAT"]);
    let now = Utc::now();
    for action in actions {
        let fired = when::of(action, "created_at").map_or_else(String::new, |at| when::relative(at, now));
        table.row([
            text(action, "id"),
            text(action, "rule"),
            text(action, "subject"),
            name(action),
            text(action, "target"),
            text(action, "state"),
            match number(action, "attempt") {
                0 => String::new(),
                attempt => format!("{attempt}/{}", number(action, "max_attempts")),
            },
            fired,
            what(action, now),
        ]);
    }
    table
}

/// An action's name, or its step and kind.
pub fn name(action: &Json) -> String {
    match (text(action, "action"), text(action, "kind")) {
        (name, kind) if name.is_empty() && kind.is_empty() => "—".into(),
        (name, kind) if name.is_empty() => format!("{} {kind}", text(action, "step")),
        (name, _) => name,
    }
}

/// What a person wants to know next: when it runs, why it is held, what went wrong.
fn what(action: &Json, now: chrono::DateTime<Utc>) -> String {
    let due = when::of(action, "run_at").filter(|at| *at > now).map(|at| when::relative(at, now));
    let said = [text(action, "reason"), text(action, "error")].into_iter().filter(|part| !part.is_empty());
    let due = due.into_iter().filter(|_| ["ready", "waiting"].contains(&text(action, "state").as_str()));
    due.chain(said).collect::<Vec<_>>().join("; ")
}

async fn show(args: &Show, context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = context.pool()?.get().await?;
    let found = query::row(&mut client, "select tradeflow.inspect($1)", &[(&args.id, Type::INT8)]).await?;
    if found.is_null() {
        anyhow::bail!("there is no action {}\nhint: its day may have left the history (setting history_days); `tradeflow outbox list --state all` shows what there is", args.id);
    }
    match args.json {
        true => super::say_json(&found)?,
        false => super::say(&show::firing_text(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}
