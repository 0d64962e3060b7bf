//! B2B Edition's view of orders, also of consumers' orders. Without a filter by time the list shows the last year only.

use serde_json::{json, Value};

use super::list::{Asked, Row};
use super::{error, extra, ok};
use crate::bigcommerce::core::orders::status_name;
use crate::bigcommerce::state::{Entity, ExtraField, Fields, Store};
use crate::form::Form;
use crate::reply::Reply;
use crate::request::Request;

const YEAR: i64 = 365 * 86_400;

/// GET /orders
pub fn all(store: &Store, request: &Request) -> Reply {
    let asked = match Asked::read(request, 200) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let text = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let oldest = if asked.by_time() { i64::MIN } else { store.now() - YEAR };
    let rows = store
        .b2b_orders
        .iter()
        .filter(|(id, order)| {
            asked.passes(order)
                && order.created >= oldest
                && text("companyId").is_none_or(|of| order.int("companyId").to_string() == of)
                && text("bcOrderId").is_none_or(|of| id.to_string() == of)
        })
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    let page = page.into_iter().map(|row| shown(store, row.id, row.entity)).collect();
    asked.envelope(page, total)
}

/// Status, total and currency are the core order's.
fn shown(store: &Store, id: i64, view: &Entity) -> Fields {
    let mut data = view.with_unix_times();
    data.insert("bcOrderId".into(), id.into());
    if let Some(order) = store.orders.get(&id) {
        let status = order.int("status_id");
        data.insert("statusCode".into(), status.into());
        data.insert("status".into(), status_name(status).unwrap_or_default().into());
    }
    data
}

/// GET /orders/{bcOrderId}: the path has the core id.
pub fn one(store: &Store, id: i64) -> Reply {
    let Some(view) = store.b2b_orders.get(&id) else { return error(404, json!("Order does not exist")) };
    let mut data = shown(store, id, view);
    let invoice = store.invoices.iter().find(|(_, invoice)| invoice.text("orderNumber") == id.to_string());
    data.insert("isInvoiceOrder".into(), 0.into());
    data.insert("invoiceId".into(), invoice.map_or(Value::Null, |(id, _)| (*id).into()));
    data.insert("invoiceNumber".into(), invoice.map_or(Value::Null, |(_, i)| i.text("invoiceNumber").into()));
    data.insert("invoiceStatus".into(), invoice.map_or(Value::Null, |(_, i)| i.int("status").into()));
    ok(Value::Object(data))
}

/// PUT /orders/{bcOrderId}: the purchase order number and extra fields, nothing else.
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    if !store.b2b_orders.contains_key(&id) {
        return error(404, json!("Order does not exist"));
    }
    let mut form = Form::new(body);
    let mut data = Fields::new();
    data.extend(form.text("poNumber").map(|text| ("poNumber".to_owned(), text.into())));
    if let Some(value) = form.get("extraFields") {
        // Names are free here: the fields of orders are configured elsewhere.
        let names = value.as_array().into_iter().flatten().filter_map(|item| item["fieldName"].as_str());
        let fields: Vec<_> = names.map(ExtraField::text).collect();
        match extra::read(&fields, value) {
            Ok(pairs) => extra::merge(&mut data, pairs),
            Err(wrong) => wrong.iter().for_each(|message| form.wrong("extraFields", message)),
        }
    }
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    store.patch_b2b_order(id, Value::Object(data));
    ok(json!({"bcOrderId": id}))
}
