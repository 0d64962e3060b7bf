//! Asking the database for rows that are JSON already, so that `--json` and tables show the same.

use serde_json::Value as Json;
use tokio_postgres::types::{ToSql, Type};
use tradeflow_sidecar::db;

use super::Context;

/// Values of a statement with their types.
pub type Values<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// The rows of a query whose only column is JSON; times in it are UTC.
pub async fn rows(client: &mut db::Client, sql: &str, values: Values<'_>) -> Result<Vec<Json>, db::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("set local timezone = 'UTC'").await?;
    let rows = transaction.query_typed(sql, values).await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok(row.try_get::<_, Option<Json>>(0)?.unwrap_or(Json::Null))).collect()
}

/// The only row of such a query.
pub async fn row(client: &mut db::Client, sql: &str, values: Values<'_>) -> Result<Json, db::Error> {
    Ok(rows(client, sql, values).await?.into_iter().next().unwrap_or(Json::Null))
}

/// Calls a function that says whether it changed anything.
pub async fn changes(context: &Context, sql: &str, values: Values<'_>) -> anyhow::Result<bool> {
    let client = context.pool()?.get().await?;
    let row = client.query_typed_one(sql, values).await.map_err(db::Error::from)?;
    Ok(row.try_get(0)?)
}

/// A value as text for people: nothing for null, strings without quotes.
pub fn text(row: &Json, key: &str) -> String {
    match &row[key] {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number, zero for null.
pub fn number(row: &Json, key: &str) -> i64 {
    row[key].as_i64().unwrap_or(0)
}

/// The elements of an array, none for null.
pub fn items<'a>(row: &'a Json, key: &str) -> &'a [Json] {
    row[key].as_array().map_or(&[], Vec::as_slice)
}
