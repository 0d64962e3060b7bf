//! Figure 5: whether what lies about slows the queue down. Both sides are drained in turn, in one run.

use super::contender::{Contender, Queue};
use super::drain::drain;
use super::figure::{Figure, Line, Sample};
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{ensure, Result};
use std::time::{Duration, Instant};
use tokio_postgres::Client;
use tradeflow_tests::cluster::Cluster;

/// Rows that are written in one statement.
const CHUNK: i64 = 250_000;
/// Jobs a second while the snapshot is held, in so many transactions.
const PER_SECOND: i64 = 500;
const TRANSACTIONS: u32 = 10;

/// Beside rows that wait for a later time.
pub async fn waiting(figure: &mut Figure, cluster: &Cluster, options: &Options) -> Result<()> {
    let mut full = Queue::named(cluster, Contender::Tradeflow, None, "waiting").await?;
    let rows = options.waiting();
    let mut written = 0;
    while written < rows {
        let to = (written + CHUNK).min(rows);
        full.client.execute(include_str!("../../sql/waiting.sql"), &[&(written + 1), &to]).await?;
        written = to;
        eprint!("\r{written} of {rows} waiting rows");
    }
    eprintln!();
    let (quiet, rates) = in_turn(&mut full, cluster, options).await?;
    judge(figure, Contender::Tradeflow, &quiet, &rates, format!("{rows} rows waiting"));
    Ok(())
}

/// While a transaction is open that has seen the queue when it was empty: nothing that is done since can be vacuumed.
pub async fn snapshot(figure: &mut Figure, cluster: &Cluster, options: &Options) -> Result<()> {
    let admin = cluster.connect("postgres").await;
    // It is part of what is measured: what it could remove, it does.
    autovacuum(&admin, "on").await?;
    let contenders = if options.full { &Contender::ALL[..] } else { &Contender::ALL[..1] };
    for contender in contenders {
        let mut held = Queue::named(cluster, *contender, None, "held").await?;
        let holder = held.connect().await;
        holder
            .batch_execute("begin isolation level repeatable read; select count(*) from pg_catalog.pg_class")
            .await?;
        let over_time = work_for(&mut held, options.hold()).await?;
        let (quiet, rates) = in_turn(&mut held, cluster, options).await?;
        holder.batch_execute("commit").await?;
        let note = format!("a transaction open for {} s before", options.hold().as_secs());
        judge(figure, *contender, &quiet, &rates, note);
        if let Some(line) = figure.lines.last_mut() {
            line.over_time = over_time;
        }
    }
    autovacuum(&admin, "off").await
}

/// Drains a quiet queue and this one, in turn: the rates of both. The first round warms up.
async fn in_turn(
    queue: &mut Queue<'_>,
    cluster: &Cluster,
    options: &Options,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut quiet = Queue::create(cluster, queue.contender, None).await?;
    let (mut quiet_rates, mut rates) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds() {
        let quiet_rate = rate(&mut quiet, options.jobs()).await?;
        let rate = rate(queue, options.jobs()).await?;
        if round > 0 {
            quiet_rates.push(quiet_rate);
            rates.push(rate);
        }
    }
    Ok((quiet_rates, rates))
}

/// Jobs a second. Ours by the time of the last end, which the history has: among millions of rows, dead or waiting, the question whether any
/// job is left takes a tenth of a second, and is asked too seldom to tell.
async fn rate(queue: &mut Queue<'_>, jobs: i64) -> Result<f64> {
    let drained = drain(queue, 1, jobs).await?;
    if queue.contender != Contender::Tradeflow {
        return Ok(drained.per_second);
    }
    let last = "select extract(epoch from max(finished_at) - $1)::float8, count(*) from tradeflow.outbox_history where finished_at >= $1";
    let row = queue.client.query_one(last, &[&drained.opened]).await?;
    let (seconds, ended): (f64, i64) = (row.get(0), row.get(1));
    ensure!(ended == jobs, "{ended} of {jobs} jobs ended");
    Ok(jobs as f64 / seconds)
}

/// A steady load, and what it leaves in the tables.
async fn work_for(queue: &mut Queue<'_>, time: Duration) -> Result<Vec<Sample>> {
    let _workers = queue.start(1)?;
    let began = Instant::now();
    let (mut jobs, mut samples) = (0, Vec::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1) / TRANSACTIONS);
    while began.elapsed() < time {
        tick.tick().await;
        let some = PER_SECOND / i64::from(TRANSACTIONS);
        queue.fill(some).await?;
        jobs += some;
        // Ten samples, whatever the time.
        if began.elapsed() >= time.mul_f64((samples.len() + 1) as f64 / 10.0) {
            samples.push(Sample { second: began.elapsed().as_secs(), jobs, sizes: queue.sizes().await? });
        }
    }
    queue.drained().await?;
    Ok(samples)
}

fn judge(figure: &mut Figure, contender: Contender, quiet: &[f64], rates: &[f64], note: String) {
    for (rates, note) in [(quiet, "an empty, quiet queue".into()), (rates, note)] {
        let mut line = Line::of(contender, 1);
        line.per_second = Some(Spread::of(rates.iter().copied()));
        line.note = note;
        figure.lines.push(line);
    }
    if contender == Contender::Tradeflow {
        let ratio = Spread::of(rates.iter().zip(quiet).map(|(with, quiet)| with / quiet));
        figure.goal = Some("≥ 0.9".into());
        figure.met = Some(ratio.median >= 0.9);
        figure.ratio = Some(ratio);
    }
}

async fn autovacuum(admin: &Client, on: &str) -> Result<()> {
    admin.batch_execute(&format!("alter system set autovacuum = {on}")).await?;
    admin.batch_execute("alter system set autovacuum_naptime = '10s'").await?;
    admin.batch_execute("select pg_reload_conf()").await?;
    Ok(())
}
