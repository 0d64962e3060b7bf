//! `tradeflow new`.

use std::path::PathBuf;
use std::process::ExitCode;

use tradeflow_sidecar::project::new;

/// Make a folder for rules, mails and tests
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow new my-shop
  tradeflow new . --name shop

No database is needed. What is there already is never overwritten. Go on there with `tradeflow recipe add`, `tradeflow plan`.")]
pub struct Args {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The project's name [default: the folder's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print the files as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(Args { folder, name, json }: Args) -> anyhow::Result<ExitCode> {
    let files = new::run(&folder, name.as_deref())?;
    if json {
        super::say_json(&serde_json::json!({ "files": files }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for file in &files {
        super::say(&format!("  {}", file.display()))?;
    }
    super::say(&format!(
        "\nnext: cd {}; tradeflow recipe list; tradeflow recipe add quote_expiry_reminder; tradeflow plan",
        folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
