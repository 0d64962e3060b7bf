//! Quotes: the list tells which changed, and a request each brings the rest. A quote whose row is as new as the list says is
//! not fetched again.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use futures_util::{stream, StreamExt, TryStreamExt};
use serde_json::{json, Value};
use tracing::warn;

use super::ascending::{Ascending, Found};
use super::{at, id_of, unix, Batch, Fetch};
use crate::bigcommerce::{self, Api, Client};
use crate::store::Kind;
use crate::sync::resource::Listing;
use crate::sync::Error;

/// Details fetched between two commits: at the store's rate a page of them takes a minute.
const CHUNK: usize = 20;

/// Walks the list and fetches the details.
pub async fn walk(fetch: &Fetch<'_>, listing: &'static Listing) -> Result<(), Error> {
    let mut walk = Ascending::new(fetch.client, listing, fetch.from.map_or(0, |from| from.timestamp()));
    while let Some(found) = walk.next().await? {
        let Found { rows, ids, newest, total } = found;
        let known = known(fetch, &ids).await?;
        let is_known = |row: &Value| {
            let updated = row.get("updatedAt").and_then(unix);
            id_of(row, listing.id).is_some_and(|id| updated.is_some() && known.get(&id).copied() == updated)
        };
        let mut wanted = rows.into_iter().filter(|row| !is_known(row)).collect::<Vec<_>>().into_iter();
        loop {
            let details = stream::iter(wanted.by_ref().take(CHUNK))
                .map(|row| detail(fetch.client, row))
                .buffered(fetch.at_once)
                .try_collect::<Vec<_>>()
                .await?;
            // Of a page that is stored in part only the details are remembered: they are known when it is read again.
            let last = wanted.as_slice().is_empty();
            let batch = Batch {
                rows: details.into_iter().map(|row| (Kind::Quotes, row)).collect(),
                origin: "/rfq/{id}".into(),
                watermark: at(newest).filter(|_| last),
                seen: if last { ids.clone() } else { Vec::new() },
                total,
                ..Batch::default()
            };
            if !fetch.hand(batch).await {
                return Ok(());
            }
            if last {
                break;
            }
        }
    }
    Ok(())
}

/// The times of change of stored quotes that have their details; without those written so soon after the change that they may
/// have been read in the middle of the same second.
async fn known(fetch: &Fetch<'_>, ids: &[i64]) -> Result<HashMap<i64, i64>, Error> {
    let client = fetch.pool.get().await?;
    let rows = client.query(include_str!("../sql/known_quotes.sql"), &[&ids]).await?;
    rows.iter()
        .map(|row| {
            let updated: DateTime<Utc> = row.try_get("updated_at")?;
            Ok((row.try_get("quote_id")?, updated.timestamp()))
        })
        .collect()
}

/// The detail of a row of the list; the row itself when the API does not know it.
async fn detail(client: &Client, row: Value) -> Result<Value, Error> {
    let (Some(id), Some(created)) = (id_of(&row, "quoteId"), row.get("createdAt").and_then(unix)) else {
        return Ok(row);
    };
    let Some(mut detail) = one(client, id, created).await? else {
        warn!(
            quote = id,
            "the list names a quote whose details the API does not know; its lines and totals are missing"
        );
        return Ok(row);
    };
    if let Some(fields) = detail.as_object_mut() {
        for key in ["createdAt", "updatedAt"] {
            fields.entry(key).or_insert_with(|| row[key].clone());
        }
    }
    Ok(detail)
}

/// GET /rfq/{id}. The schema demands the day on which the quote was created; in which zone is not said, so the days around
/// are tried too. `None`: there is no such quote.
pub async fn one(client: &Client, id: i64, created: i64) -> Result<Option<Value>, Error> {
    let Some(created) = at(created) else { return Ok(None) };
    let mut days = vec![created.date_naive()];
    for hours in [-12, 14] {
        let day = (created + Duration::hours(hours)).date_naive();
        if !days.contains(&day) {
            days.push(day);
        }
    }
    let path = format!("/rfq/{id}");
    for day in days {
        let query = [("date", day.format("%m/%d/%Y").to_string())];
        match client.get(Api::B2b, &path, &query).await {
            Ok(Some(mut answer)) => {
                let mut data = answer.get_mut("data").map(Value::take).unwrap_or_default();
                if let Some(fields) = data.as_object_mut() {
                    // The detail does not always repeat the id it was asked for.
                    fields.entry("quoteId").or_insert(json!(id));
                }
                return Ok(Some(data));
            }
            Ok(None) | Err(bigcommerce::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
