//! `tradeflow run`.

use std::process::ExitCode;

use tradeflow_sidecar::{executor, shutdown};

use super::{Context, Flags};

/// Execute what rules fire: send mails, call APIs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tradeflow run
  tradeflow run --concurrency 64 --listen-address 127.0.0.1:9187
  tradeflow run --poll-only             behind a pooler in transaction mode

Any number of sidecars may run on any number of hosts. SIGTERM or SIGINT: no more is \
claimed, what runs is finished within shutdown_grace, exit code 0; a second signal \
leaves at once. SIGKILL costs a lease, nothing else. \
A database that cannot be reached yet is waited for, a minute at most.")]
pub struct Args {
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

impl Args {
    /// The flags as configuration keys.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::new();
        let mut set = |key, value: Option<String>| flags.extend(value.map(|v| (key, v)));
        set("concurrency", self.concurrency.map(|n| n.to_string()));
        set("kinds", Some(self.kinds.join(",")).filter(|k| !k.is_empty()));
        set("listen_address", self.listen_address.clone());
        set("listen", self.poll_only.then(|| "false".to_owned()));
        set("worker", self.worker.clone());
        set("lease", self.lease.clone());
        flags
    }
}

pub async fn run(_: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let (stop, halt) = shutdown::listen()?;
    executor::run(&config, stop, halt).await?;
    Ok(ExitCode::SUCCESS)
}
