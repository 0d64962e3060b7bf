//! The command line of tradeflow, one line a command: flags in, one call into `cli`, an exit code out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod cli;

use cli::Context;

/// Automation for B2B stores: the database decides and remembers, this program acts.
#[derive(Parser)]
#[command(name = "tradeflow", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
A first run, with the database's address in the environment:
  export TRADEFLOW_DATABASE_URL=postgres://postgres@localhost:5432/shop
  tradeflow init                        the extension, the tables of schema store
  tradeflow load sidecar/samples/store  a sample store (or `tradeflow sync once`: your own)
  tradeflow run                         sends what rules fire
  tradeflow doctor                      what is wrong, and how to mend it

Exit codes of every command: 0 done, 1 it failed or found something wrong, 2 the command line is wrong, 3 (plan) there are \
changes to apply.")]
struct Cli {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(cli::run::Args),
    Init(cli::init::Args),
    Load(cli::load::Args),
    New(cli::new::Args),
    Recipe(cli::recipe::Args),
    Plan(cli::plan::Args),
    Apply(cli::apply::Args),
    Test(cli::test::Args),
    Preview(cli::preview::Args),
    Sync(cli::sync::Args),
    Hooks(cli::hooks::Args),
    Doctor(cli::doctor::Args),
    Outbox(cli::outbox::Args),
    Dead(cli::dead::Args),
    Targets(cli::targets::Args),
    Kinds(cli::kinds::Args),
    Incidents(cli::incidents::Args),
    Rules(cli::rules::Args),
    Explain(cli::explain::Args),
    Backtest(cli::backtest::Args),
    Tail(cli::tail::Args),
    Config(cli::config::Args),
}

impl Command {
    async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Command::Run(args) => cli::run::run(args, context).await,
            Command::Init(args) => cli::init::run(args, context).await,
            Command::Load(args) => cli::load::run(args, context).await,
            Command::New(args) => cli::new::run(args),
            Command::Recipe(args) => cli::recipe::run(args, context),
            Command::Plan(args) => cli::plan::run(args, context).await,
            Command::Apply(args) => cli::apply::run(args, context).await,
            Command::Test(args) => cli::test::run(args, context).await,
            Command::Preview(args) => cli::preview::run(args, context).await,
            Command::Sync(args) => cli::sync::run(args, context).await,
            Command::Hooks(args) => cli::hooks::run(args, context).await,
            Command::Doctor(args) => cli::doctor::run(args, context).await,
            Command::Outbox(args) => cli::outbox::run(args, context).await,
            Command::Dead(args) => cli::dead::run(args, context).await,
            Command::Targets(args) => cli::targets::run(args, context).await,
            Command::Kinds(args) => cli::kinds::run(args, context).await,
            Command::Incidents(args) => cli::incidents::run(args, context).await,
            Command::Rules(args) => cli::rules::run(args, context).await,
            Command::Explain(args) => cli::explain::run(args, context).await,
            Command::Backtest(args) => cli::backtest::run(args, context).await,
            Command::Tail(args) => cli::tail::run(args, context).await,
            Command::Config(args) => cli::config::run(args),
        }
    }

    /// The flags that are configuration keys.
    fn flags(&self) -> cli::Flags {
        match self {
            Command::Run(args) => args.flags(),
            _ => cli::Flags::new(),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let context = Context::new(global, command.flags());
    match command.run(&context).await {
        Ok(code) => code,
        Err(error) => {
            // Messages already say what lies under them.
            eprintln!("tradeflow: {error}");
            if std::env::args().any(|argument| argument == "--json") {
                // Who reads standard output as JSON finds the reason there, too. It is too late for another error.
                let _ = cli::say(&cli::failure(&error).to_string());
            }
            ExitCode::FAILURE
        }
    }
}
