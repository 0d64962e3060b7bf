//! Figure 1: an upsert of all rows, with a contender's rules and bare.

use crate::case::Case;
use crate::contender::Contender;
use crate::pairs::{Cost, Pairs};
use crate::rules::Mix;
use crate::workload::{Twin, Twins};
use anyhow::{ensure, Result};
use tokio_postgres::Client;

/// What the payload of each statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The other version: every row changes.
    All,
    /// The version that is there already: a sync that repeats itself.
    None,
}

/// What a case gave.
pub struct Measured {
    pub pairs: Pairs,
    pub firings: i64,
}

/// Measures `pairs` pairs, bare first and with first in turns.
pub async fn measure(
    client: &Client,
    case: &Case,
    change: Change,
    pairs: usize,
    rows: i32,
) -> Result<Measured> {
    let twins = Twins::create(client, case.contender, case.mix, case.rules).await?;
    let mut version = 0;
    let mut next = || {
        if change == Change::All {
            version = 1 - version;
        }
        version
    };
    client.batch_execute("checkpoint").await?;
    let mut pair = async |bare_first: bool| -> Result<[Cost; 2]> {
        let version = next();
        let order = if bare_first { [Twin::Bare, Twin::With] } else { [Twin::With, Twin::Bare] };
        let mut costs = [Cost::default(); 2];
        for twin in order {
            costs[twin as usize] = twins.upsert(twin, version).await?;
        }
        Ok(costs)
    };

    // Warm-up: rules are compiled, pages are in memory and in the log once, free space is where it will be.
    pair(true).await?;
    let firings = twins.firings().await?;
    twins.tidy().await?;
    pair(false).await?;
    twins.tidy().await?;

    let mut result = Pairs::default();
    for n in 0..pairs {
        result.0.push(pair(n % 2 == 0).await?);
        ensure!(
            twins.firings().await? == firings,
            "{}: {} firings at first, {} later",
            case.name,
            firings,
            twins.firings().await?
        );
        twins.tidy().await?;
    }
    check(case, &twins, change, firings, rows).await?;
    twins.drop().await?;
    Ok(Measured { pairs: result, firings })
}

/// A contender that does not do what it is measured for makes no figure.
async fn check(case: &Case, twins: &Twins<'_>, change: Change, firings: i64, rows: i32) -> Result<()> {
    let matching = case.rules.min(10) as i64;
    let floor = !matches!(
        case.contender,
        Contender::Tradeflow | Contender::NativeWhen | Contender::PlpgsqlRow | Contender::SetBased
    );
    let of_rows = if case.mix == Mix::Sparse { 1000 } else { 100 };
    let expected = if change == Change::None || floor { 0 } else { matching * i64::from(rows) / of_rows };
    ensure!(firings == expected, "{}: {firings} firings, not {expected}", case.name);
    let incidents = twins.incidents().await?;
    ensure!(incidents.is_empty(), "{}: {}", case.name, incidents.join("; "));
    Ok(())
}
