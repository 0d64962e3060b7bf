//! Two tables of the same rows and the same past: one bare, one with a contender's triggers.

use crate::contender::{Contender, TABLE};
use crate::pairs::Cost;
use crate::rules::Mix;
use crate::stopwatch::Stopwatch;
use anyhow::{Context, Result};
use tokio_postgres::Client;

/// The table without triggers.
pub const BARE: &str = "bench.bare";

/// Which table of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    Bare,
    With,
}

impl Twin {
    pub fn table(self) -> &'static str {
        match self {
            Twin::Bare => BARE,
            Twin::With => TABLE,
        }
    }
}

/// Makes the schema and the payloads, of this many rows.
pub async fn prepare(client: &Client, rows: i32) -> Result<()> {
    client.batch_execute(include_str!("../sql/schema.sql")).await?;
    for (volatile, name) in [(false, "calm"), (true, "volatile")] {
        for version in [0, 1] {
            let fill = format!("insert into bench.{name}_{version} select * from bench.payload({rows}, {version}, {volatile})");
            client.batch_execute(&fill).await?;
            client.batch_execute(&format!("vacuum (freeze, analyze) bench.{name}_{version}")).await?;
        }
    }
    Ok(())
}

/// The twins of one case; [`Twins::drop`] them at its end.
pub struct Twins<'a> {
    client: &'a Client,
    contender: Contender,
    mix: Mix,
    pub watch: Stopwatch,
}

impl<'a> Twins<'a> {
    /// Makes both tables with version 0 of the mix's payload, and installs the contender on one of them.
    pub async fn create(
        client: &'a Client,
        contender: Contender,
        mix: Mix,
        rules: usize,
    ) -> Result<Twins<'a>> {
        let twins = Twins::existing(client, contender, mix).await?;
        twins.clean().await?;
        for twin in [Twin::Bare, Twin::With] {
            let table = twin.table();
            let make = format!(
                "create table {table} (like bench.shape including all);
                 insert into {table} select * from bench.{}_0",
                mix.payload()
            );
            client.batch_execute(&make).await?;
        }
        for statement in contender.install(&mix.rules(rules)) {
            client.batch_execute(&statement).await.with_context(|| statement.clone())?;
        }
        twins.vacuum("freeze, analyze").await?;
        Ok(twins)
    }

    /// Those that another session has made.
    pub async fn existing(client: &'a Client, contender: Contender, mix: Mix) -> Result<Twins<'a>> {
        Ok(Twins { client, contender, mix, watch: Stopwatch::of(client).await? })
    }

    async fn clean(&self) -> Result<()> {
        for twin in [Twin::Bare, Twin::With] {
            if twin == Twin::With && self.exists().await? {
                for statement in self.contender.remove() {
                    self.client.batch_execute(&statement).await?;
                }
            }
            self.client.batch_execute(&format!("drop table if exists {} cascade", twin.table())).await?;
        }
        self.reset_outbox().await
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.client.query_one("select to_regclass($1) is not null", &[&TABLE]).await?.get(0))
    }

    pub async fn drop(self) -> Result<()> {
        self.clean().await
    }

    async fn vacuum(&self, how: &str) -> Result<()> {
        let vacuum = format!("vacuum ({how}) {}, {}", BARE, TABLE);
        self.client.batch_execute(&vacuum).await?;
        Ok(())
    }

    /// What is not measured, between two measurements: the space of the dead rows, the firings.
    ///
    /// VACUUM writes the tables' entries in the catalogue, so a backend reads them, and compiles the rules, anew: what it
    /// takes is a figure of its own ([`crate::memory`]), and done here by a change that changes nothing.
    pub async fn tidy(&self) -> Result<()> {
        self.vacuum("analyze false").await?;
        self.reset_outbox().await?;
        for twin in [Twin::Bare, Twin::With] {
            self.touch(twin).await?;
        }
        Ok(())
    }

    /// Upserts one row with what it holds.
    pub async fn touch(&self, twin: Twin) -> Result<Cost> {
        let statement = upsert(twin, &format!("select * from {} where quote_id = 1", twin.table()));
        let running = self.watch.start()?;
        self.client.execute(&statement, &[]).await?;
        running.stop()
    }

    async fn reset_outbox(&self) -> Result<()> {
        for statement in include_str!("../sql/reset_outbox.sql").lines().filter(|l| !l.starts_with("--")) {
            self.client.batch_execute(statement).await?;
        }
        Ok(())
    }

    /// The upsert of all rows of a version.
    pub async fn upsert(&self, twin: Twin, version: usize) -> Result<Cost> {
        let statement = upsert(twin, &format!("select * from bench.{}_{version}", self.mix.payload()));
        let running = self.watch.start()?;
        self.client.execute(&statement, &[]).await?;
        running.stop()
    }

    /// How many firings the last statements have left.
    pub async fn firings(&self) -> Result<i64> {
        let table =
            if self.contender == Contender::Tradeflow { "tradeflow.outbox" } else { "bench.plain_outbox" };
        Ok(self.client.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0))
    }

    /// What went wrong in rules, which would make a figure worthless.
    pub async fn incidents(&self) -> Result<Vec<String>> {
        let rows = self
            .client
            .query("select distinct kind || ': ' || message from tradeflow.incidents order by 1 limit 3", &[])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// The columns of the table, in order.
pub const COLUMNS: [&str; 22] = [
    "quote_id",
    "quote_number",
    "quote_title",
    "status",
    "status_name",
    "company_id",
    "company_name",
    "contact_email",
    "sales_rep_email",
    "currency_code",
    "subtotal",
    "discount",
    "tax_total",
    "grand_total",
    "allow_checkout",
    "notes",
    "extra_fields",
    "created_at",
    "updated_at",
    "expired_at",
    "raw",
    "synced_at",
];

/// An upsert of every column, as sync jobs write it.
pub fn upsert(twin: Twin, rows: &str) -> String {
    let set: Vec<String> = COLUMNS[1..].iter().map(|c| format!("{c} = excluded.{c}")).collect();
    format!("insert into {} {rows} on conflict (quote_id) do update set {}", twin.table(), set.join(", "))
}
