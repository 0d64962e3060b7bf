//! `make bench`: what rules cost, beside the same work without them and beside other ways to have them.
//!
//! | module | holds |
//! |---|---|
//! | [`options`] | the command line |
//! | [`case`] | what is measured, with its goal: one line of the table each |
//! | [`rules`] | the rules; `sql/schema.sql` has the table and the rows they meet |
//! | [`contender`] | the ways to have rules: tradeflow, and the others |
//! | [`workload`] | the twin tables, the upsert |
//! | [`bulk`], [`single`], [`memory`] | the measurements |
//! | [`stopwatch`], [`pairs`] | what work costs; ratios, medians, ranges |
//! | [`further`] | view rules, a million waiting timers, backtests |
//! | [`queue`] | the outbox beside job queues: drain, latency, growth |
//! | [`machine`], [`report`] | where the figures come from, and how they are told |

mod bulk;
mod case;
mod contender;
mod further;
mod machine;
mod memory;
mod options;
mod pairs;
mod queue;
mod report;
mod rules;
mod single;
mod stopwatch;
mod workload;

use crate::case::{Case, Kind};
use crate::options::Options;
use crate::report::{Figure, Report};
use crate::workload::{Twin, Twins};
use anyhow::{Context, Result};
use clap::Parser;
use tokio_postgres::Client;
use tradeflow_tests::cluster::{project, Cluster};

// One thread: a client that hands its work from thread to thread would be part of what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let cases = case::chosen(&options);
    let further_cases = further::chosen(&options);
    let queue_cases = queue::chosen(&options);
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        further_cases.iter().for_each(|case| println!("{}", case.name()));
        queue_cases.iter().for_each(|case| println!("{}", case.name()));
        return Ok(());
    }
    let cluster = Cluster::start();
    let client = cluster.connect("postgres").await;
    client.batch_execute("create extension tradeflow").await?;
    if !cases.is_empty() {
        workload::prepare(&client, options.rows()).await.context("preparing the tables")?;
    }
    let mut report = Report {
        at: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        quick: options.quick,
        rows: options.rows(),
        block: options.block(),
        rounds: options.rounds(),
        jobs: options.jobs(),
        machine: machine::Machine::read(),
        versions: machine::Versions::read(&client).await?,
        settings: machine::settings(&client).await?,
        warnings: Vec::new(),
        figures: Vec::new(),
        further: Vec::new(),
        queues: Vec::new(),
    };
    if options.quick {
        report.warnings.push("--quick: too few pairs for figures to quote".into());
    }
    if let (true, Some(case)) = (options.pause, cases.first()) {
        return pause(&cluster, &client, case).await;
    }
    tell(&options, &report.head());
    // One core for the server, a little for this client: what goes beyond is somebody else's.
    let mut load: f64 = report.machine.load_before;
    for case in &cases {
        load = load.max(machine::load());
        let figure =
            measure(&cluster, case, &options, &report.figures).await.with_context(|| case.name.clone())?;
        tell(&options, &figure.line());
        report.figures.push(figure);
    }
    for case in &further_cases {
        load = load.max(machine::load());
        let figure = case.measure(&cluster, &options).await?;
        tell(&options, &figure.text());
        report.further.push(figure);
    }
    for case in &queue_cases {
        let figure = case.measure(&cluster, &options, &report.queues).await.with_context(|| case.name())?;
        tell(&options, &figure.text());
        report.queues.push(figure);
    }
    if report.machine.load_before > 1.0 || load > 2.0 {
        let before = report.machine.load_before;
        report.warnings.push(format!(
            "something else was at work on this machine: load {before} before, up to {load} meanwhile"
        ));
    }
    tell(&options, &report.tail());
    write(&options, &report)
}

/// The tables and rules of a case, for somebody with a profiler.
async fn pause(cluster: &Cluster, client: &Client, case: &Case) -> Result<()> {
    let _twins = Twins::create(client, case.contender, case.mix, case.rules).await?;
    println!("{}\n", cluster.url("postgres"));
    for version in [1, 0] {
        println!(
            "{};\n",
            workload::upsert(Twin::With, &format!("select * from bench.{}_{version}", case.mix.payload()))
        );
    }
    println!("{} is set up; the table without is {}. Enter ends it.", case.name, workload::BARE);
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Measures a case on a session of its own: nobody's compiled rules, plans and caches are in it.
async fn measure(cluster: &Cluster, case: &Case, options: &Options, earlier: &[Figure]) -> Result<Figure> {
    let client = cluster.connect("postgres").await;
    let mut figure = Figure::new(case);
    match case.kind {
        Kind::Bulk(change) => {
            let measured = bulk::measure(&client, case, change, options.pairs(), options.rows()).await?;
            figure.firings = Some(measured.firings);
            figure.judge(case, measured.pairs, earlier);
        }
        Kind::Single(rows) => {
            let pairs = single::measure(&client, case, rows, options.pairs().max(9), options.block()).await?;
            figure.judge(case, pairs, earlier);
            let per_second = |seconds: f64| options.block() as f64 / seconds;
            figure.per_second = figure
                .bare_seconds
                .zip(figure.with_seconds)
                .map(|(bare, with)| (per_second(bare.median), per_second(with.median)));
        }
        Kind::Memory => {
            let other = cluster.connect("postgres").await;
            let rounds = if options.quick { 2 } else { 10 };
            figure.memory = Some(memory::measure(&client, &other, case, rounds, options.rows()).await?);
        }
    }
    Ok(figure)
}

fn tell(options: &Options, text: &str) {
    if options.json {
        eprintln!("{text}");
    } else {
        println!("{text}");
    }
}

fn write(options: &Options, report: &Report) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    let file = options.output.clone().unwrap_or_else(|| {
        let name = report.at.replace(':', "");
        project().join("target/bench").join(format!("{name}.json"))
    });
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(&file, &json).with_context(|| file.display().to_string())?;
    if options.json {
        println!("{json}");
    } else {
        println!("written to {}", file.display());
    }
    Ok(())
}
