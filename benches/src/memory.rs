//! What it takes a backend to compile 1,000 rules, what it holds for them, and that it does not grow with the rows they are asked about.

use crate::case::Case;
use crate::workload::{Twin, Twins};
use anyhow::{Context, Result};
use serde::Serialize;
use tokio_postgres::Client;

/// In bytes, and seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// What a session's first change takes longer than its second.
    pub compile_seconds: f64,
    /// Postgres' memory contexts of tradeflow's, with what hangs below them.
    pub contexts: i64,
    /// The process' own memory (RssAnon) gained by the first upsert with rules, after one without.
    pub process: i64,
    /// All memory contexts of the backend.
    pub all_contexts: i64,
    /// What they gained while as many rows were evaluated.
    pub all_contexts_growth: i64,
    /// What the contexts gained while `rows` more rows were evaluated.
    pub contexts_growth: i64,
    /// What the process gained meanwhile.
    pub process_growth: i64,
    pub rows: i64,
}

/// Measures on a session of its own, whose backend is fresh.
pub async fn measure(
    client: &Client,
    other: &Client,
    case: &Case,
    rounds: usize,
    rows: i32,
) -> Result<Memory> {
    // Set up by another session: the backend that is measured has not seen the rules yet.
    Twins::create(other, case.contender, case.mix, case.rules).await?;
    let twins = Twins::existing(client, case.contender, case.mix).await?;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
    twins.upsert(Twin::Bare, 1).await?;
    let bare = resident(pid)?;
    let (first, second) = (twins.touch(Twin::With).await?, twins.touch(Twin::With).await?);
    for version in [1, 0] {
        twins.upsert(Twin::With, version).await?;
        twins.tidy().await?;
    }
    let (contexts, process) = (held(client).await?, resident(pid)?);
    let all = total(client).await?;
    for round in 0..rounds {
        twins.upsert(Twin::With, (round + 1) % 2).await?;
        twins.tidy().await?;
    }
    let result = Memory {
        compile_seconds: first.wall - second.wall,
        contexts,
        process: process - bare,
        all_contexts: all,
        all_contexts_growth: total(client).await? - all,
        contexts_growth: held(client).await? - contexts,
        process_growth: resident(pid)? - process,
        rows: rounds as i64 * i64::from(rows),
    };
    twins.drop().await?;
    Ok(result)
}

async fn held(client: &Client) -> Result<i64> {
    let sum = "select coalesce(sum(total_bytes), 0)::bigint from pg_backend_memory_contexts
               where name like 'tradeflow%' or parent like 'tradeflow%'";
    Ok(client.query_one(sum, &[]).await?.get(0))
}

async fn total(client: &Client) -> Result<i64> {
    let sum = "select sum(total_bytes)::bigint from pg_backend_memory_contexts";
    Ok(client.query_one(sum, &[]).await?.get(0))
}

fn resident(pid: i32) -> Result<i64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find(|line| line.starts_with("RssAnon:")).context("the kernel tells no RssAnon")?;
    let kilobytes: i64 = line.trim_start_matches("RssAnon:").trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
