//! `tradeflow sync once|watch|status`.

use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;
use tradeflow_sidecar::config::Config;
use tradeflow_sidecar::sync::{self, Env, Intervals, Options, Resource, Summary};
use tradeflow_sidecar::{db, shutdown};

use super::table::Table;
use super::{say, say_json, Context};

/// Copy the store's data into schema store, and keep it current
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read what changed since the last time, then leave
    #[command(after_help = ONCE)]
    Once(Once),
    /// Read what changed, again and again
    #[command(after_help = WATCH)]
    Watch(Watch),
    /// Say how far each resource is
    Status(Status),
}

const ONCE: &str = "\
The first load of a resource fires nothing (sync.first_load). Killed anywhere, the next run goes on where this one \
stopped; repeated, it changes nothing and fires nothing.

Resources: companies, company-users, sales-staff, products, price-lists, quotes, orders, b2b-orders, invoices, \
company-credit, payment-terms, sheet-rows. None named: those of sync.resources, and sheet-rows where sheets.synced names some.

Examples:
  tradeflow sync once
  tradeflow sync once quotes --since 2026-11-01
  tradeflow sync once sheet_rows
  tradeflow sync once --dry-run --json
  tradeflow sync once --sweep           also delete what the store has no longer

Exit code: 0 everything was stored, 1 something failed or was rejected.";

const WATCH: &str = "\
Each resource is asked for every sync.interval, those that cost a request a thing every sync.slow_interval, sheets every \
sheets.interval; all are read whole every sync.sweep_interval. SIGTERM or SIGINT: it stops at once; the next start goes on where it was.

Examples:
  tradeflow sync watch
  tradeflow sync watch quotes orders";

#[derive(clap::Args)]
struct Once {
    /// Resources to sync [default: those of sync.resources]
    #[arg(value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Read what changed since then (2026-11-01 or 2026-11-01T12:00:00Z), whatever is remembered
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Say what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Read everything, and delete what the store has no longer
    #[arg(long, conflicts_with = "since")]
    sweep: bool,
    /// Fire nothing (needs tradeflow_silent)
    #[arg(long, conflicts_with = "fire")]
    silent: bool,
    /// Fire, also at a first load
    #[arg(long)]
    fire: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Watch {
    /// Resources to sync [default: those of sync.resources]
    #[arg(value_name = "RESOURCE")]
    resources: Vec<String>,
}

#[derive(clap::Args)]
struct Status {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Once(args) => once(args, &context.config()?).await,
        Command::Watch(args) => watch(args, &context.config()?).await,
        Command::Status(args) => status(args, &context.pool()?).await,
    }
}

async fn once(args: Once, config: &Config) -> anyhow::Result<ExitCode> {
    let resources = named(&args.resources, config)?;
    let env = Env::new(config, db::Pool::new(config)?, &resources)?;
    let options = Options {
        since: args.since,
        dry_run: args.dry_run,
        sweep: args.sweep,
        silent: (args.silent || args.fire).then_some(args.silent),
        progress: !args.json,
    };
    let summary: Summary = sync::once(&env, &resources, &options).await;
    match args.json {
        true => say_json(&summary)?,
        false => say(summary.text().trim_end())?,
    }
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn watch(args: Watch, config: &Config) -> anyhow::Result<ExitCode> {
    let resources = named(&args.resources, config)?;
    let pool = db::Pool::new(config)?;
    let env = Env::new(config, pool.clone(), &resources)?;
    let (stop, _) = shutdown::listen()?;
    let (intervals, options) = (Intervals::new(config), Options::default());
    tokio::join!(
        sync::watch(&env, &resources, intervals, &options, stop.clone()),
        sync::hooks::keep(config.clone(), pool, stop)
    );
    Ok(ExitCode::SUCCESS)
}

async fn status(args: Status, pool: &db::Pool) -> anyhow::Result<ExitCode> {
    let all = sync::status(pool).await?;
    if args.json {
        say_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let time = |at: Option<DateTime<Utc>>| {
        at.map_or("never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string())
    };
    let mut table =
        Table::new(&["RESOURCE", ">LAG", "WATERMARK", "LAST RUN", "LAST SWEEP", ">FAILURES", "ERROR"]);
    for row in &all {
        let lag = row.lag.map_or("never".to_owned(), |seconds| {
            humantime::format_duration(std::time::Duration::from_secs(seconds.max(0.0) as u64)).to_string()
        });
        table.row([
            row.resource.clone(),
            lag,
            time(row.watermark),
            time(row.finished_at),
            time(row.swept_at),
            row.failures.to_string(),
            row.last_error.clone().unwrap_or_default(),
        ]);
    }
    if all.is_empty() {
        say("Nothing was synced yet: `tradeflow sync once`.")?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&table.text())?;
    Ok(ExitCode::SUCCESS)
}

fn named(names: &[String], config: &Config) -> Result<Vec<Resource>, sync::Error> {
    match names {
        [] => Resource::configured(config),
        names => Resource::named(names),
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    let midnight = day.ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight.map(|at| at.and_utc()).ok_or_else(|| "write 2026-11-01 or 2026-11-01T12:00:00Z".to_owned())
}
