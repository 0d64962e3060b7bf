//! Figures that are no ratio of two upserts: view rules, waiting timers, backtests, recipes, the sync. Each makes its own tables in a
//! schema or database of its own, and drops them.

mod backtest;
mod recipes;
mod sync;
mod timers;
mod views;

use crate::options::Options;
use crate::pairs::Spread;
use anyhow::{Context, Result};
use serde::Serialize;
use std::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use tradeflow_tests::cluster::Cluster;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    Views,
    Timers,
    Backtest,
    Recipes,
    Sync,
}

/// One line of the table.
#[derive(Serialize)]
pub struct Figure {
    pub name: &'static str,
    /// What was measured, with its unit, and what came out: median, least, greatest.
    pub values: Vec<(String, Spread)>,
    pub goal: Option<String>,
    pub met: Option<bool>,
}

impl Case {
    const ALL: [Case; 5] = [Case::Views, Case::Timers, Case::Backtest, Case::Recipes, Case::Sync];

    pub fn name(self) -> &'static str {
        match self {
            Case::Views => "views/50",
            Case::Timers => "timers",
            Case::Backtest => "backtest",
            Case::Recipes => recipes::NAME,
            Case::Sync => sync::NAME,
        }
    }

    pub async fn measure(self, cluster: &Cluster, options: &Options) -> Result<Figure> {
        let client = cluster.connect("postgres").await;
        let figure = match self {
            Case::Views => views::measure(&client, options).await,
            Case::Timers => timers::measure(&client, options).await,
            Case::Backtest => backtest::measure(&client, options).await,
            Case::Recipes => recipes::measure(options).await,
            Case::Sync => sync::measure(options).await,
        };
        figure.context(self.name())
    }
}

/// The cases that the options ask for.
pub fn chosen(options: &Options) -> Vec<Case> {
    Case::ALL.into_iter().filter(|case| options.names(case.name())).collect()
}

impl Figure {
    pub fn text(&self) -> String {
        let mut text = self.name.to_string();
        for (what, spread) in &self.values {
            text.push_str(&format!(
                "\n    {what:<58} {:>9.2}  ({:.2} to {:.2})",
                spread.median, spread.min, spread.max
            ));
        }
        if let (Some(goal), Some(met)) = (&self.goal, self.met) {
            text.push_str(&format!("\n    {goal}: {}", if met { "met" } else { "NOT MET" }));
        }
        text
    }
}

/// Milliseconds that executing a prepared statement took, once.
async fn once(client: &Client, statement: &Statement, parameters: &[&(dyn ToSql + Sync)]) -> Result<f64> {
    let began = Instant::now();
    client.execute(statement, parameters).await?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// Runs a script's statements, in one transaction.
async fn run(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.with_context(|| sql.chars().take(200).collect::<String>())
}

/// VACUUM (which takes no transaction) of these tables, and a checkpoint: neither comes while something is measured.
async fn settle(client: &Client, tables: &str) -> Result<()> {
    run(client, &format!("vacuum (freeze, analyze) {tables}")).await?;
    run(client, "checkpoint").await
}
