//! Reading quotes. The list knows the company by its name only, and neither totals nor lines.

use chrono::{Duration, NaiveDate};
use serde_json::{json, Value};

use super::list::{Asked, Row};
use super::{error, extra, ok_quote};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::clock::utc;
use crate::reply::Reply;
use crate::request::Request;

/// GET /rfq: the list stands inside `data`, and so does its paging.
pub fn all(store: &Store, request: &Request) -> Reply {
    let asked = match Asked::read(request, 250) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let status = request.param("status").filter(|value| !value.is_empty());
    let q = request.param("q").map(str::to_lowercase);
    let rows = store
        .quotes
        .iter()
        .filter(|(_, quote)| {
            asked.passes(quote)
                && status.is_none_or(|status| quote.int("status").to_string() == status)
                && q.as_ref().is_none_or(|q| quote.text("quoteNumber").to_lowercase().contains(q))
        })
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    let list: Vec<_> = page.into_iter().map(|row| listed(row.id, row.entity)).collect();
    ok_quote(json!({"list": list, "pagination": asked.pagination(total)}))
}

fn listed(id: i64, quote: &Entity) -> Value {
    let all = quote.with_unix_times();
    let mut row = Fields::new();
    for key in [
        "quoteNumber",
        "quoteTitle",
        "referenceNumber",
        "status",
        "createdBy",
        "createdAt",
        "updatedAt",
        "expiredAt",
        "subtotal",
        "currency",
        "extraFields",
        "bcOrderId",
        "orderId",
        "channelId",
        "channelName",
    ] {
        row.extend(all.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let inner = |group: &str, key: &str| quote.data.get(group).and_then(|g| g.get(key)).cloned();
    row.insert("quoteId".into(), id.into());
    row.insert("company".into(), inner("companyInfo", "companyName").unwrap_or_else(|| json!("")));
    row.insert("salesRep".into(), inner("salesRepInfo", "salesRepName").unwrap_or_else(|| json!("")));
    Value::Object(row)
}

/// GET /rfq/{id}?date=MM/DD/YYYY: the day it was created. The schema demands it; which zone counts is not said.
pub fn one(store: &Store, request: &Request, id: i64) -> Reply {
    let missing = || error(404, json!("Quote does not exist"));
    let Some(quote) = store.quotes.get(&id) else { return missing() };
    let asked = request.param("date").filter(|value| !value.is_empty());
    match asked {
        None if store.quote_date_required => return error(422, json!({"date": ["This field is required."]})),
        None => {}
        Some(text) => {
            let Ok(day) = NaiveDate::parse_from_str(text, "%m/%d/%Y") else {
                return error(422, json!({"date": ["Date has wrong format. Use MM/DD/YYYY."]}));
            };
            if day != (utc(quote.created) + Duration::hours(store.zone_hours)).date_naive() {
                return missing();
            }
        }
    }
    let mut data = quote.with_unix_times();
    // Times of details are not always numbers of the same kind; ids neither: as the sample store has them.
    data.insert("quoteId".into(), id.into());
    for (key, none) in [("notes", json!("")), ("legalTerms", json!("")), ("trackingHistory", json!([]))] {
        data.entry(key).or_insert(none);
    }
    ok_quote(Value::Object(data))
}

/// GET /rfq/extra-fields
pub fn extra_fields(store: &Store) -> Reply {
    ok_quote(json!(extra::config(&store.quote_fields)))
}
