//! Walking the store's lists into batches.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde_json::Value;
use tokio::sync::mpsc;

use super::resource::{Listing, Resource, Since, ARCHIVED_ORDERS};
use super::Error;
use crate::bigcommerce::{Api, Client};
use crate::db;
use crate::store::scalar;
use crate::store::Kind;

mod ascending;
mod descending;
mod each;
mod price_lists;
pub mod quotes;

/// Rows that are written together, and what is remembered once they are.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Vec<(Kind, Value)>,
    /// Where the rows come from, for messages.
    pub origin: Cow<'static, str>,
    /// Everything older is stored with this batch.
    pub watermark: Option<DateTime<Utc>>,
    /// Where a resource without times goes on after this batch.
    pub position: Option<Value>,
    /// Ids that the source has, for a sweep.
    pub seen: Vec<i64>,
    /// Prices of a list: only these variants have one.
    pub prune: Option<(i64, Vec<i64>)>,
    /// How many rows there are in all, for the progress.
    pub total: Option<u64>,
}

/// What a walk needs.
pub struct Fetch<'a> {
    pub client: &'a Client,
    pub pool: &'a db::Pool,
    /// Read what changed since; `None`: everything.
    pub from: Option<DateTime<Utc>>,
    /// Where a resource without times goes on.
    pub position: Value,
    /// So much before a time of its own a walk begins.
    pub overlap: TimeDelta,
    /// Everything is read, and what is not there is gone.
    pub sweep: bool,
    /// Details fetched at the same time.
    pub at_once: usize,
    pub batches: mpsc::Sender<Batch>,
}

impl Fetch<'_> {
    /// Reads a resource to its end.
    pub async fn run(&self, resource: Resource) -> Result<(), Error> {
        match resource {
            Resource::CompanyUsers | Resource::Invoices => descending::walk(self, listing(resource)).await,
            Resource::Quotes => quotes::walk(self, listing(resource)).await,
            Resource::SalesStaff => each::sales_staff(self).await,
            Resource::CompanyCredit => each::company_credit(self).await,
            Resource::PaymentTerms => each::payment_terms(self).await,
            Resource::PriceLists => price_lists::walk(self).await,
            Resource::Orders => {
                ascending::walk(self, listing(resource), self.from).await?;
                // A walk of its own, with a time of its own.
                let until = self.position["archived_until"].as_i64().and_then(at).filter(|_| !self.sweep);
                ascending::walk(self, &ARCHIVED_ORDERS, until.map(|until| until - self.overlap)).await
            }
            Resource::Companies | Resource::B2bOrders | Resource::Products => {
                ascending::walk(self, listing(resource), self.from).await
            }
            Resource::SheetRows => unreachable!("sheets are read by sync::sheets"),
        }
    }

    /// Hands a batch on. False: nobody takes it any more, because writing failed.
    async fn hand(&self, batch: Batch) -> bool {
        self.batches.send(batch).await.is_ok()
    }
}

/// Resources that are walked by time have a list.
fn listing(resource: Resource) -> &'static Listing {
    match resource.listing() {
        Some(listing) => listing,
        None => unreachable!("{} is not walked by time", resource.name()),
    }
}

/// The unix seconds of a time in any of the APIs' spellings.
pub fn unix(value: &Value) -> Option<i64> {
    let text = scalar::time(value).ok()?;
    DateTime::parse_from_rfc3339(text.as_str()?).ok().map(|at| at.timestamp())
}

/// An id in any of the APIs' spellings.
pub fn id_of(row: &Value, key: &str) -> Option<i64> {
    scalar::id(row.get(key)?).ok()?.as_i64()
}

fn at(unix_seconds: i64) -> Option<DateTime<Utc>> {
    Utc.timestamp_opt(unix_seconds, 0).single()
}

/// The parameter that asks for what changed at `edge` or later.
fn since(listing: &Listing, edge: i64) -> Option<(&'static str, String)> {
    match listing.since {
        Since::Unix => Some(("minModified", (edge - 1).max(0).to_string())),
        _ if edge <= 0 => None,
        Since::Rfc2822 => {
            Some(("min_date_modified", at(edge)?.format("%a, %d %b %Y %H:%M:%S +0000").to_string()))
        }
        Since::Iso => Some(("date_modified:min", at(edge)?.to_rfc3339_opts(SecondsFormat::Secs, true))),
        Since::None => None,
    }
}

/// The parameters of a page: by offset in B2B Edition, by number in core.
fn paging(listing: &Listing, offset: usize) -> (&'static str, String) {
    match listing.api {
        Api::B2b => ("offset", offset.to_string()),
        Api::V2 | Api::V3 => ("page", (offset / listing.limit + 1).to_string()),
    }
}

/// Ids and times of a page's rows.
fn keys(listing: &Listing, rows: &[Value]) -> Result<Vec<(i64, i64)>, Error> {
    let missing = |key: &'static str, row: &Value| Error::NoKey {
        path: listing.path,
        key,
        found: row.get(key).map_or_else(|| "no such key".to_owned(), Value::to_string),
    };
    rows.iter()
        .map(|row| {
            let id = id_of(row, listing.id).ok_or_else(|| missing(listing.id, row))?;
            let updated =
                row.get(listing.updated).and_then(unix).ok_or_else(|| missing(listing.updated, row))?;
            Ok((id, updated))
        })
        .collect()
}
