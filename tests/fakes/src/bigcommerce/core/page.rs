//! Paging of V3: page and limit, or cursors.

use serde_json::{json, Value};

use super::error;
use crate::reply::Reply;
use crate::request::Request;

/// The most rows of a page.
const MOST: usize = 250;

/// Reads `limit`.
pub fn limit(request: &Request, most: usize) -> Result<usize, Reply> {
    let given = request.param("limit").map(str::parse::<usize>);
    match given {
        None => Ok(most.min(50)),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => {
            Err(error(422, "The limit is out of range.", json!({"limit": format!("must be 1 to {most}")})))
        }
    }
}

/// A page of rows that are in order already, with V3's totals.
pub fn paged<T>(request: &Request, rows: &[T], most: usize, shown: impl Fn(&T) -> Value) -> Reply {
    let limit = match limit(request, most.min(MOST)) {
        Ok(limit) => limit,
        Err(refused) => return refused,
    };
    let page = request.param("page").and_then(|text| text.parse().ok()).unwrap_or(1).max(1usize);
    let data: Vec<Value> = rows.iter().skip((page - 1) * limit).take(limit).map(shown).collect();
    let pages = rows.len().div_ceil(limit);
    let mut links = json!({"current": format!("?page={page}&limit={limit}")});
    if page < pages {
        links["next"] = json!(format!("?page={}&limit={limit}", page + 1));
    }
    let pagination = json!({"total": rows.len(), "count": data.len(), "per_page": limit, "current_page": page,
        "total_pages": pages, "links": links});
    Reply::json(200, json!({"data": data, "meta": {"pagination": pagination}}))
}

/// A page by cursor. The cursor is told on the first page, and when one was sent.
pub fn by_cursor<T>(request: &Request, rows: &[T], most: usize, shown: impl Fn(&T) -> Value) -> Reply {
    let limit = match limit(request, most) {
        Ok(limit) => limit,
        Err(refused) => return refused,
    };
    let begin = match request.param("after") {
        None => 0,
        Some(cursor) => match cursor.strip_prefix("c").and_then(|n| n.parse::<usize>().ok()) {
            Some(place) => place,
            None => return error(422, "The cursor is not valid.", json!({"after": "invalid cursor"})),
        },
    };
    let data: Vec<Value> = rows.iter().skip(begin).take(limit).map(shown).collect();
    let end = begin + data.len();
    let mut cursors = json!({"count": data.len(), "per_page": limit, "start_cursor": format!("c{begin}"),
        "end_cursor": format!("c{end}"), "links": {}});
    if end < rows.len() {
        cursors["links"]["next"] = json!(format!("?after=c{end}&limit={limit}"));
    }
    let pagination = json!({"total": rows.len(), "count": data.len(), "per_page": limit, "current_page": 1,
        "total_pages": rows.len().div_ceil(limit)});
    Reply::json(200, json!({"data": data, "meta": {"pagination": pagination, "cursor_pagination": cursors}}))
}

/// Ids of a comma-separated parameter.
pub fn ids(request: &Request, name: &str) -> Option<Vec<i64>> {
    let text = request.param(name)?;
    Some(text.split(',').filter_map(|id| id.trim().parse().ok()).collect())
}
