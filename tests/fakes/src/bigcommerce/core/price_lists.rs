//! Price lists V3: lists, their records by cursor, who gets which list.

use serde_json::{json, Value};

use super::catalog::moment;
use super::error;
use super::page::{by_cursor, paged};
use crate::bigcommerce::state::{Entity, Store};
use crate::reply::Reply;
use crate::request::Request;

/// GET /v3/pricelists
pub fn all(store: &Store, request: &Request) -> Reply {
    let rows: Vec<&Entity> = store.price_lists.values().collect();
    paged(request, &rows, 250, |list| Value::Object(list.with_iso_times()))
}

/// GET /v3/pricelists/assignments
pub fn assignments(store: &Store, request: &Request) -> Reply {
    paged(request, &store.price_assignments, 250, |assignment| Value::Object(assignment.clone()))
}

/// GET /v3/pricelists/{id}/records
pub fn records(store: &Store, request: &Request, list: i64) -> Reply {
    if !store.price_lists.contains_key(&list) {
        return error(404, "Price list not found", json!({}));
    }
    let from = request.param("date_modified:min").map(|text| moment(text, store.now()).unwrap_or(i64::MAX));
    let rows: Vec<&Entity> = store
        .price_records
        .iter()
        .filter(|((of, _, _), record)| *of == list && from.is_none_or(|edge| record.updated >= edge))
        .map(|(_, record)| record)
        .collect();
    let tiers = request.param("include").unwrap_or_default().contains("bulk_pricing_tiers");
    by_cursor(request, &rows, 1000, |record| {
        let mut data = record.with_iso_times();
        if !tiers {
            data.remove("bulk_pricing_tiers");
        }
        Value::Object(data)
    })
}

/// PUT /v3/pricelists/{id}/records: upserts up to 1,000 by (list, variant, currency).
pub fn put(store: &mut Store, request: &Request, list: i64, body: &Value) -> Reply {
    if !store.price_lists.contains_key(&list) {
        return error(404, "Price list not found", json!({}));
    }
    let Some(items) = body.as_array().filter(|items| items.len() <= 1000) else {
        return error(422, "A list of at most 1000 records is required", json!({}));
    };
    let now = store.now();
    let taken = if request.half { items.len() / 2 } else { items.len() };
    let mut told = Vec::new();
    for item in items.iter().take(taken) {
        let variant = item.get("variant_id").and_then(Value::as_i64);
        let currency = item.get("currency").and_then(Value::as_str).map(str::to_lowercase);
        let (Some(variant), Some(currency)) = (variant, currency) else {
            return error(422, "variant_id and currency are required", json!({}));
        };
        let new = json!({"price_list_id": list, "variant_id": variant, "currency": currency});
        let record = store.price_records.entry((list, variant, currency.clone()));
        let record = record.or_insert_with(|| Entity::new(now, new));
        for key in ["price", "sale_price", "retail_price", "map_price", "bulk_pricing_tiers"] {
            record.data.extend(item.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        record.updated = now;
        told.push(json!({"price_list_id": list, "variant_id": variant, "currency": currency}));
    }
    store.tell("store/priceList/records/updated", Value::Array(told));
    Reply::json(200, json!({"data": {}, "meta": {}}))
}
