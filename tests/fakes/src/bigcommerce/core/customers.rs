//! Customers V3: collections only. An e-mail address is unique; store credit is written outright.

use serde_json::{json, Value};

use super::catalog::moment;
use super::error;
use super::page::{by_cursor, ids};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::form::Form;
use crate::reply::Reply;
use crate::request::Request;

/// GET /v3/customers
pub fn all(store: &Store, request: &Request) -> Reply {
    let from = request.param("date_modified:min").map(|text| moment(text, store.now()).unwrap_or(i64::MAX));
    let emails: Option<Vec<String>> =
        request.param("email:in").map(|text| text.split(',').map(|e| e.trim().to_lowercase()).collect());
    let only = ids(request, "id:in");
    let mut rows: Vec<(i64, &Entity)> = store
        .customers
        .iter()
        .map(|(id, customer)| (*id, customer))
        .filter(|(id, customer)| {
            from.is_none_or(|edge| customer.updated >= edge)
                && only.as_ref().is_none_or(|only| only.contains(id))
                && emails
                    .as_ref()
                    .is_none_or(|emails| emails.contains(&customer.text("email").to_lowercase()))
        })
        .collect();
    if request.param("sort") == Some("date_modified:asc") {
        rows.sort_by_key(|(id, customer)| (customer.updated, *id));
    }
    let credit = request.param("include").unwrap_or_default().contains("storecredit");
    by_cursor(request, &rows, 250, |(_, customer)| shown(customer, credit))
}

fn shown(customer: &Entity, credit: bool) -> Value {
    let mut data = customer.with_iso_times();
    if !credit {
        data.remove("store_credit_amounts");
    }
    Value::Object(data)
}

fn read(store: &Store, item: &Value, own: i64, place: usize, wrong: &mut Fields) -> Fields {
    let mut form = Form::new(item);
    if own == 0 {
        form.require(&["email", "first_name", "last_name"]);
    }
    let mut data = Fields::new();
    for key in ["email", "first_name", "last_name", "company", "phone", "notes"] {
        data.extend(form.text(key).map(|text| (key.to_owned(), text.into())));
    }
    data.extend(form.int("customer_group_id").map(|id| ("customer_group_id".to_owned(), id.into())));
    if let Some(email) = form.text("email") {
        let taken =
            store.customers.iter().any(|(id, c)| *id != own && c.text("email").eq_ignore_ascii_case(email));
        if taken {
            form.wrong("email", "the email is already in use");
        }
    }
    if let Some(amounts) = form.list("store_credit_amounts") {
        match amounts.iter().all(|item| item.get("amount").is_some_and(Value::is_number)) {
            true => drop(data.insert("store_credit_amounts".into(), json!(amounts))),
            false => form.wrong("store_credit_amounts", "amount must be a number"),
        }
    }
    for (key, messages) in &form.errors {
        wrong.insert(format!("{place}.{key}"), messages.join(" ").into());
    }
    data
}

fn items(body: &Value) -> Result<&Vec<Value>, Reply> {
    match body.as_array() {
        Some(items) if items.len() <= 10 => Ok(items),
        Some(_) => Err(error(413, "At most 10 customers", json!({}))),
        None => Err(error(422, "A list is required", json!({}))),
    }
}

/// POST /v3/customers: up to 10.
pub fn create(store: &mut Store, body: &Value) -> Reply {
    let items = match items(body) {
        Ok(items) => items,
        Err(refused) => return refused,
    };
    let mut wrong = Fields::new();
    let read: Vec<_> =
        items.iter().enumerate().map(|(place, item)| read(store, item, 0, place, &mut wrong)).collect();
    if !wrong.is_empty() {
        return error(422, "Create customers failed.", Value::Object(wrong));
    }
    let now = store.now();
    let mut made = Vec::new();
    for mut data in read {
        let id = store.next_id("customer");
        data.insert("id".into(), id.into());
        data.entry("store_credit_amounts").or_insert_with(|| json!([{"amount": 0}]));
        let customer = Entity::new(now, Value::Object(data));
        made.push(shown(&customer, false));
        store.customers.insert(id, customer);
        store.tell("store/customer/created", json!({"type": "customer", "id": id}));
    }
    Reply::json(200, json!({"data": made, "meta": {}}))
}

/// PUT /v3/customers: up to 10, each with its id.
pub fn update(store: &mut Store, request: &Request, body: &Value) -> Reply {
    let items = match items(body) {
        Ok(items) => items,
        Err(refused) => return refused,
    };
    let mut wrong = Fields::new();
    let mut changes = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let id = item.get("id").and_then(Value::as_i64).unwrap_or(0);
        if !store.customers.contains_key(&id) {
            wrong.insert(format!("{place}.id"), "no such customer".into());
            continue;
        }
        changes.push((id, read(store, item, id, place, &mut wrong)));
    }
    if !wrong.is_empty() {
        return error(422, "Update customers failed.", Value::Object(wrong));
    }
    let now = store.now();
    let taken = if request.half { changes.len() / 2 } else { changes.len() };
    let mut done = Vec::new();
    for (id, data) in changes.into_iter().take(taken) {
        if let Some(customer) = store.customers.get_mut(&id) {
            customer.data.extend(data);
            customer.updated = now;
            done.push(shown(customer, false));
        }
        store.tell("store/customer/updated", json!({"type": "customer", "id": id}));
    }
    Reply::json(200, json!({"data": done, "meta": {}}))
}
