//! The command line of tradeflow: flags in, one call into the library, an exit code out.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tradeflow_sidecar::config::{Config, LogFormat, Sources, DEFAULT_FILE};
use tradeflow_sidecar::{db, doctor, executor, init, load, shutdown, telemetry};

/// Automation for B2B stores: the database decides and remembers, this program acts.
#[derive(Parser)]
#[command(name = "tradeflow", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
A first run, with the database's address in the environment:
  export TRADEFLOW_DATABASE_URL=postgres://postgres@localhost:5432/shop
  tradeflow init                        the extension, the tables of schema store
  tradeflow load sidecar/samples/store  a sample store
  tradeflow run                         sends what rules fire
  tradeflow doctor                      what is wrong, and how to mend it")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Configuration file [default: ./tradeflow.toml when it exists]
    #[arg(long, global = true, value_name = "FILE", env = "TRADEFLOW_CONFIG")]
    config: Option<PathBuf>,
    /// Database, for example postgres://user@host:5432/database (better: TRADEFLOW_DATABASE_URL)
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// What is logged: a level or a filter such as "info,tradeflow_sidecar=debug"
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Subcommand)]
enum Command {
    /// Execute what rules fire: send mails, call APIs
    Run(Run),
    /// Set up a database: the extension, schema store, what is watched
    Init(init::Args),
    /// Load BigCommerce payload files into the store tables
    Load(load::Args),
    /// Say what is wrong, and how to mend it
    Doctor(doctor::Args),
    /// Print the default configuration, every key explained
    #[command(after_help = "Example:\n  tradeflow config > tradeflow.toml")]
    Config,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow run
  tradeflow run --concurrency 64 --listen-address 127.0.0.1:9187
  tradeflow run --poll-only             behind a pooler in transaction mode

Any number of sidecars may run on any number of hosts. SIGTERM or SIGINT: no more is
claimed, what runs is finished within shutdown_grace, exit code 0; a second signal
leaves at once. SIGKILL costs a lease, nothing else.")]
struct Run {
    /// Actions executed at the same time
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Execute only this kind of action (may be repeated)
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Serve /metrics and /healthz here; port 0 takes a free one and logs it
    #[arg(long, value_name = "HOST:PORT")]
    listen_address: Option<String>,
    /// Do not LISTEN, only poll
    #[arg(long)]
    poll_only: bool,
    /// Sign leases with this name
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// How long an action is ours without a sign of life, for example 60s
    #[arg(long, value_name = "DURATION")]
    lease: Option<String>,
}

impl Cli {
    /// The flags as configuration keys.
    fn sources(&self) -> Sources {
        let mut flags = Vec::new();
        let mut set = |key, value: Option<String>| flags.extend(value.map(|v| (key, v)));
        let global = &self.global;
        set("database_url", global.database_url.clone());
        set("log", global.log.clone());
        set("log_format", global.log_format.map(|f| f.name().to_owned()));
        if let Command::Run(run) = &self.command {
            set("concurrency", run.concurrency.map(|n| n.to_string()));
            set("kinds", Some(run.kinds.join(",")).filter(|k| !k.is_empty()));
            set("listen_address", run.listen_address.clone());
            set("listen", run.poll_only.then(|| "false".to_owned()));
            set("worker", run.worker.clone());
            set("lease", run.lease.clone());
        }
        Sources { file: global.config.clone(), env: std::env::vars().collect(), flags }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match dispatch(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // Messages already say what lies under them.
            eprintln!("tradeflow: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints. That nobody reads on (`… | head`) is no error.
fn say(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Config = cli.command {
        say(DEFAULT_FILE.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(cli.sources())?;
    telemetry::init(&config)?;
    match cli.command {
        Command::Config => {}
        Command::Run(_) => {
            let (stop, halt) = shutdown::listen()?;
            executor::run(&config, stop, halt).await?;
        }
        Command::Init(args) => {
            let done = init::run(&args, &db::Pool::new(&config)?).await?;
            say(&if args.json { serde_json::to_string_pretty(&done)? } else { done.text() })?;
        }
        Command::Load(args) => load::run(args, &db::Pool::new(&config)?).await?,
        Command::Doctor(args) => {
            let report = doctor::run(&config).await;
            say(&if args.json { serde_json::to_string_pretty(&report)? } else { report.text() })?;
            if !report.healthy {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
