//! `tradeflow preview`.

use std::path::PathBuf;
use std::process::ExitCode;

use tradeflow_sidecar::db;
use tradeflow_sidecar::project::preview;

use super::Context;

/// Show the mails and requests that a change would cause
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow preview \"update store.quotes set expired_at = now() + interval '5 days' where quote_id = 17\"
  tradeflow preview --html preview \"insert into store.company_users …\"     and open preview/index.html

The statement is run with the rules that the database has, and rolled back: nothing is kept, nothing is sent. Steps of kind sql are \
called, as you, and rolled back too; what another system will return is shown by its name: ‹steps.invoice.invoice_number›. Rules, \
templates and settings are those applied; `tradeflow test` tries files that are not. Exit code: 0, also when nothing would fire.")]
pub struct Args {
    /// Statements that change rows
    sql: String,
    /// Write the mails as files into this folder
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// Print firings and requests as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let preview::Preview { firings, incidents } =
        preview::run(&config, &db::Pool::new(&config)?, &args.sql).await?;
    for incident in incidents {
        eprintln!("warning: it would be an incident: {incident}");
    }
    match args.json {
        true => super::say_json(&firings)?,
        false => super::say(&preview::text(&firings))?,
    }
    if let Some(folder) = &args.html {
        let files = preview::write_html(&firings, folder)?;
        if !args.json {
            let mails =
                if files.len() == 2 { "1 mail".to_owned() } else { format!("{} mails", files.len() - 1) };
            super::say(&format!("{mails} written; open {}", files[0].display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
