//! The command line.

use crate::case::Case;
use crate::contender::Contender;
use crate::rules::Mix;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measures what rules cost: each figure is a ratio to the same work without them, taken side by side in one run on a
/// private Postgres.
#[derive(Debug, Parser)]
#[command(name = "make bench", version)]
pub struct Options {
    /// Fewer pairs and rows: shows that it works and roughly where things stand; no figures to quote
    #[arg(long)]
    pub quick: bool,

    /// Also what takes long: the other ways with 1,000 rules, the peers beside a held snapshot
    #[arg(long)]
    pub full: bool,

    /// Only cases whose name has this in it (several: any of them)
    #[arg(long, value_name = "WORD")]
    pub only: Vec<String>,

    /// Pairs of measurements for each figure [default: 9, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: Option<u32>,

    /// Rows of the bulk upsert [default: 100000, with --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(10_000..))]
    pub rows: Option<i32>,

    /// Rounds of the cases about queues [default: 5, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Jobs that are drained in each round [default: 50000, with --quick 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1_000..))]
    pub jobs: Option<i64>,

    /// Rows that wait in growth/waiting [default: 10000000, with --quick 200000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub waiting: Option<i64>,

    /// Rows that are synced in sync/orders/100 [default: 1000000, with --quick 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(10_000..))]
    pub synced: Option<i64>,

    /// Seconds for which growth/snapshot holds a snapshot under load [default: 600, with --quick 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub hold: Option<u64>,

    /// The JSON goes to standard output, the table to standard error
    #[arg(long)]
    pub json: bool,

    /// The JSON is written here [default: target/bench/<time>.json]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Sets the first case up, says how to connect to it, and waits for Enter: for a profiler
    #[arg(long)]
    pub pause: bool,

    /// Lists the cases and ends
    #[arg(long)]
    pub list: bool,
}

impl Options {
    pub fn pairs(&self) -> usize {
        self.pairs.map_or(if self.quick { 3 } else { 9 }, |n| n as usize)
    }

    pub fn rows(&self) -> i32 {
        self.rows.unwrap_or(if self.quick { 20_000 } else { 100_000 })
    }

    /// Single-row upserts in each half of a pair.
    pub fn block(&self) -> usize {
        if self.quick {
            1_000
        } else {
            5_000
        }
    }

    pub fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 2 } else { 5 }, |n| n as usize)
    }

    pub fn jobs(&self) -> i64 {
        self.jobs.unwrap_or(if self.quick { 10_000 } else { 50_000 })
    }

    pub fn waiting(&self) -> i64 {
        self.waiting.unwrap_or(if self.quick { 200_000 } else { 10_000_000 })
    }

    /// A multiple of 40: a tenth of them are whole orders, too.
    pub fn synced(&self) -> i64 {
        self.synced.unwrap_or(if self.quick { 100_000 } else { 1_000_000 }) / 40 * 40
    }

    pub fn hold(&self) -> Duration {
        Duration::from_secs(self.hold.unwrap_or(if self.quick { 30 } else { 600 }))
    }

    /// Deliveries whose latency is taken.
    pub fn samples(&self) -> usize {
        if self.quick {
            200
        } else {
            1_000
        }
    }

    /// Whether a case of this name is asked for.
    pub fn names(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    pub fn wants(&self, case: &Case) -> bool {
        let slow =
            case.rules >= 1000 && (case.contender != Contender::Tradeflow || case.mix == Mix::Arithmetic);
        (self.full || !slow) && self.names(&case.name)
    }
}
