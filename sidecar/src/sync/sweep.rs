//! Rows that the source has no longer: the APIs tell of deletions by webhooks only, and not of all. So everything is read now
//! and then, and what was not seen goes. An answer that lost half of its rows must not empty a table: above a share of the
//! table nothing is deleted, and a person is asked.

use chrono::{DateTime, Utc};
use tokio_postgres::Client;

use super::resource::Swept;
use super::state::{self, Incident};
use super::{Error, Resource};

/// So few rows may always go.
const FEW: i64 = 10;

/// Deletes rows whose ids were not seen and that were last written before `began`. Returns how many.
pub async fn sweep(
    client: &Client,
    resource: Resource,
    seen: &[i64],
    began: DateTime<Utc>,
    most_percent: u8,
) -> Result<u64, Error> {
    let Some(Swept { table, key, along }) = resource.swept() else { return Ok(0) };
    let gone = format!(
        "not exists (select from unnest($1::bigint[]) as seen (id) where seen.id = t.{key}) and t.synced_at < $2"
    );
    let count = format!("select count(*) filter (where {gone}), count(*) from {table} t");
    let row = client.query_one(&count, &[&seen, &began]).await?;
    let (missing, all): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if missing == 0 {
        return Ok(0);
    }
    if hold(client, resource, table, missing, all, most_percent).await? {
        return Ok(0);
    }
    delete(client, &format!("delete from {table} t where {gone}"), key, along, &[&seen, &began]).await
}

/// Whether so many are missing that nothing may be deleted; a person is asked then.
pub async fn hold(
    client: &Client,
    resource: Resource,
    of: &str,
    missing: i64,
    all: i64,
    most_percent: u8,
) -> Result<bool, Error> {
    if missing <= FEW || missing * 100 <= all * i64::from(most_percent) {
        return Ok(false);
    }
    let message = format!("{missing} of {all} rows of {of} are not at the source any more; none was deleted");
    let incident = Incident {
        kind: "sync_held",
        resource: resource.name(),
        subject: None,
        message: &message,
        detail: None,
        hint: Some("if they are really gone, run `tradeflow sync once --sweep` with a higher sync.sweep_max_deleted; else see what the API answers"),
    };
    state::incident(client, incident).await?;
    Ok(true)
}

/// Deletes one row and what belongs to it; a webhook told.
pub async fn one(client: &Client, resource: Resource, id: i64) -> Result<u64, Error> {
    let Some(Swept { table, key, along }) = resource.swept() else { return Ok(0) };
    delete(client, &format!("delete from {table} t where t.{key} = $1"), key, along, &[&id]).await
}

/// One statement for a row and its lines, so that rules see both.
async fn delete(
    client: &Client,
    delete: &str,
    key: &str,
    along: &[&str],
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<u64, Error> {
    let mut statement = format!("with gone as ({delete} returning t.{key})");
    for (n, table) in along.iter().enumerate() {
        statement.push_str(&format!(
            ", along{n} as (delete from {table} d using gone where d.{key} = gone.{key})"
        ));
    }
    statement.push_str(" select count(*) from gone");
    let deleted: i64 = client.query_one(&statement, parameters).await?.try_get(0)?;
    Ok(deleted.unsigned_abs())
}

/// Deletes prices of a list for variants that have none there any more.
pub async fn prices(
    client: &Client,
    list: i64,
    variants: &[i64],
    began: DateTime<Utc>,
) -> Result<u64, Error> {
    Ok(client.execute(include_str!("sql/prune_prices.sql"), &[&list, &variants, &began]).await?)
}
