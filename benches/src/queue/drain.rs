//! Figure 3: how fast jobs are done that are there already. Each round every contender has its turn, from an empty database.

use super::contender::{Contender, Queue};
use super::figure::{Figure, Line, Memory};
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::Result;
use std::time::{Instant, SystemTime};
use tradeflow_tests::cluster::Cluster;

/// What doing so many jobs took.
pub struct Drained {
    /// By whoever asks again and again whether all is done.
    pub per_second: f64,
    /// When they might take the first, by the database's clock.
    pub opened: SystemTime,
    /// Of the process that held most.
    pub memory: Memory,
}

/// Adds jobs, and has so many processes do them. The clock runs from when they may take the first to when the last is done.
pub async fn drain(queue: &mut Queue<'_>, processes: usize, jobs: i64) -> Result<Drained> {
    queue.fill(jobs).await?;
    queue.vacuum().await?;
    queue.client.batch_execute("checkpoint").await?;
    let (workers, gate) = queue.line_up(processes).await?;
    let most = |bytes: Vec<u64>| bytes.into_iter().max().unwrap_or_default();
    let idle = most(workers.iter().map(|w| w.resident()).collect::<Result<_>>()?);
    let opened = queue.client.query_one("select clock_timestamp()", &[]).await?.get(0);
    let began = Instant::now();
    gate.open().await?;
    queue.drained().await?;
    let seconds = began.elapsed().as_secs_f64();
    let peak = most(workers.iter().map(|w| w.peak()).collect::<Result<_>>()?);
    Ok(Drained { per_second: jobs as f64 / seconds, opened, memory: Memory { idle, peak } })
}

/// Everybody, `options.rounds()` times.
pub async fn measure(
    figure: &mut Figure,
    cluster: &Cluster,
    options: &Options,
    processes: usize,
    earlier: &[Figure],
) -> Result<()> {
    let mut rates = vec![Vec::new(); Contender::ALL.len()];
    let mut memory = [Memory::default(); Contender::ALL.len()];
    for _ in 0..options.rounds() {
        for (n, contender) in Contender::ALL.into_iter().enumerate() {
            let mut queue = Queue::create(cluster, contender, None).await?;
            let drained = drain(&mut queue, processes, options.jobs()).await?;
            rates[n].push(drained.per_second);
            memory[n] = memory[n].max(drained.memory);
        }
    }
    for (n, contender) in Contender::ALL.into_iter().enumerate() {
        let mut line = Line::of(contender, processes);
        line.per_second = Some(Spread::of(rates[n].iter().copied()));
        line.memory = Some(memory[n]);
        figure.lines.push(line);
    }
    // Round by round, so that what else the machine did is on both sides.
    let ratios = (0..options.rounds()).map(|round| {
        let peer = rates[1..].iter().map(|rates| rates[round]).fold(0.0, f64::max);
        rates[0][round] / peer
    });
    figure.ratio = Some(Spread::of(ratios));
    // The goal is about the fastest way a peer has, at whatever number of processes.
    let fastest = |of: &dyn Fn(Contender) -> bool| {
        let all = earlier.iter().chain([&*figure]).filter(|f| f.name.starts_with("drain/"));
        all.flat_map(|f| &f.lines)
            .filter(|line| of(line.contender))
            .filter_map(|line| line.per_second.map(|rate| rate.median))
            .fold(0.0, f64::max)
    };
    let (ours, theirs) = (fastest(&|c| c == Contender::Tradeflow), fastest(&|c| c != Contender::Tradeflow));
    figure.goal = Some(format!(
        "≥ 2 × the fastest peer, each at its best number of processes so far ({:.2})",
        ours / theirs
    ));
    figure.met = Some(ours >= 2.0 * theirs);
    Ok(())
}
