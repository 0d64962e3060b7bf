//! The command line of tradeflow: flags in, one call into the library, an exit code out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tradeflow_sidecar::config::{Config, LogFormat, Sources, DEFAULT_FILE};
use tradeflow_sidecar::{db, load, telemetry};

/// Automation for B2B stores: the database decides and remembers, this program acts.
#[derive(Parser)]
#[command(name = "tradeflow", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
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
    /// Print the default configuration, every key explained
    #[command(after_help = "Example:\n  tradeflow config > tradeflow.toml")]
    Config,
    /// Load BigCommerce payload files into the store tables
    Load(load::Args),
}

impl Global {
    fn sources(self) -> Sources {
        let mut flags = Vec::new();
        let mut set = |key, value: Option<String>| flags.extend(value.map(|v| (key, v)));
        set("database_url", self.database_url);
        set("log", self.log);
        set(
            "log_format",
            self.log_format.map(|f| match f {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            }),
        );
        Sources { file: self.config, env: std::env::vars().collect(), flags }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tradeflow: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Config = cli.command {
        print!("{DEFAULT_FILE}");
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(cli.global.sources())?;
    telemetry::init(&config)?;
    let pool = db::Pool::new(&config).context("connect")?;
    match cli.command {
        Command::Config => Ok(ExitCode::SUCCESS),
        Command::Load(args) => {
            load::run(args, &pool).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
