//! Lists that can be sorted by their time of change, the oldest first.
//!
//! A list that moves must not be paged by offset alone: a row that changes meanwhile goes to the end, the rows behind it move up by
//! one, and the first of the next page is never seen. So each page begins at the time at which the one before ended; only
//! where a whole page changed in the same second is an offset used, and there pages overlap.

use chrono::{DateTime, Utc};
use serde_json::{json, Value};

use super::{at, keys, paging, since, Batch, Fetch};
use crate::bigcommerce::{page, Api, Client};
use crate::sync::resource::{Listing, ARCHIVED_ORDERS};
use crate::sync::Error;

/// A walk in progress.
pub struct Ascending<'a> {
    client: &'a Client,
    listing: &'static Listing,
    /// Unix seconds: rows that changed at this time or later are asked for.
    edge: i64,
    offset: usize,
    before: Vec<(i64, i64)>,
    ended: bool,
}

/// A page of it.
pub struct Found {
    pub rows: Vec<Value>,
    /// Ids of the rows.
    pub ids: Vec<i64>,
    /// The time of its last row, in unix seconds.
    pub newest: i64,
    pub total: Option<u64>,
}

impl<'a> Ascending<'a> {
    /// Begins at a time in unix seconds; 0: with everything.
    pub fn new(client: &'a Client, listing: &'static Listing, from: i64) -> Ascending<'a> {
        Ascending { client, listing, edge: from, offset: 0, before: Vec::new(), ended: false }
    }

    /// The next page; `None`: that was all.
    pub async fn next(&mut self) -> Result<Option<Found>, Error> {
        if self.ended {
            return Ok(None);
        }
        let listing = self.listing;
        let mut query: Vec<(&str, String)> =
            listing.fixed.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        query.extend(since(listing, self.edge));
        query.push(("limit", listing.limit.to_string()));
        query.push(paging(listing, self.offset));
        let page = page(self.client.get(listing.api, listing.path, &query).await?)?;
        let keys = keys(listing, &page.rows)?;
        let Some(newest) = keys.iter().map(|(_, updated)| *updated).max() else {
            self.ended = true;
            return Ok(None);
        };
        // A misspelt or renamed filter is ignored and returns everything, from the beginning.
        if let Some((id, old)) = keys.iter().find(|(_, updated)| *updated < self.edge) {
            let time = |seconds| at(seconds).map(|at| at.to_rfc3339()).unwrap_or_default();
            let found = format!("{} {id} ({})", listing.id, time(*old));
            return Err(Error::FilterIgnored { path: listing.path, edge: time(self.edge), found });
        }
        if keys == self.before {
            return Err(Error::Repeats { path: listing.path });
        }
        let full = page.rows.len() >= listing.limit;
        let more = match (listing.api, page.total) {
            (Api::B2b, Some(total)) => (self.offset + page.rows.len()) < total as usize,
            _ => full,
        };
        self.ended = !more;
        if newest > self.edge {
            (self.edge, self.offset) = (newest, 0);
        } else {
            // All of them in the same second.
            let overlap = if listing.api == Api::B2b { page.rows.len() / 10 } else { 0 };
            self.offset += page.rows.len() - overlap;
        }
        let ids = keys.iter().map(|(id, _)| *id).collect();
        self.before = keys;
        Ok(Some(Found { rows: page.rows, ids, newest, total: page.total }))
    }
}

/// Walks a list to its end.
pub async fn walk(
    fetch: &Fetch<'_>,
    listing: &'static Listing,
    from: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let archived = std::ptr::eq(listing, &ARCHIVED_ORDERS);
    let mut walk = Ascending::new(fetch.client, listing, from.map_or(0, |from| from.timestamp()));
    while let Some(found) = walk.next().await? {
        let batch = Batch {
            rows: found.rows.into_iter().map(|row| (listing.kind, row)).collect(),
            origin: listing.path.into(),
            watermark: at(found.newest).filter(|_| !archived),
            position: archived.then(|| json!({"archived_until": found.newest})),
            seen: found.ids,
            total: found.total,
            ..Batch::default()
        };
        if !fetch.hand(batch).await {
            break;
        }
    }
    Ok(())
}
