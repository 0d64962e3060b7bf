//! Figure 2: single-row upserts, each its own transaction, prepared, by one client.

use crate::case::Case;
use crate::pairs::{Cost, Pairs};
use crate::stopwatch::Stopwatch;
use crate::workload::{upsert, Twin, Twins, COLUMNS};
use anyhow::{ensure, Result};
use bytes::BytesMut;
use std::error::Error;
use tokio_postgres::types::{to_sql_checked, Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Statement};

/// Which rows are upserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Any: of ten, one makes a rule fire.
    Any,
    /// Those that no rule matches.
    Silent,
}

/// A value as text, whatever the parameter's type: what most clients send.
#[derive(Debug)]
struct Text(Option<String>);

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match &self.0 {
            None => IsNull::Yes,
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                IsNull::No
            }
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The rows of both versions as parameters, in an order that is no order.
struct Payload {
    versions: [Vec<Vec<Text>>; 2],
    /// Which version each row has now.
    current: Vec<usize>,
    at: usize,
    silent: bool,
}

impl Payload {
    async fn read(client: &Client, case: &Case, rows: Rows) -> Result<Payload> {
        let mut versions = [Vec::new(), Vec::new()];
        let columns: Vec<String> = COLUMNS.iter().map(|c| format!("{c}::text")).collect();
        for (version, list) in versions.iter_mut().enumerate() {
            let read = format!(
                "select {} from bench.{}_{version} p order by p.quote_id",
                columns.join(", "),
                case.mix.payload()
            );
            for row in client.query(&read, &[]).await? {
                list.push((0..COLUMNS.len()).map(|i| Text(row.get(i))).collect());
            }
        }
        let current = vec![0; versions[0].len()];
        Ok(Payload { versions, current, at: 0, silent: rows == Rows::Silent })
    }

    /// The next `count` rows, as (row, version).
    fn next(&mut self, count: usize) -> Vec<(usize, usize)> {
        let total = self.current.len();
        let mut block = Vec::with_capacity(count);
        while block.len() < count {
            // A prime step through the table visits each row once before any twice.
            self.at = (self.at + 7919) % total;
            // Row 0 is quote 1 (sql/schema.sql says which quotes rules match).
            if self.silent && (self.at + 1) % 100 < 20 {
                continue;
            }
            self.current[self.at] = 1 - self.current[self.at];
            block.push((self.at, self.current[self.at]));
        }
        block
    }

    async fn run(
        &self,
        client: &Client,
        watch: &Stopwatch,
        statement: &Statement,
        block: &[(usize, usize)],
    ) -> Result<Cost> {
        let running = watch.start()?;
        for (row, version) in block {
            let values: Vec<&(dyn ToSql + Sync)> =
                self.versions[*version][*row].iter().map(|v| v as &(dyn ToSql + Sync)).collect();
            client.execute(statement, &values).await?;
        }
        running.stop()
    }
}

/// Measures `pairs` pairs of blocks of `block` upserts.
pub async fn measure(client: &Client, case: &Case, rows: Rows, pairs: usize, block: usize) -> Result<Pairs> {
    let twins = Twins::create(client, case.contender, case.mix, case.rules).await?;
    let mut payload = Payload::read(client, case, rows).await?;
    let parameters: Vec<String> = (1..=COLUMNS.len()).map(|n| format!("${n}")).collect();
    let mut statements = Vec::new();
    for twin in [Twin::Bare, Twin::With] {
        statements.push(client.prepare(&upsert(twin, &format!("values ({})", parameters.join(", ")))).await?);
    }
    client.batch_execute("checkpoint; set synchronous_commit = off").await?;

    let rows_fire = rows == Rows::Any;
    let mut result = Pairs::default();
    // The first pair is the warm-up.
    for n in 0..=pairs {
        let rows = payload.next(block);
        let mut costs = [Cost::default(); 2];
        let order = if n % 2 == 0 { [Twin::Bare, Twin::With] } else { [Twin::With, Twin::Bare] };
        for twin in order {
            costs[twin as usize] =
                payload.run(client, &twins.watch, &statements[twin as usize], &rows).await?;
        }
        if n > 0 {
            result.0.push(costs);
        }
        let fired = twins.firings().await?;
        let fires = case.rules > 0 && rows_fire;
        ensure!((fired > 0) == fires, "{}: {fired} firings", case.name);
        twins.tidy().await?;
    }
    client.batch_execute("reset synchronous_commit").await?;
    twins.drop().await?;
    Ok(result)
}
