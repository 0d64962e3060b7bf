//! `tradeflow hooks register|list|check`.

use std::process::ExitCode;

use clap::Subcommand;
use tradeflow_sidecar::bigcommerce::Client;
use tradeflow_sidecar::sync::hooks;

use super::{say, say_json, Context};

/// Register the store's webhooks and keep them on
#[derive(clap::Args)]
#[command(after_help = "\
Webhooks lead to hooks.url, which must pass on to the listen_address of a sidecar (`tradeflow run`). The store switches \
a webhook off after 90 days without an event or two days of failures; `tradeflow run` and `tradeflow sync watch` register \
it again by themselves (hooks.check_interval).

Examples:
  tradeflow hooks register
  tradeflow hooks check || tradeflow hooks register
  tradeflow hooks list --json

Exit code: 0 all are on, 1 some are missing, switched off or refused.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create the webhooks that are missing, switch on those that the store switched off
    Register(Output),
    /// List the webhooks that this token's account has
    List(Output),
    /// Say which webhooks are missing or switched off
    Check(Output),
}

#[derive(clap::Args)]
struct Output {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let client = Client::new(&config)?;
    let (report, json) = match args.command {
        Command::List(Output { json }) => {
            let all = hooks::list(&config, &client).await?;
            if json {
                say_json(&all)?;
            } else if all.is_empty() {
                say("there is none; `tradeflow hooks register` creates them")?;
            }
            for hook in all.iter().filter(|_| !json) {
                let state = if hook.active { "on" } else { "off" };
                let ours = if hook.ours { "" } else { "  (not ours)" };
                say(&format!("{:>8}  {state:<4}{:<40}{}{ours}", hook.id, hook.scope, hook.destination))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Register(Output { json }) => (hooks::register(&config, &client).await?, json),
        Command::Check(Output { json }) => (hooks::check(&config, &client).await?, json),
    };
    match json {
        true => say_json(&report)?,
        false => say(&report.text())?,
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
