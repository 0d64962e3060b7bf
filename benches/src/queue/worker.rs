//! A worker process of a contender.

use super::contender::Contender;
use anyhow::{ensure, Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tradeflow_tests::cluster::project;
use tradeflow_tests::process::Process;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

/// Dropping it kills it.
pub enum Worker {
    Sidecar(Sidecar),
    Peer(Process),
}

/// The folder with the peers and their Node, installed when first asked for.
fn peers() -> Result<&'static Path> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    if let Some(folder) = FOLDER.get() {
        return Ok(folder);
    }
    let script = project().join("scripts/bench-peers.sh");
    let output = Command::new(&script).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed: {}", script.display(), output.status);
    Ok(FOLDER.get_or_init(|| String::from_utf8_lossy(&output.stdout).trim().into()))
}

fn peer(contender: Contender, url: &str, what: &str) -> Result<Command> {
    let folder = peers()?;
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let node = folder.join(format!("node_modules/node-linux-{machine}/bin/node"));
    let mut command = Command::new(node);
    command.current_dir(folder).args(["worker.mjs", contender.name(), what]).env("DATABASE_URL", url);
    Ok(command)
}

impl Worker {
    /// Makes a peer's tables.
    pub fn set_up_peer(contender: Contender, url: &str) -> Result<()> {
        let output = peer(contender, url, "setup")?.output().context("running Node")?;
        ensure!(
            output.status.success(),
            "{}: {}{}",
            contender.name(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts one and waits until it says that it is ready. Nobody logs single jobs.
    pub fn start(contender: Contender, url: &str, deliver_to: Option<&str>) -> Result<Worker> {
        if contender == Contender::Tradeflow {
            let mut sidecar = Tradeflow::new(["run"])
                .env("TRADEFLOW_DATABASE_URL", url)
                .env(
                    "TRADEFLOW_LOG",
                    "warn,tradeflow_sidecar::executor=info,tradeflow_sidecar::executor::dispatch=warn",
                )
                .start();
            sidecar.wait_for_log("sidecar is running");
            return Ok(Worker::Sidecar(sidecar));
        }
        let mut command = peer(contender, url, "work")?;
        if let Some(url) = deliver_to {
            command.env("DELIVER_TO", url);
        }
        let mut process = Process::start(contender.name(), &command);
        process.wait_for("that it is ready", |line| (line == "ready").then_some(()));
        Ok(Worker::Peer(process))
    }

    fn id(&self) -> u32 {
        match self {
            Worker::Sidecar(sidecar) => sidecar.id(),
            Worker::Peer(process) => process.id(),
        }
    }

    /// What of it is in memory now, in bytes.
    pub fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that was, since it began.
    pub fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = text.lines().find(|line| line.starts_with(field)).context("the kernel tells no memory")?;
        let kilobytes: u64 = line.trim_start_matches(field).trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }
}
