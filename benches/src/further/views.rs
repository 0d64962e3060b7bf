//! 50 view rules on a table of 200,000 rows: what a single-row upsert takes longer than on a twin without them.

use super::{once, run, settle, Figure};
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{ensure, Result};
use tokio_postgres::Client;

const SETUP: &str = "
create schema further;
create table further.orders (id int primary key, company int not null, status int not null, total numeric(12,2) not null, placed_at timestamptz not null);
create index on further.orders (company);
create table further.bare (like further.orders including all);
insert into further.orders
select i, i % 5000 + 1, i % 4, i % 900 + 10, now() - i % 400 * interval '1 day' from generate_series(1, 200000) i;
insert into further.bare select * from further.orders;
select tradeflow.watch('further.orders');";

/// Rule n: every view is an aggregate over the company's orders, each with a question of its own; some depend on time.
fn rule(n: usize) -> String {
    let having = match n % 5 {
        0 => format!("sum(total) >= {}", 15_000 + 300 * n),
        1 => format!("count(*) filter (where status = 3) > {}", 8 + n % 7),
        2 => format!("avg(total) > {}", 400 + 2 * n),
        3 => format!("max(total) - min(total) > {}", 700 + n),
        _ => format!(
            "sum(total) filter (where placed_at > tradeflow.now() - interval '90 days') > {}",
            3_000 + 50 * n
        ),
    };
    format!(
        "create view further.view{n} as select company as subject, sum(total) as total, count(*) as orders from further.orders group by company having {having};
         insert into tradeflow.rules (name, view, max_per_subject) values ('view{n}', 'further.view{n}', 1000000);
         insert into tradeflow.rule_inputs values ('view{n}', 'further.orders', 'new.company');"
    )
}

pub async fn measure(client: &Client, options: &Options) -> Result<Figure> {
    run(client, SETUP).await?;
    for n in 0..50 {
        run(client, &rule(n)).await?;
    }
    settle(client, "further.orders, further.bare, tradeflow.members").await?;
    run(client, "set synchronous_commit = off").await?;
    let upsert = |table: &str| {
        format!("insert into further.{table} values ($1, $2, 1, $3::int4, now()) on conflict (id) do update set company = excluded.company, status = excluded.status, total = excluded.total, placed_at = excluded.placed_at")
    };
    let statements = [client.prepare(&upsert("bare")).await?, client.prepare(&upsert("orders")).await?];
    let count = if options.quick { 100 } else { 1000 };
    let mut costs = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for n in 0..count + 50 {
        // Orders all over the table; half of them go to another company, so that two subjects are asked about.
        let id = (n as i32 * 7919) % 200_000 + 1;
        let company = if n % 2 == 0 { id % 5000 + 1 } else { (id + 17) % 5000 + 1 };
        let total = (n as i32 * 31) % 2000;
        for twin in [n % 2, 1 - n % 2] {
            let cost = once(client, &statements[twin], &[&id, &company, &total]).await?;
            if n >= 50 {
                costs[twin].push(cost);
            }
        }
    }
    let changed: i64 = client.query_one("select count(*) from tradeflow.outbox", &[]).await?.get(0);
    ensure!(changed > 0, "nobody entered or left a view");
    let incidents: i64 = client.query_one("select count(*) from tradeflow.incidents", &[]).await?.get(0);
    ensure!(incidents == 0, "{incidents} incidents");
    let added = Spread::of(costs[0].iter().zip(&costs[1]).map(|(bare, with)| with - bare));
    let values = vec![
        ("upsert of one row without rules, ms".into(), Spread::of(costs[0].iter().copied())),
        ("upsert of one row with 50 view rules, ms".into(), Spread::of(costs[1].iter().copied())),
        ("added by the rules, ms".into(), added),
        ("firings".into(), Spread::of([changed as f64].into_iter())),
    ];
    run(client, "reset synchronous_commit; delete from tradeflow.rules; select tradeflow.unwatch('further.orders'); drop schema further cascade; delete from tradeflow.outbox; delete from tradeflow.recent_firings").await?;
    Ok(Figure {
        name: "views/50",
        values,
        goal: Some("median added < 2 ms".into()),
        met: Some(added.median < 2.0),
    })
}
