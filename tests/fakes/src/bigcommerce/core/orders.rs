//! Orders V2: bare lists, 204 for nothing, RFC 2822 times, money as strings. Unknown parameters are ignored, so a misspelt
//! filter returns everything.

use chrono::DateTime;
use serde_json::{json, Value};

use super::v2_error;
use crate::bigcommerce::generate;
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::form::int;
use crate::reply::Reply;
use crate::request::Request;

/// The name of a status; `None`: there is no such code.
pub fn status_name(id: i64) -> Option<&'static str> {
    const NAMES: [&str; 15] = [
        "Incomplete",
        "Pending",
        "Shipped",
        "Partially Shipped",
        "Refunded",
        "Cancelled",
        "Declined",
        "Awaiting Payment",
        "Awaiting Pickup",
        "Awaiting Shipment",
        "Completed",
        "Awaiting Fulfillment",
        "Manual Verification Required",
        "Disputed",
        "Partially Refunded",
    ];
    NAMES.get(usize::try_from(id).ok()?).copied()
}

/// An order just placed, awaiting payment, but for its lines and its buyer's address.
pub fn placed(id: i64, customer: i64, items: i64, total: &Value) -> Value {
    let mut data = json!({"id": id, "customer_id": customer, "status_id": 7, "status": "", "custom_status": "",
        "payment_method": "Purchase Order", "payment_provider_id": "", "payment_status": "", "currency_code": "USD",
        "default_currency_code": "USD", "store_default_currency_code": "USD", "items_total": items, "items_shipped": 0,
        "store_default_to_transactional_exchange_rate": "1.0000000000", "subtotal_ex_tax": total,
        "subtotal_inc_tax": total, "total_ex_tax": total, "total_inc_tax": total, "channel_id": 1,
        "cart_id": "", "order_source": "checkout_api", "external_id": null, "external_order_id": "",
        "external_source": null, "staff_notes": "", "customer_message": "", "is_deleted": false, "date_shipped": ""});
    for none in [
        "total_tax",
        "shipping_cost_ex_tax",
        "shipping_cost_inc_tax",
        "discount_amount",
        "coupon_discount",
        "store_credit_amount",
        "gift_certificate_amount",
        "refunded_amount",
    ] {
        data[none] = "0.0000".into();
    }
    data
}

/// Most rows of a page.
const MOST: usize = 250;

/// GET /v2/orders
pub fn all(store: &Store, request: &Request) -> Reply {
    let time = |name: &str| match request.param(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => DateTime::parse_from_rfc2822(text)
            .or_else(|_| DateTime::parse_from_rfc3339(text))
            .map(|at| Some(at.timestamp()))
            .map_err(|_| v2_error(400, &format!("{name} is not a date in RFC 2822 or ISO 8601"))),
    };
    let whole = |name: &str| request.param(name).and_then(|text| text.parse::<i64>().ok());
    let times = ["min_date_modified", "max_date_modified", "min_date_created", "max_date_created"].map(time);
    let [Ok(from), Ok(until), Ok(created_from), Ok(created_until)] = times else {
        return times.into_iter().find_map(Result::err).unwrap_or_else(|| v2_error(400, "a date is wrong"));
    };
    let limit = whole("limit").unwrap_or(50).clamp(1, MOST as i64) as usize;
    let page = whole("page").unwrap_or(1).max(1) as usize;
    let archived = matches!(request.param("is_deleted"), Some("true" | "1"));
    let passes = |id: i64, order: &Entity| {
        from.is_none_or(|edge| order.updated >= edge)
            && until.is_none_or(|edge| order.updated <= edge)
            && created_from.is_none_or(|edge| order.created >= edge)
            && created_until.is_none_or(|edge| order.created <= edge)
            && whole("min_id").is_none_or(|edge| id >= edge)
            && whole("max_id").is_none_or(|edge| id <= edge)
            && whole("status_id").is_none_or(|status| order.int("status_id") == status)
            && whole("customer_id").is_none_or(|customer| order.int("customer_id") == customer)
            && (order.data.get("is_deleted") == Some(&json!(true))) == archived
    };
    let mut rows: Vec<(i64, &Entity)> = store
        .orders
        .iter()
        .map(|(id, order)| (*id, order))
        .filter(|(id, order)| passes(*id, order))
        .collect();
    sort(&mut rows, request.param("sort").unwrap_or("id:asc"));
    let begin = (page - 1) * limit;
    let mut data: Vec<Value> =
        rows.iter().skip(begin).take(limit).map(|(id, order)| shown(request, *id, order)).collect();
    // Generated orders come after all others, whichever way they are sorted: their ids and times are the highest.
    let missing = limit - data.len();
    if missing > 0 && store.generated_orders > 0 && !archived {
        let after = begin.saturating_sub(rows.len());
        let least = whole("min_id").unwrap_or(0);
        data.extend(
            generate::orders(store.generated_orders, from, least, after, missing)
                .map(|(id, order)| shown(request, id, &order)),
        );
    }
    match data.is_empty() {
        true => Reply::empty(204),
        false => Reply::json(200, Value::Array(data)),
    }
}

fn sort(rows: &mut [(i64, &Entity)], by: &str) {
    let (field, direction) = by.split_once(':').unwrap_or((by, "asc"));
    let key = |row: &(i64, &Entity)| match field {
        "date_modified" => row.1.updated,
        "date_created" => row.1.created,
        "customer_id" | "status_id" => row.1.int(field),
        _ => row.0,
    };
    match direction {
        "desc" => rows.sort_by_key(|row| (std::cmp::Reverse(key(row)), std::cmp::Reverse(row.0))),
        _ => rows.sort_by_key(|row| (key(row), row.0)),
    }
}

/// Lines come as a link, unless they are asked for inside the consignments.
fn shown(request: &Request, id: i64, order: &Entity) -> Value {
    let mut data = order.with_rfc_times();
    let lines = data.remove("products").unwrap_or_else(|| json!([]));
    let link = |what: &str| json!({"url": format!("https://api.bigcommerce.com/stores/x/v2/orders/{id}/{what}"), "resource": format!("/orders/{id}/{what}")});
    data.insert("id".into(), id.into());
    data.insert("products".into(), link("products"));
    data.insert("status".into(), status_name(order.int("status_id")).unwrap_or_default().into());
    let include = request.param("include").unwrap_or_default();
    let consignments = match include.split(',').any(|part| part == "consignments.line_items") {
        true if request.param("consignment_structure") == Some("object") => {
            json!({"shipping": [{"id": id, "line_items": lines}], "pickups": [], "downloads": [], "email": {}})
        }
        true => {
            json!([{"shipping": [{"id": id, "line_items": lines}], "pickups": [], "downloads": [], "email": {}}])
        }
        false => link("consignments"),
    };
    data.insert("consignments".into(), consignments);
    Value::Object(data)
}

/// GET /v2/orders/count
pub fn count(store: &Store) -> Reply {
    Reply::json(200, json!({"count": store.orders.len() as i64 + store.generated_orders}))
}

/// GET /v2/orders/{id}
pub fn one(store: &Store, request: &Request, id: i64) -> Reply {
    match store.orders.get(&id) {
        Some(order) => Reply::json(200, shown(request, id, order)),
        None => v2_error(404, "The requested resource was not found."),
    }
}

/// GET /v2/orders/{id}/products
pub fn products(store: &Store, request: &Request, id: i64) -> Reply {
    let Some(order) = store.orders.get(&id) else {
        return v2_error(404, "The requested resource was not found.");
    };
    let whole = |name: &str| request.param(name).and_then(|text| text.parse::<usize>().ok());
    let (page, limit) = (whole("page").unwrap_or(1).max(1), whole("limit").unwrap_or(50).clamp(1, MOST));
    let lines = order.data.get("products").and_then(Value::as_array);
    let rows: Vec<_> = lines.into_iter().flatten().skip((page - 1) * limit).take(limit).cloned().collect();
    match rows.is_empty() {
        true => Reply::empty(204),
        false => Reply::json(200, Value::Array(rows)),
    }
}

/// PUT /v2/orders/{id}
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    let Some(order) = store.orders.get(&id) else {
        return v2_error(404, "The requested resource was not found.");
    };
    let Some(fields) = body.as_object() else { return v2_error(400, "The body is not an object") };
    let mut data = Fields::new();
    for (key, value) in fields {
        match key.as_str() {
            "status_id" => {
                let code = if value.is_i64() || value.is_string() { int(Some(value)) } else { -1 };
                if status_name(code).is_none() || (code == 0 && value.as_str() == Some("")) {
                    return v2_error(400, "The field 'status_id' is invalid.");
                }
                data.insert("status_id".into(), code.into());
            }
            "staff_notes" | "customer_message" | "external_order_id" | "external_source"
            | "payment_method" | "external_id" => match value.as_str() {
                Some(text) => drop(data.insert(key.clone(), text.into())),
                None => return v2_error(400, &format!("The field '{key}' is invalid.")),
            },
            "external_merchant_id" => {
                let before = order.text("external_merchant_id");
                if !before.is_empty() && value.as_str() != Some(before) {
                    return v2_error(400, "The field 'external_merchant_id' is write-once.");
                }
                data.insert(key.clone(), value.clone());
            }
            "is_deleted" => match value.as_bool() {
                Some(flag) => drop(data.insert(key.clone(), flag.into())),
                None => return v2_error(400, "The field 'is_deleted' is invalid."),
            },
            "products" | "fees" => {
                return v2_error(
                    400,
                    &format!("The fake does not take '{key}': touched lines would lose their discounts."),
                )
            }
            _ => {} // Unknown and read-only fields are ignored.
        }
    }
    let archived = data.get("is_deleted") == Some(&json!(true));
    store.patch_order(id, Value::Object(data));
    if archived {
        store.tell("store/order/archived", json!({"type": "order", "id": id}));
    }
    if store.status_touches_b2b {
        store.patch_b2b_order(id, json!({}));
    }
    match store.orders.get(&id) {
        Some(order) => {
            let data = order.with_rfc_times();
            Reply::json(200, Value::Object(data))
        }
        None => v2_error(404, "The requested resource was not found."),
    }
}
