//! How many logged changes a backtest replays in a second.

use super::{run, settle, Figure};
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{ensure, Result};
use std::time::Instant;
use tokio_postgres::Client;

const SETUP: &str = "
create schema further;
create table further.quotes (
  quote_id int primary key, quote_number text, status int, company_id int, company_name text, currency text,
  subtotal numeric(12,2), discount numeric(12,2), grand_total numeric(12,2), created_at timestamptz, updated_at timestamptz,
  expired_at timestamptz, sales_rep text, notes text, synced_at timestamptz);
select tradeflow.watch('further.quotes', ignore => '{synced_at}', log => true);";

/// Questions of three sorts: found by a test, asked about every change, and over old.
const DRAFTS: [(&str, &str); 3] = [
    ("1 change in 500", "new.status = 0 and new.grand_total >= 10000 and new.company_id < 20"),
    (
        "no test to find it by",
        "new.grand_total * 1.19 > 23500 and new.expired_at < now() + interval '30 days'",
    ),
    ("over old", "old.status is distinct from new.status and new.grand_total > 19900"),
];

const GOAL: f64 = 200_000.0;

pub async fn measure(client: &Client, options: &Options) -> Result<Figure> {
    run(client, SETUP).await?;
    let rows = if options.quick { 20_000 } else { 200_000 };
    // Logged twice: inserted, updated.
    run(
        client,
        &format!(
            "insert into further.quotes
             select i, 'Q' || i, i % 5, i % 1000, 'Company ' || i % 1000, 'EUR', i % 1000, 0, i * 7919::bigint % 20000, now(), now(),
                    now() + interval '10 days', 'rep' || i % 10, 'some notes here', now()
             from generate_series(1, {rows}) i;
             update further.quotes set status = (status + 1) % 5, grand_total = grand_total + 1, updated_at = now()"
        ),
    )
    .await?;
    settle(client, "tradeflow.change_log").await?;
    let changes: i64 = client.query_one("select count(*) from tradeflow.change_log", &[]).await?.get(0);
    ensure!(changes == 2 * rows, "{changes} changes were logged");
    let mut values = vec![("logged changes".into(), Spread::of([changes as f64].into_iter()))];
    let mut slowest = f64::INFINITY;
    for (what, condition) in DRAFTS {
        let draft = serde_json::json!({"name": "draft", "source": "further.quotes", "condition": condition})
            .to_string();
        let mut rates = Vec::new();
        for n in 0..=options.pairs() {
            let began = Instant::now();
            let fired: i64 = client
                .query_one("select count(*) from tradeflow.backtest($1::text::jsonb)", &[&draft])
                .await?
                .get(0);
            ensure!(fired > 0, "{condition} is never true");
            // The first one warms up.
            if n > 0 {
                rates.push(changes as f64 / began.elapsed().as_secs_f64());
            }
        }
        let spread = Spread::of(rates.into_iter());
        slowest = slowest.min(spread.median);
        values.push((format!("changes a second, {what}"), spread));
    }
    run(client, "select tradeflow.unwatch('further.quotes'); drop schema further cascade; delete from tradeflow.change_log").await?;
    Ok(Figure {
        name: "backtest",
        values,
        goal: Some(format!("≥ {GOAL} changes a second, whatever is asked")),
        met: Some(slowest >= GOAL),
    })
}
