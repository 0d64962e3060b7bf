//! The sync job: rows a second into Postgres from a fake store that does not throttle, with 100 rules on; the most memory it takes
//! for few rows and for many; requests for each thing that changed.
//!
//! The store, the sync and Postgres share this machine's processors, so the figure is what all three manage together; how
//! much of them each took is said beside it.

use super::Figure;
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{ensure, Context, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tradeflow_fakes::bigcommerce::state::{Entity, Store};
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_tests::database::Database;
use tradeflow_tests::sidecar::{Sidecar, Tradeflow};

pub const NAME: &str = "sync/orders/100";

const RULES: usize = 100;
/// Rows of an order: itself and its lines.
const ROWS_OF_AN_ORDER: i64 = 4;
const GOAL: f64 = 20_000.0;
/// Memory for ten times the rows may be so much more.
const FLAT: f64 = 1.2;
/// Things that change for the count of requests.
const CHANGES: usize = 20;

fn tradeflow(db: &Database, shop: &BigCommerce, arguments: &[&str]) -> Tradeflow {
    Tradeflow::on(db, ["sync", "once", "--json"].into_iter().chain(arguments.iter().copied()))
        .env("TRADEFLOW_BIGCOMMERCE_STORE_HASH", &shop.store_hash())
        .env("TRADEFLOW_BIGCOMMERCE_CORE_URL", &shop.url())
        .env("TRADEFLOW_BIGCOMMERCE_B2B_URL", &shop.url())
        .env("TRADEFLOW_BIGCOMMERCE_REQUESTS_PER_MINUTE", "0")
        .env("TRADEFLOW_BIGCOMMERCE_ACCESS_TOKEN", "env:TRADEFLOW_BENCH_TOKEN")
        .env("TRADEFLOW_BENCH_TOKEN", &shop.token())
        .env("TRADEFLOW_LOG", "warn")
}

/// Half of the rules are about orders, half about lines; none of them fires, as almost none does for almost every row.
async fn rules(db: &Database, count: usize) {
    for n in 0..count {
        let (source, condition) = match n % 2 {
            0 => ("store.orders", format!("new.status_id = {} and new.total > {}", n % 15, 1_000_000 + n)),
            _ => (
                "store.order_items",
                format!("new.base_price > {} and new.quantity >= {}", 1_000_000 + n, n % 40),
            ),
        };
        db.execute(
            "insert into tradeflow.rules (name, source, condition) values ($1, $2::text::regclass, $3)",
            &[&format!("r{n:04}"), &source, &condition],
        )
        .await;
    }
}

/// What a load took.
struct Load {
    per_second: f64,
    /// The most memory that the sync held, in MiB.
    peak: f64,
    /// Seconds of processor time for each of wall: of the sync, and of the store (this process).
    sync: f64,
    store: f64,
}

/// Loads so many rows into an empty database with so many rules.
async fn load(rows: i64, count: usize) -> Result<Load> {
    let db = Database::with_store().await;
    rules(&db, count).await;
    let shop = BigCommerce::empty();
    shop.edit(|store| store.generated_orders = rows / ROWS_OF_AN_ORDER);
    let (began, store_before) = (Instant::now(), processor(std::process::id())?);
    let mut running = tradeflow(&db, &shop, &["orders", "--fire"]).start();
    let (mut peak, mut sync) = (0.0, 0.0);
    while running.is_running() {
        // Neither can be read once it has ended.
        peak = resident(&running).unwrap_or(peak);
        sync = processor(running.id()).unwrap_or(sync);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let store = processor(std::process::id())? - store_before;
    let stored: i64 =
        db.one("select (select count(*) from store.orders) + (select count(*) from store.order_items)").await;
    ensure!(stored == rows, "{stored} of {rows} rows arrived:\n{}", running.log());
    let incidents: i64 = db.one("select count(*) from tradeflow.incidents").await;
    ensure!(incidents == 0, "{incidents} incidents");
    Ok(Load { per_second: stored as f64 / seconds, peak, sync: sync / seconds, store: store / seconds })
}

/// The most memory that a process has held, in MiB.
fn resident(sidecar: &Sidecar) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", sidecar.id()))?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).context("the kernel tells no memory")?;
    let kilobytes: f64 = line.trim_start_matches("VmHWM:").trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// Seconds of processor time that a process, with all its threads, has used.
fn processor(process: u32) -> Result<f64> {
    // Linux counts in hundredths of a second here, whatever its clock; the name in parentheses may hold spaces.
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = text.rsplit_once(')').context("the kernel tells no processor time")?.1;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    ensure!(ticks.len() == 2, "the kernel tells no processor time");
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Changes things in the sample store, a kind at a time, and counts what a run asks for.
async fn requests() -> Result<Vec<(&'static str, f64)>> {
    let db = Database::with_store().await;
    let shop = BigCommerce::start();
    let resources = ["companies", "quotes", "orders", "products"];
    tradeflow(&db, &shop, &resources).run().success();
    let mut figures = Vec::new();
    for resource in resources {
        shop.edit(|store| {
            let ids = |of: &BTreeMap<i64, Entity>| of.keys().copied().take(CHANGES).collect::<Vec<i64>>();
            let (ids, patch): (_, fn(&mut Store, i64)) = match resource {
                "companies" => {
                    (ids(&store.companies), |s, id| s.patch_company(id, json!({"companyPhone": "1"})))
                }
                "quotes" => (ids(&store.quotes), |s, id| s.patch_quote(id, json!({"notes": "1"}))),
                "orders" => (ids(&store.orders), |s, id| s.patch_order(id, json!({"staff_notes": "1"}))),
                _ => (ids(&store.products), |s, id| s.patch_product(id, json!({"name": "1"}))),
            };
            ids.into_iter().for_each(|id| patch(store, id));
        });
        let said = tradeflow(&db, &shop, &[resource]).run();
        said.success();
        let summary = said.json();
        let counts = &summary["resources"][0];
        ensure!(counts["updated"] == json!(CHANGES), "{resource}: {counts}");
        let asked = counts["requests"].as_u64().context("a count of requests")?;
        figures.push((resource, asked as f64 / CHANGES as f64));
    }
    Ok(figures)
}

pub async fn measure(options: &Options) -> Result<Figure> {
    let rows = options.synced();
    let one = |value: f64| Spread::of([value].into_iter());
    // What rules add is told of the larger load, unless it takes minutes.
    let of_all = rows <= 100_000;
    let compared = if of_all { rows } else { rows / 10 };
    let (mut loads, mut tenths, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds().min(3) {
        tenths.push(load(rows / 10, RULES).await?);
        bare.push(load(compared, 0).await?);
        loads.push(load(rows, RULES).await?);
    }
    let of = |figure: fn(&Load) -> f64| Spread::of(loads.iter().map(figure));
    let little = Spread::of(tenths.iter().map(|load| load.peak));
    let added = |(with, without): (&Load, &Load)| 1e6 / with.per_second - 1e6 / without.per_second;
    let (per_second, peak) = (of(|l| l.per_second), of(|l| l.peak));
    let mut values = vec![
        (format!("rows a second, of {rows}, with {RULES} rules"), per_second),
        (
            format!("µs that {RULES} rules add to a row, of {compared}"),
            Spread::of(if of_all { &loads } else { &tenths }.iter().zip(&bare).map(added)),
        ),
        (format!("most memory of the sync for {} rows, MiB", rows / 10), little),
        (format!("most memory of the sync for {rows} rows, MiB"), peak),
        ("processors used by the sync".to_owned(), of(|l| l.sync)),
        ("processors used by the store it reads".to_owned(), of(|l| l.store)),
    ];
    for (resource, count) in requests().await? {
        values.push((format!("requests for each of {CHANGES} changed {resource}"), one(count)));
    }
    Ok(Figure {
        name: NAME,
        values,
        goal: Some(format!("{GOAL:.0} rows/s, and at most {FLAT} times the memory for ten times the rows")),
        met: Some(per_second.median >= GOAL && peak.median <= little.median * FLAT),
    })
}
