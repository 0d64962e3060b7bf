//! The commands, one file a topic: their flags, what they print, their exit codes. What they do is the library's.
//!
//! A further command is a file here with `Args` (its doc comment is the command's help) and
//! `async fn run(args, &Context) -> anyhow::Result<ExitCode>`, a line below, and two in `main.rs`.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use serde::Serialize;
use tradeflow_sidecar::config::{Config, LogFormat, Sources};
use tradeflow_sidecar::project::{Error as ProjectError, Project};
use tradeflow_sidecar::{db, telemetry};

pub mod apply;
pub mod backtest;
mod change;
pub mod config;
pub mod dead;
pub mod doctor;
pub mod explain;
pub mod hooks;
pub mod incidents;
pub mod init;
pub mod kinds;
pub mod load;
pub mod new;
pub mod outbox;
mod pause;
pub mod plan;
pub mod preview;
mod query;
pub mod recipe;
pub mod rules;
pub mod run;
mod select;
mod show;
pub mod sync;
mod table;
pub mod tail;
pub mod targets;
pub mod test;
mod when;

/// Flags as configuration keys with their values.
pub type Flags = Vec<(&'static str, String)>;

#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
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

/// What every command may ask for.
pub struct Context {
    global: Global,
    flags: Flags,
}

impl Context {
    pub fn new(global: Global, flags: Flags) -> Context {
        Context { global, flags }
    }

    /// The configuration out of all its sources; logging begins as it says. To be called once.
    pub fn config(&self) -> anyhow::Result<Config> {
        let Global { config: file, database_url, log, log_format } = &self.global;
        let mut flags = self.flags.clone();
        let mut set = |key, value: Option<String>| flags.extend(value.map(|v| (key, v)));
        set("database_url", database_url.clone());
        set("log", log.clone());
        set("log_format", log_format.map(|f| f.name().to_owned()));
        let config = Config::load(Sources { file: file.clone(), env: std::env::vars().collect(), flags })?;
        telemetry::init(&config)?;
        Ok(config)
    }

    /// Connections to the database that the configuration names; instead of [`Context::config`].
    pub fn pool(&self) -> anyhow::Result<db::Pool> {
        Ok(db::Pool::new(&self.config()?)?)
    }

    /// The project of the folder, and connections to its database; instead of [`Context::config`].
    pub fn project(&self) -> anyhow::Result<(Project, db::Pool)> {
        let config = self.config()?;
        Ok((Project::open(&config)?, db::Pool::new(&config)?))
    }
}

/// Prints. That nobody reads on (`… | head`) is no error.
pub fn say(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Why a command failed, as `--json` prints it: `{"error": {"message": …, "hint": …, "problems": […]}}`; mistakes in a project's
/// files are `problems`, each with its place.
pub fn failure(error: &anyhow::Error) -> serde_json::Value {
    let text = error.to_string();
    let (message, hint) = match text.split_once("\nhint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (text.as_str(), None),
    };
    match error.downcast_ref::<ProjectError>() {
        Some(ProjectError::Problems(problems)) => {
            let message = format!(
                "{} in the project's files",
                if problems.len() == 1 { "a mistake" } else { "mistakes" }
            );
            serde_json::json!({"error": {"message": message, "problems": problems}})
        }
        _ => serde_json::json!({"error": {"message": message, "hint": hint}}),
    }
}

/// Prints a JSON document for programs.
pub fn say_json(document: &impl Serialize) -> anyhow::Result<()> {
    Ok(say(&serde_json::to_string_pretty(document)?)?)
}
