//! Lists whose newest change always comes first: users (no sort parameter) and invoices (no filter by change).
//!
//! They are walked until a row is older than what is asked for. What changes meanwhile goes to the head, where the next
//! run finds it: the watermark is the head's time when the walk began, and it counts only once the walk is done. A row
//! that is deleted meanwhile pulls one out of sight, so a shrinking list is walked anew.

use super::{at, keys, paging, since, Batch, Fetch};
use crate::bigcommerce::page;
use crate::sync::resource::Listing;
use crate::sync::Error;

/// A list that shrinks again and again is left for the next run.
const RESTARTS: usize = 5;

/// Walks a list down to the time asked for.
pub async fn walk(fetch: &Fetch<'_>, listing: &'static Listing) -> Result<(), Error> {
    for _ in 0..RESTARTS {
        if down(fetch, listing).await? {
            return Ok(());
        }
    }
    Err(Error::Restless { path: listing.path, times: RESTARTS })
}

/// One walk. False: the list shrank meanwhile.
async fn down(fetch: &Fetch<'_>, listing: &'static Listing) -> Result<bool, Error> {
    let from = fetch.from.map_or(0, |from| from.timestamp());
    let (mut offset, mut head, mut total, mut before) = (0, None, None, Vec::new());
    loop {
        let mut query: Vec<(&str, String)> =
            listing.fixed.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        if from > 0 {
            query.extend(since(listing, from));
        }
        query.push(("limit", listing.limit.to_string()));
        query.push(paging(listing, offset));
        let page = page(fetch.client.get(listing.api, listing.path, &query).await?)?;
        if page.total.zip(total).is_some_and(|(now, then): (u64, u64)| now < then) {
            return Ok(false);
        }
        total = page.total.or(total);
        let keys = keys(listing, &page.rows)?;
        if keys == before && !keys.is_empty() {
            return Err(Error::Repeats { path: listing.path });
        }
        head = head.or_else(|| keys.iter().map(|(_, updated)| *updated).max());
        offset += page.rows.len();
        let reached = keys.last().is_some_and(|(_, updated)| *updated < from);
        let more = page.total.map_or(page.rows.len() >= listing.limit, |total| offset < total as usize);
        let done = page.rows.is_empty() || reached || !more;
        let wanted = page.rows.into_iter().zip(&keys).filter(|(_, (_, updated))| *updated >= from);
        let batch = Batch {
            rows: wanted.map(|(row, _)| (listing.kind, row)).collect(),
            origin: listing.path.into(),
            watermark: if done { head.and_then(at) } else { None },
            seen: keys.iter().map(|(id, _)| *id).collect(),
            total,
            ..Batch::default()
        };
        if !fetch.hand(batch).await || done {
            return Ok(true);
        }
        before = keys;
    }
}
