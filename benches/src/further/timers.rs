//! One million waiting timers: what they cost those who insert, replace and cancel timers, tick() and claim().

use super::{once, run, settle, Figure};
use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{ensure, Result};
use tokio_postgres::{Client, Statement};

const SETUP: &str = r#"
create schema further;
create table further.quotes (id int primary key, open boolean not null, expires timestamptz not null);
select tradeflow.watch('further.quotes');
insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://shop.example') on conflict (name) do nothing;
insert into tradeflow.rules (name, source, condition, fire_at, max_firings, max_per_subject) values
  ('reminder', 'further.quotes', 'new.open', $$ new.expires - interval '3 days' $$, 10000000, 1000000);
insert into tradeflow.rules (name, source, condition, fires, max_firings, max_per_subject) values
  ('closed', 'further.quotes', 'not new.open', 'always', 10000000, 1000000);
insert into tradeflow.actions (rule, kind, target, params) values
  ('reminder', 'http', 'there', '{"path": "/"}'), ('closed', 'http', 'there', '{"path": "/"}');"#;

/// What is done, each time to other rows, beside the timers that wait.
const WORK: [(&str, &str); 5] = [
    ("a timer begins to wait", "insert into further.quotes select -$1::int, true, now() + interval '40 days'"),
    ("a timer is replaced", "update further.quotes set expires = expires + interval '1 day' where id = -$1::int"),
    ("a timer is cancelled, an action becomes ready", "update further.quotes set open = false where id = -$1::int"),
    ("tick() with nothing due", "select tradeflow.tick() from (select $1::int) x"),
    ("claim() and complete() of one", "select tradeflow.complete(array[c.id], array[c.attempt], array['{}'::jsonb]) from (select $1::int) x, lateral tradeflow.claim('bench', 1, '1 minute') c"),
];

pub async fn measure(client: &Client, options: &Options) -> Result<Figure> {
    let (timers, count) = if options.quick { (100_000, 50) } else { (1_000_000, 400) };
    run(client, SETUP).await?;
    run(client, "set synchronous_commit = off").await?;
    let mut statements = Vec::new();
    for (_, sql) in WORK {
        statements.push(client.prepare(sql).await?);
    }
    let few = rounds(client, &statements, 0, count).await?;
    let began = std::time::Instant::now();
    for part in 0..10 {
        let size = timers / 10;
        run(client, &format!("insert into further.quotes select i, true, now() + interval '30 days' + i * interval '1 second' from generate_series({part} * {size} + 1, ({part} + 1) * {size}) i")).await?;
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(timers);
    settle(client, "tradeflow.outbox, tradeflow.recent_firings, further.quotes").await?;
    let waiting: i64 =
        client.query_one("select count(*) from tradeflow.outbox where state = 'waiting'", &[]).await?.get(0);
    ensure!(waiting >= i64::from(timers), "{waiting} wait");
    let many = rounds(client, &statements, count as i32, count).await?;

    let mut values = vec![("waiting timers".into(), Spread::of([f64::from(timers)].into_iter()))];
    values.push(("making them wait, in bulk: µs each".into(), Spread::of([each].into_iter())));
    let mut worst: f64 = 0.0;
    for (n, (what, _)) in WORK.iter().enumerate() {
        values.push((format!("{what}: ms with none waiting"), few[n]));
        values.push((format!("{what}: ms with all waiting"), many[n]));
        worst = worst.max(many[n].median / few[n].median);
    }
    values.push(("the greatest ratio of the medians".into(), Spread::of([worst].into_iter())));
    run(client, "reset synchronous_commit; delete from tradeflow.outbox; delete from tradeflow.rules; select tradeflow.unwatch('further.quotes'); drop schema further cascade; delete from tradeflow.recent_firings").await?;
    settle(client, "tradeflow.outbox").await?;
    Ok(Figure {
        name: "timers",
        values,
        goal: Some("nothing takes more than 1.5 times as long".into()),
        met: Some(worst <= 1.5),
    })
}

/// Each piece of work for rows of their own, in turn.
async fn rounds(client: &Client, statements: &[Statement], from: i32, count: usize) -> Result<Vec<Spread>> {
    let mut costs = vec![Vec::with_capacity(count); statements.len()];
    for n in 0..count as i32 {
        for (statement, costs) in statements.iter().zip(&mut costs) {
            costs.push(once(client, statement, &[&(from + n + 1)]).await?);
        }
    }
    // What the first one takes is compiling.
    Ok(costs.into_iter().map(|c| Spread::of(c.into_iter().skip(1))).collect())
}
