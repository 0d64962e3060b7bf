//! Lists of B2B Edition: offset and limit, the time filters, the order.

use std::cmp::Ordering;

use serde_json::{json, Value};

use super::error;
use crate::bigcommerce::state::{Entity, Fields};
use crate::reply::Reply;
use crate::request::Request;

/// A row that may be listed.
pub struct Row<'a> {
    pub id: i64,
    pub entity: &'a Entity,
}

/// What a list was asked for.
pub struct Asked {
    pub offset: usize,
    pub limit: usize,
    sort: String,
    ascending: bool,
    newer_than: Option<i64>,
    until: Option<i64>,
    created_from: Option<i64>,
    created_until: Option<i64>,
}

impl Asked {
    /// Reads the query. `max`: the largest limit; more is 413.
    pub fn read(request: &Request, max: usize) -> Result<Asked, Reply> {
        let whole = |name: &str| match request.param(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| error(422, json!({name: ["A valid integer is required."]}))),
        };
        let limit = whole("limit")?.unwrap_or(10);
        if limit > max as i64 {
            return Err(error(413, json!(format!("limit should not be greater than {max}"))));
        }
        if limit < 1 {
            return Err(error(422, json!({"limit": ["Ensure this value is greater than or equal to 1."]})));
        }
        let order = request.param("orderBy").unwrap_or("DESC");
        Ok(Asked {
            offset: usize::try_from(whole("offset")?.unwrap_or(0)).unwrap_or(0),
            limit: limit as usize,
            sort: request.param("sortBy").unwrap_or("updatedAt").to_owned(),
            ascending: order.eq_ignore_ascii_case("asc"),
            newer_than: whole("minModified")?,
            until: whole("maxModified")?,
            created_from: whole("minCreated")?,
            created_until: whole("maxCreated")?,
        })
    }

    /// Whatever was asked for: the newest change first. For lists that have no sort parameter.
    pub fn newest_first(&mut self) {
        self.sort = "updatedAt".to_owned();
        self.ascending = false;
    }

    /// Whether any time filter was given.
    pub fn by_time(&self) -> bool {
        [self.newer_than, self.until, self.created_from, self.created_until].iter().any(Option::is_some)
    }

    /// Whether a row passes the time filters. The text says "after", so the lower edge does not belong to it.
    pub fn passes(&self, entity: &Entity) -> bool {
        self.newer_than.is_none_or(|edge| entity.updated > edge)
            && self.until.is_none_or(|edge| entity.updated <= edge)
            && self.created_from.is_none_or(|edge| entity.created > edge)
            && self.created_until.is_none_or(|edge| entity.created <= edge)
    }

    /// The page of the rows, and how many rows there are. Rows that are equal in the sorted field stay in no useful order:
    /// the newest id first, whatever the direction.
    pub fn page<'a>(&self, mut rows: Vec<Row<'a>>) -> (Vec<Row<'a>>, usize) {
        let total = rows.len();
        rows.sort_by(|a, b| {
            let by = self.compare(a, b);
            let by = if self.ascending { by } else { by.reverse() };
            by.then(b.id.cmp(&a.id))
        });
        (rows.into_iter().skip(self.offset).take(self.limit).collect(), total)
    }

    fn compare(&self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        match self.sort.as_str() {
            "updatedAt" | "updated_at" => a.entity.updated.cmp(&b.entity.updated),
            "createdAt" | "created_at" => a.entity.created.cmp(&b.entity.created),
            "id" | "quoteId" | "companyId" | "bcOrderId" => a.id.cmp(&b.id),
            key => {
                let text = |row: &Row<'_>| row.entity.data.get(key).map(Value::to_string).unwrap_or_default();
                text(a).cmp(&text(b))
            }
        }
    }

    /// The paging part of an envelope.
    pub fn pagination(&self, total: usize) -> Value {
        json!({"totalCount": total, "offset": self.offset, "limit": self.limit})
    }

    /// The usual envelope around a page.
    pub fn envelope(&self, page: Vec<Fields>, total: usize) -> Reply {
        Reply::json(
            200,
            json!({"code": 200, "data": page, "meta": {"message": "SUCCESS", "pagination": self.pagination(total)}}),
        )
    }
}
