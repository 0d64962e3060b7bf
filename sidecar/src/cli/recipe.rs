//! `tradeflow recipe`.

use std::process::ExitCode;

use tradeflow_sidecar::project::{recipe, Project};

use super::Context;

/// Ready rules, to be copied into a project
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  tradeflow recipe list
  tradeflow recipe show quote_expiry_reminder
  tradeflow recipe add quote_expiry_reminder --set reminder_days=7,2 --set reminder_audience=both

A recipe is plain SQL, mail templates and tests. Once added, they are the project's: read them, change them. No database is \
needed; `tradeflow plan` shows what a recipe would change.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show all recipes
    #[command(
        after_help = "Examples:\n  tradeflow recipe list\n  tradeflow recipe list --json | jq -r '.[].name'"
    )]
    List {
        /// Print them as JSON, with settings and files
        #[arg(long)]
        json: bool,
    },
    /// Print a recipe
    #[command(after_help = "Example:\n  tradeflow recipe show quote_expiry_reminder")]
    Show {
        name: String,
        /// Print what is known of it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy a recipe into the project
    #[command(after_help = "\
Example:
  tradeflow recipe add quote_expiry_reminder --set reminder_days=7,2

Files that are there already are not overwritten: then nothing is written.")]
    Add {
        name: String,
        /// Give a setting another value than its default
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
        /// Print what was done as JSON
        #[arg(long)]
        json: bool,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as key=value".into()),
    }
}

pub fn run(Args { command }: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { json } => {
            let all = recipe::all();
            match json {
                true => super::say_json(&all)?,
                false => super::say(&recipe::list(&all))?,
            }
        }
        Command::Show { name, json } => {
            let recipe = recipe::find(&name)?;
            match json {
                true => super::say_json(&recipe)?,
                false => super::say(&recipe.text())?,
            }
        }
        Command::Add { name, set, json } => {
            let project = Project::open(&context.config()?)?;
            let added = recipe::add(&project, &name, &set)?;
            if json {
                super::say_json(&added)?;
            } else {
                for file in &added.files {
                    super::say(&format!("  {}", file.display()))?;
                }
                for note in &added.notes {
                    super::say(&format!("  note: {note}"))?;
                }
                super::say("\nnext: read it, then tradeflow test; tradeflow plan; tradeflow apply")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
