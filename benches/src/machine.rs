//! Where the figures come from: the machine, the versions, the settings.

use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::Command;
use tokio_postgres::Client;

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gb: f64,
    pub kernel: String,
    pub load_before: f64,
}

#[derive(Debug, Serialize)]
pub struct Versions {
    pub postgres: String,
    pub tradeflow: String,
    pub rustc: String,
    /// The commit the extension was built from, and whether its sources differed from it.
    pub commit: String,
}

/// Settings of the server that decide how long an upsert takes.
const SETTINGS: [&str; 11] = [
    "autovacuum",
    "checkpoint_timeout",
    "effective_io_concurrency",
    "fsync",
    "full_page_writes",
    "jit",
    "max_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "wal_level",
    "work_mem",
];

impl Machine {
    pub fn read() -> Machine {
        let field = |file: &str, name: &str| {
            std::fs::read_to_string(file)
                .unwrap_or_default()
                .lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
                .unwrap_or_default()
        };
        let kilobytes =
            field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
        Machine {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: (kilobytes / 104_857.6).round() / 10.0,
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load_before: load(),
        }
    }
}

/// The load of the last minute; 0 where it cannot be told.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

impl Versions {
    pub async fn read(client: &Client) -> Result<Versions> {
        Ok(Versions {
            postgres: client.query_one("show server_version", &[]).await?.get(0),
            tradeflow: client.query_one("select tradeflow.version()", &[]).await?.get(0),
            rustc: said("rustc", &["--version"]),
            commit: built_from(),
        })
    }
}

/// What scripts/bench.sh noted beside the library when it built it.
fn built_from() -> String {
    let stage = std::env::var_os("TRADEFLOW_STAGE").unwrap_or_default();
    let noted = std::fs::read_to_string(std::path::Path::new(&stage).join("commit")).unwrap_or_default();
    match noted.trim() {
        "" => "built from unknown sources".to_owned(),
        commit => commit.to_owned(),
    }
}

/// What a program prints; nothing where there is no such program.
fn said(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(tradeflow_tests::cluster::project()).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

pub async fn settings(client: &Client) -> Result<BTreeMap<String, String>> {
    let names: Vec<&str> = SETTINGS.to_vec();
    let rows = client
        .query("select name, current_setting(name) from pg_settings where name = any ($1)", &[&names])
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
