//! Catalog V3: products and variants. Prices are JSON numbers, times ISO 8601.

use chrono::{DateTime, NaiveDate, Timelike};
use serde_json::{json, Value};

use super::page::{ids, paged};
use super::{error, v2_error};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::clock::utc;
use crate::form::Form;
use crate::reply::Reply;
use crate::request::Request;

/// A time of the query. Without its time part, the server appends the *current* time of day.
pub fn moment(text: &str, now: i64) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let now = utc(now);
    Some(day.and_hms_opt(now.hour(), now.minute(), now.second())?.and_utc().timestamp())
}

/// GET /v3/catalog/products
pub fn products(store: &Store, request: &Request) -> Reply {
    let mut from = None;
    if let Some(text) = request.param("date_modified:min") {
        from = moment(text, store.now());
        if from.is_none() {
            return error(422, "The date is not valid.", json!({"date_modified:min": "invalid"}));
        }
    }
    if request.param("is_visible").is_some_and(|text| !["true", "false", "1", "0"].contains(&text)) {
        return error(422, "The filter is not valid.", json!({"is_visible": "invalid"}));
    }
    let only = ids(request, "id:in");
    let mut rows: Vec<(i64, &Entity)> = store
        .products
        .iter()
        .map(|(id, product)| (*id, product))
        .filter(|(id, product)| {
            from.is_none_or(|edge| product.updated >= edge)
                && only.as_ref().is_none_or(|only| only.contains(id))
        })
        .collect();
    match request.param("sort") {
        Some("date_modified") => rows.sort_by_key(|(id, product)| (product.updated, *id)),
        Some("id" | "name" | "sku" | "price") | None => {}
        Some(_) => return error(422, "The sort field is not valid.", json!({"sort": "invalid"})),
    }
    if request.param("direction") == Some("desc") {
        rows.reverse();
    }
    let include = request.param("include").unwrap_or_default();
    // Options and modifiers make pages small.
    let most = if include.contains("options") || include.contains("modifiers") { 10 } else { 250 };
    paged(request, &rows, most, |(id, product)| shown(request, *id, product))
}

fn shown(request: &Request, id: i64, product: &Entity) -> Value {
    let mut data = product.with_iso_times();
    data.insert("id".into(), id.into());
    let include = request.param("include").unwrap_or_default();
    for part in ["variants", "custom_fields"] {
        if !include.split(',').any(|name| name == part) {
            data.remove(part);
        }
    }
    if let Some(only) = request.param("include_fields") {
        data.retain(|key, _| key == "id" || only.split(',').any(|name| name == key));
    }
    Value::Object(data)
}

/// GET /v3/catalog/products/{id}
pub fn product(store: &Store, request: &Request, id: i64) -> Reply {
    match store.products.get(&id) {
        Some(product) => Reply::json(200, json!({"data": shown(request, id, product), "meta": {}})),
        None => error(404, "A product was not found with an id of this.", json!({})),
    }
}

/// PUT /v3/catalog/products/{id}
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    if !store.products.contains_key(&id) {
        return error(404, "A product was not found with an id of this.", json!({}));
    }
    let mut form = Form::new(body);
    let mut data = Fields::new();
    data.extend(form.text("name").map(|text| ("name".to_owned(), text.into())));
    for key in ["price", "cost_price", "sale_price", "retail_price"] {
        data.extend(form.amount(key).map(|_| (key.to_owned(), form.get(key).cloned().unwrap_or_default())));
    }
    for key in ["inventory_level", "order_quantity_minimum", "order_quantity_maximum"] {
        data.extend(form.int(key).map(|n| (key.to_owned(), n.into())));
    }
    data.extend(form.flag("is_visible").map(|flag| ("is_visible".to_owned(), flag.into())));
    if let Some(wrong) = form.failed() {
        return error(422, "JSON data is missing or invalid", wrong);
    }
    store.patch_product(id, Value::Object(data));
    match store.products.get(&id) {
        Some(product) => Reply::json(200, json!({"data": product.with_iso_times(), "meta": {}})),
        None => v2_error(404, "gone"),
    }
}

/// GET /v3/catalog/variants: no filter by time.
pub fn variants(store: &Store, request: &Request) -> Reply {
    let only = ids(request, "product_id:in");
    let rows: Vec<&Value> = store
        .products
        .iter()
        .filter(|(id, _)| only.as_ref().is_none_or(|only| only.contains(id)))
        .filter_map(|(_, product)| product.data.get("variants")?.as_array())
        .flatten()
        .collect();
    paged(request, &rows, 250, |variant| (*variant).clone())
}
