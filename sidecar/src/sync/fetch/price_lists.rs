//! Price lists, who has them, and their prices: a few lists, read whole; their prices by time of change and cursor.

use std::collections::HashMap;

use serde_json::Value;

use super::{at, id_of, unix, Batch, Fetch};
use crate::bigcommerce::{page, Api};
use crate::store::Kind;
use crate::sync::Error;

const LISTS: &str = "/pricelists";
const ASSIGNMENTS: &str = "/pricelists/assignments";
const RECORDS: &str = "/pricelists/{id}/records";

/// Prices of a page.
const LIMIT: usize = 1000;

/// Walks lists and prices.
pub async fn walk(fetch: &Fetch<'_>) -> Result<(), Error> {
    let mut assignments: HashMap<i64, Vec<Value>> = HashMap::new();
    for assignment in all(fetch, ASSIGNMENTS).await? {
        if let Some(list) = id_of(&assignment, "price_list_id") {
            assignments.entry(list).or_default().push(assignment);
        }
    }
    let mut lists = all(fetch, LISTS).await?;
    let ids: Vec<i64> = lists.iter().filter_map(|list| id_of(list, "id")).collect();
    for list in &mut lists {
        let of = id_of(list, "id").and_then(|id| assignments.remove(&id)).unwrap_or_default();
        if let Some(fields) = list.as_object_mut() {
            fields.insert("assignments".to_owned(), Value::Array(of));
        }
    }
    let rows = lists.into_iter().map(|list| (Kind::PriceLists, list)).collect();
    if !fetch.hand(Batch { rows, origin: LISTS.into(), seen: ids.clone(), ..Batch::default() }).await {
        return Ok(());
    }
    let mut newest = None;
    for id in ids {
        match prices(fetch, id).await? {
            Some(of_list) => newest = newest.max(of_list),
            None => return Ok(()),
        }
    }
    // Only now: the lists are walked one after the other, each in an order of its own.
    let batch = Batch { watermark: newest.and_then(at), origin: RECORDS.into(), ..Batch::default() };
    fetch.hand(batch).await;
    Ok(())
}

/// All rows of a short list.
async fn all(fetch: &Fetch<'_>, path: &'static str) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<Value> = Vec::new();
    let mut before: Vec<Value> = Vec::new();
    for number in 1.. {
        let query = [("limit", "250".to_owned()), ("page", number.to_string())];
        let page = page(fetch.client.get(Api::V3, path, &query).await?)?;
        if page.rows == before && !before.is_empty() {
            return Err(Error::Repeats { path });
        }
        rows.extend(page.rows.iter().cloned());
        if page.rows.is_empty() || page.total.is_none_or(|total| rows.len() as u64 >= total) {
            break;
        }
        before = page.rows;
    }
    Ok(rows)
}

/// The prices of a list; the newest time of change among them. `None`: nobody takes them any more.
async fn prices(fetch: &Fetch<'_>, list: i64) -> Result<Option<Option<i64>>, Error> {
    let path = format!("{LISTS}/{list}/records");
    let (mut after, mut newest): (Option<String>, Option<i64>) = (None, None);
    let mut variants = Vec::new();
    loop {
        let mut query = vec![("include", "bulk_pricing_tiers,sku".to_owned()), ("limit", LIMIT.to_string())];
        if let Some(from) = fetch.from {
            let text = from.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            query.push(("date_modified:min", text));
        }
        query.extend(after.clone().map(|cursor| ("after", cursor)));
        let page = page(fetch.client.get(Api::V3, &path, &query).await?)?;
        newest = newest.max(page.rows.iter().filter_map(|row| unix(row.get("date_modified")?)).max());
        variants.extend(page.rows.iter().filter_map(|row| id_of(row, "variant_id")));
        if page.after.is_some() && page.after == after {
            return Err(Error::Repeats { path: RECORDS });
        }
        after = page.after;
        let done = after.is_none();
        let prune = (done && fetch.sweep).then(|| (list, std::mem::take(&mut variants)));
        let rows = page.rows.into_iter().map(|row| (Kind::Prices, row)).collect();
        if !fetch.hand(Batch { rows, origin: RECORDS.into(), prune, ..Batch::default() }).await {
            return Ok(None);
        }
        if done {
            return Ok(Some(newest));
        }
    }
}
