//! All recipes on at once: what an upsert of a store's rows takes longer than in a bare twin of the store, and how long it is from an
//! upsert to the last delivery of what it caused.

use super::{run, settle, Figure};
use crate::options::Options;
use crate::pairs::{Measure, Pairs, Spread};
use crate::stopwatch::Stopwatch;
use anyhow::{ensure, Result};
use serde_json::json;
use std::fmt::Write;
use std::time::Instant;
use tokio_postgres::Client;
use tradeflow_fakes::bigcommerce::BigCommerce;
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;
use tradeflow_tests::database::Database;
use tradeflow_tests::jobs::Target;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::project::Shop;
use tradeflow_tests::sidecar::Tradeflow;

pub const NAME: &str = "recipes";

const GOAL: f64 = 1.6;
/// Firings of which the last delivery is waited for.
const FIRINGS: i64 = 10_000;
/// Rows for each company of `sql/recipes.sql`.
const ROWS_OF_A_COMPANY: i32 = 20;
/// In the order in which a sync reads them.
const TABLES: [(&str, &str); 7] = [
    ("companies", "company_id"),
    ("company_users", "b2b_user_id"),
    ("quotes", "quote_id"),
    ("quote_items", "quote_id, line_key"),
    ("orders", "bc_order_id"),
    ("invoices", "invoice_id"),
    ("products", "product_id"),
];

/// Two stores of the same rows and the same past.
struct Twin {
    client: Client,
    watch: Stopwatch,
    upsert: [String; 2],
}

pub async fn measure(options: &Options) -> Result<Figure> {
    let companies = options.rows() / ROWS_OF_A_COMPANY;
    let bare = Database::with_store().await;
    bare.sql("select tradeflow.unwatch(name::regclass) from tradeflow.watched_tables").await;
    let shop = Shop::new().await;
    let recipes = apply_all(&shop).await;
    let twins = [Twin::load(&bare, companies).await?, Twin::load(&shop.db, companies).await?];
    let (mut pairs, mut firings) = (Pairs::default(), Vec::new());
    // The first time is compiling, and rows that never were updated.
    for round in 0..options.pairs() + 1 {
        let mut costs = [Default::default(); 2];
        for twin in [round % 2, 1 - round % 2] {
            twins[twin].settle().await?;
            costs[twin] = twins[twin].sync((round + 1) % 2).await?;
        }
        if round > 0 {
            pairs.0.push(costs);
            let count = "select count(*) from tradeflow.outbox where step = 1 or step is null";
            firings.push(shop.db.one::<i64>(count).await as f64);
        }
    }
    shop.db.sql("select tradeflow.tick()").await;
    let incidents = shop.db.incidents().await;
    ensure!(incidents.is_empty(), "{incidents:?}");
    let ratio = pairs.ratio(Measure::Time);
    let mut values = vec![
        ("recipes".into(), one(recipes as f64)),
        (format!("upsert of {} rows, bare, s", rows(companies)), pairs.bare()),
        ("the same with all recipes, s".into(), pairs.with()),
        ("ratio of the pairs, wall".into(), ratio),
        ("ratio of the pairs, the backend's own time".into(), pairs.cpu_ratio(Measure::Time)),
        ("firings of each".into(), Spread::of(firings.into_iter())),
    ];
    drop((twins, bare, shop));
    values.extend(deliver(options).await?);
    Ok(Figure {
        name: NAME,
        values,
        goal: Some(format!("ratio of the pairs ≤ {GOAL}")),
        met: Some(ratio.median <= GOAL),
    })
}

fn one(value: f64) -> Spread {
    Spread::of([value].into_iter())
}

fn rows(companies: i32) -> i32 {
    companies * ROWS_OF_A_COMPANY
}

/// Adds and applies every recipe there is; how many.
async fn apply_all(shop: &Shop) -> usize {
    let list = Tradeflow::new(["recipe", "list", "--json"]).run().json();
    let names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(|r| r["name"].as_str()).collect();
    for name in &names {
        shop.run(["recipe", "add", name]).success();
    }
    shop.run(["apply"]).success();
    // Two hundred changes of a kind in one statement are business as usual here, and so are two hundred thousand.
    shop.db
        .sql(
            "update tradeflow.rules set max_firings = 100000000, max_per_subject = 1000000;
             insert into store.sales_staff (sales_staff_id, name, email, raw) values (301, 'Rita Rep', 'rita@example.com', '{}');
             insert into tradeflow.pool_members (pool, member) select name, '301' from tradeflow.pools",
        )
        .await;
    names.len()
}

impl Twin {
    /// Loads version 0, silently, as a first sync does.
    async fn load(db: &Database, companies: i32) -> Result<Twin> {
        let client = db.connect().await;
        run(&client, include_str!("../../sql/recipes.sql")).await?;
        let mut upsert = [String::new(), String::new()];
        for (table, key) in TABLES {
            for (version, upsert) in upsert.iter_mut().enumerate() {
                let rows = format!("payload.{table}_{version}");
                run(
                    &client,
                    &format!("create table {rows} as select * from payload.{table}({version}, {companies})"),
                )
                .await?;
                run(&client, &format!("analyze {rows}")).await?;
                let columns = "select array_agg(quote_ident(attname) order by attnum) from pg_attribute where attrelid = $1::text::regclass and attnum > 0";
                let columns: Vec<String> = client.query_one(columns, &[&rows]).await?.get(0);
                let set: Vec<String> = columns.iter().map(|c| format!("{c} = excluded.{c}")).collect();
                writeln!(
                    upsert,
                    "insert into store.{table} ({}) select * from {rows} on conflict ({key}) do update set {}, synced_at = now();",
                    columns.join(", "),
                    set.join(", ")
                )?;
            }
        }
        run(&client, &format!("begin; set local tradeflow.mode = 'silent'; {} commit", upsert[0])).await?;
        let watch = Stopwatch::of(&client).await?;
        Ok(Twin { client, watch, upsert })
    }

    /// One upsert a table, in one transaction: view rules are asked at its end.
    async fn sync(&self, version: usize) -> Result<crate::pairs::Cost> {
        let running = self.watch.start()?;
        run(&self.client, &format!("begin; {} commit", self.upsert[version])).await?;
        running.stop()
    }

    /// What the one before has left behind is gone: its dead rows, its firings.
    async fn settle(&self) -> Result<()> {
        run(&self.client, "delete from tradeflow.outbox").await?;
        run(&self.client, "delete from tradeflow.recent_firings").await?;
        let tables: Vec<String> = TABLES.iter().map(|(table, _)| format!("store.{table}")).collect();
        settle(
            &self.client,
            &format!("{}, tradeflow.outbox, tradeflow.recent_firings, tradeflow.members", tables.join(", ")),
        )
        .await
    }
}

/// From the beginning of an upsert of new quotes, each with a line a quarter below its base price, until everything that it caused has
/// been delivered: by one sidecar, to a real mail server and to the fakes of the vendors, on this machine too.
async fn deliver(options: &Options) -> Result<Vec<(String, Spread)>> {
    let (store, crm, google, mail) =
        (BigCommerce::empty(), HubSpot::start(), Google::start(), MailSink::start());
    // The one that the recipe names until somebody sets another; it has a tab of the merchant's own.
    google.spreadsheet("the-id-in-its-address", "Notes", json!([["Ours"]]));
    let shop = Shop::new().await;
    let db = &shop.db;
    let target = |system, base_url: String, secret| Target { system, base_url, secret, ..Target::default() };
    target("smtp", mail.url(), None).insert(db, "smtp").await;
    let hash = format!("{}/stores/{}", store.url(), store.store_hash());
    target("bigcommerce", hash, Some("env:BIGCOMMERCE_TOKEN")).insert(db, "bigcommerce").await;
    target("hubspot", crm.url(), Some("env:HUBSPOT_TOKEN")).insert(db, "hubspot").await;
    target("google", google.url(), Some("env:GOOGLE_SERVICE_ACCOUNT")).insert(db, "sheets").await;
    apply_all(&shop).await;
    db.sql(
        "set tradeflow.mode = 'silent';
         insert into store.companies (company_id, company_name, status, raw) select i, 'Company ' || i, 1, '{}' from generate_series(1, 500) i;
         reset tradeflow.mode",
    )
    .await;
    let _sidecar = Tradeflow::on(db, ["run"])
        .env("BIGCOMMERCE_TOKEN", &store.token())
        .env("HUBSPOT_TOKEN", &crm.token())
        .env("GOOGLE_SERVICE_ACCOUNT", &google.key_file())
        .env("TRADEFLOW_LOG", "warn")
        .start();
    let upsert = |from: i64, to: i64| {
        format!(
            "begin;
             insert into store.quotes (quote_id, quote_number, status, company_id, company_name, contact_email, currency_code, grand_total, expired_at, created_at, raw)
             select i, 'QN' || i, 0, i % 500 + 1, 'Company ' || i % 500 + 1, 'buyer@example.com', 'USD', 75, now() + interval '60 days', now(), '{{}}' from generate_series({from}, {to}) i;
             insert into store.quote_items (quote_id, line_key, product_id, variant_id, product_name, quantity, base_price, offered_price, raw)
             select i, 'v1', 1, 1, 'Hinge', 10, 10, 7.5, '{{}}' from generate_series({from}, {to}) i;
             commit"
        )
    };
    // How many firings a quote is: those that are due at once.
    let due = "select count(distinct firing_id) from (
                 select firing_id from tradeflow.outbox where state <> 'waiting' union all select firing_id from tradeflow.outbox_history) x";
    let over = "select not exists (select from tradeflow.outbox where state in ('ready', 'running'))";
    let trial = 100;
    run(db.client(), &upsert(1, trial)).await?;
    db.until(over).await;
    let before: i64 = db.one(due).await;
    ensure!(before >= trial, "{before} firings of {trial} quotes");
    let wanted = if options.quick { FIRINGS / 10 } else { FIRINGS };
    let quotes = wanted * trial / before;

    let began = Instant::now();
    run(db.client(), &upsert(trial + 1, trial + quotes)).await?;
    let committed = began.elapsed().as_secs_f64();
    while !db.one::<bool>(over).await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let delivered = began.elapsed().as_secs_f64();
    let failed: i64 =
        db.one("select count(*) from tradeflow.outbox where state in ('dead', 'uncertain', 'held')").await;
    ensure!(failed == 0, "{failed} actions failed: {:?}", db.incidents().await);
    let firings = db.one::<i64>(due).await - before;
    let mails = mail.wait_for(trial as usize).await.len();
    Ok(vec![
        ("end to end: firings that are due at once".into(), one(firings as f64)),
        ("until the upsert of their quotes is committed, s".into(), one(committed)),
        ("until the last is delivered, s".into(), one(delivered)),
        ("mails among them".into(), one(mails as f64)),
        ("requests to HubSpot".into(), one(crm.requests().len() as f64)),
        ("requests to Google".into(), one(google.requests().len() as f64)),
        ("requests to the store".into(), one(store.requests().len() as f64)),
    ])
}
