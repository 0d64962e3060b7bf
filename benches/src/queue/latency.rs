//! Figure 4: from the commit of a change to the arrival of what it caused, over HTTP, at a server of the benchmark's own.

use super::contender::{Contender, Queue};
use super::figure::{Figure, Latency, Line, Memory};
use crate::options::Options;
use anyhow::{bail, Result};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tradeflow_tests::cluster::Cluster;
use tradeflow_tests::http::HttpSink;

/// What else goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    Idle,
    /// [`BATCH`] further jobs every [`EVERY`], in one transaction.
    Steady,
}

/// 500 jobs a second: less than the slowest contender can deliver here, so that no queue builds up.
const BATCH: i64 = 50;
const EVERY: Duration = Duration::from_millis(100);
/// Between two jobs whose latency is taken.
const PAUSE: Duration = Duration::from_millis(23);

impl Load {
    pub fn name(self) -> &'static str {
        match self {
            Load::Idle => "idle",
            Load::Steady => "load",
        }
    }
}

pub async fn measure(figure: &mut Figure, cluster: &Cluster, options: &Options, load: Load) -> Result<()> {
    for contender in Contender::ALL {
        let sink = HttpSink::start();
        let mut queue = Queue::create(cluster, contender, Some(sink.url())).await?;
        queue.vacuum().await?;
        let workers = queue.start(1)?;
        // Connections, plans and compiled code are there before the clock is looked at.
        queue.fill(200).await?;
        queue.drained().await?;
        let idle = workers[0].resident()?;
        let committed = match load {
            Load::Idle => singles(&mut queue, options.samples()).await?,
            Load::Steady => beside_load(&mut queue, options.samples()).await?,
        };
        queue.drained().await?;
        let arrived: HashMap<String, Instant> = sink
            .requests()
            .into_iter()
            .map(|request| (request.uri.path()[1..].to_owned(), request.at))
            .collect();
        let mut latencies = Vec::with_capacity(committed.len());
        for (n, at) in committed {
            match arrived.get(&n.to_string()) {
                Some(arrival) => latencies.push(arrival.saturating_duration_since(at).as_secs_f64()),
                None => bail!("{}: job {n} did not arrive", contender.name()),
            }
        }
        let mut line = Line::of(contender, 1);
        line.latency = Some(Latency::of(latencies));
        line.memory = Some(Memory { idle, peak: workers[0].peak()? });
        figure.lines.push(line);
    }
    if load == Load::Idle {
        let p99 = figure.lines[0].latency.map_or(f64::NAN, |latency| latency.p99);
        figure.goal = Some("p99 < 20 ms".into());
        figure.met = Some(p99 < 0.020);
    }
    Ok(())
}

async fn singles(queue: &mut Queue<'_>, samples: usize) -> Result<Vec<(i64, Instant)>> {
    let mut committed = Vec::with_capacity(samples);
    for _ in 0..samples {
        committed.push(queue.add().await?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(committed)
}

async fn beside_load(queue: &mut Queue<'_>, samples: usize) -> Result<Vec<(i64, Instant)>> {
    let mut committed = Vec::with_capacity(samples);
    let mut next = Instant::now();
    while committed.len() < samples {
        if next <= Instant::now() {
            queue.fill(BATCH).await?;
            next += EVERY;
        }
        committed.push(queue.add().await?);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(committed)
}
