//! Invoices: `/ip/invoices`. No filter by change and no webhook; numbers are unique in the store.

use rust_decimal::Decimal;
use serde_json::{json, Value};

use super::list::{Asked, Row};
use super::{error, ok};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::form::{decimal, int, Form};
use crate::reply::Reply;
use crate::request::Request;

/// GET /ip/invoices
pub fn all(store: &Store, request: &Request) -> Reply {
    let asked = match Asked::read(request, 250) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let text = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let day = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
    let between = match (day("beginDateAt"), day("endDateAt")) {
        (None, None) => None,
        (Some(begin), Some(end)) => Some(begin..=end),
        _ => {
            return error(422, json!({"beginDateAt": ["beginDateAt and endDateAt must be given together."]}))
        }
    };
    let q = text("q");
    let search = |invoice: &Entity| match (text("searchBy"), q) {
        (Some(field), Some(q)) => invoice.text(field).to_lowercase().contains(&q.to_lowercase()),
        (None, Some(q)) => invoice.text("invoiceNumber").to_lowercase().contains(&q.to_lowercase()),
        _ => true,
    };
    let rows = store
        .invoices
        .iter()
        .filter(|(_, invoice)| {
            // minModified and maxModified do not exist here: they are ignored.
            between.as_ref().is_none_or(|between| between.contains(&invoice.created))
                && search(invoice)
                && text("customerId").is_none_or(|of| invoice.text("customerId") == of)
                && text("status").is_none_or(|of| invoice.int("status").to_string() == of)
                && text("externalId[]").is_none_or(|of| invoice.text("externalId") == of)
        })
        .map(|(id, entity)| Row { id: *id, entity })
        .collect();
    let (page, total) = asked.page(rows);
    asked.envelope(page.into_iter().map(|row| shown(row.id, row.entity)).collect(), total)
}

/// Times are typed as strings here.
fn shown(id: i64, invoice: &Entity) -> Fields {
    let mut data = invoice.with_unix_texts();
    data.insert("id".into(), id.into());
    data
}

/// GET /ip/invoices/{id}
pub fn one(store: &Store, id: i64) -> Reply {
    match store.invoices.get(&id) {
        Some(invoice) => ok(Value::Object(shown(id, invoice))),
        None => error(404, json!("Invoice does not exist")),
    }
}

/// An invoice over an order, still open.
pub fn made(id: i64, company: i64, order: &str, total: Decimal, currency: &str, now: i64) -> Entity {
    let balance = json!({"code": currency, "value": format!("{total:.4}")});
    let data = json!({"id": id, "customerId": company.to_string(), "externalId": "", "externalCustomerId": "",
        "invoiceNumber": format!("INV-{id}"), "type": "Invoice", "dueDate": now + 30 * 86_400, "status": 0,
        "orderNumber": order, "purchaseOrderNumber": "", "originalBalance": balance, "openBalance": balance,
        "isPendingPayment": 0, "source": 0, "details": {"header": {}, "details": {"lineItems": []}}});
    Entity::new(now, data)
}

/// POST /ip/orders/{b2b order id}/invoices. What a second call does is not documented.
pub fn from_order(store: &mut Store, b2b_order: i64) -> Reply {
    let found = store.b2b_orders.iter().find(|(_, view)| view.int("id") == b2b_order);
    let Some((order, company)) = found.map(|(id, view)| (*id, view.int("companyId"))) else {
        return error(404, json!("Order does not exist"));
    };
    let taken = store.invoices.values().any(|invoice| invoice.text("orderNumber") == order.to_string());
    if taken && store.refuse_second_invoice {
        return error(400, json!("Invoice already exists"));
    }
    let core = store.orders.get(&order);
    let total = core.and_then(|core| decimal(core.data.get("total_inc_tax")?)).unwrap_or_default();
    let currency = core.map_or("USD", |core| core.text("default_currency_code")).to_owned();
    let id = store.next_id("invoice");
    let invoice = made(id, company, &order.to_string(), total, &currency, store.now());
    let number = invoice.data["invoiceNumber"].clone();
    store.invoices.insert(id, invoice);
    ok(json!({"invoiceId": id, "invoiceNumber": number}))
}

/// POST /ip/invoices
pub fn create(store: &mut Store, body: &Value) -> Reply {
    let mut form = Form::new(body);
    form.require(&["invoiceNumber", "customerId", "originalBalance", "openBalance"]);
    let number = form.text("invoiceNumber").unwrap_or_default().to_owned();
    let company = int(form.get("customerId"));
    if form.has("customerId") && !store.companies.contains_key(&company) {
        form.wrong("customerId", "Company does not exist");
    }
    let data = check(&mut form);
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    if store.invoices.values().any(|invoice| invoice.text("invoiceNumber") == number) {
        // The specification has this one among the examples of HTTP 200.
        let data = json!({"errMsg": "The invoice number already exists."});
        return Reply::json(
            200,
            json!({"code": 400, "data": data, "meta": {"message": "Bad Requests Error"}}),
        );
    }
    let id = store.next_id("invoice");
    let mut invoice = made(id, company, "", Decimal::ZERO, "USD", store.now());
    invoice.data.extend([("invoiceNumber".to_owned(), number.into()), ("source".to_owned(), 1.into())]);
    invoice.data.extend(data);
    settle(&mut invoice);
    store.invoices.insert(id, invoice);
    ok(json!({"id": id}))
}

/// PUT /ip/invoices/{id}: what is named changes; `details` are replaced.
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    let mut form = Form::new(body);
    let data = check(&mut form);
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let now = store.now();
    let Some(invoice) = store.invoices.get_mut(&id) else {
        return error(404, json!("Invoice does not exist"));
    };
    invoice.data.extend(data);
    settle(invoice);
    invoice.updated = now;
    ok(json!({"id": id}))
}

fn check(form: &mut Form<'_>) -> Fields {
    let mut data = Fields::new();
    for key in
        ["orderNumber", "purchaseOrderNumber", "externalId", "externalCustomerId", "externalPdfUrl", "type"]
    {
        data.extend(form.text(key).map(|text| (key.to_owned(), text.into())));
    }
    data.extend(form.int("dueDate").map(|at| ("dueDate".to_owned(), at.into())));
    form.int("issuedAt");
    for key in ["originalBalance", "openBalance"] {
        let Some(balance) = form.get(key) else { continue };
        let code = balance.get("code").and_then(Value::as_str).filter(|code| code.len() == 3);
        // Read as a string, written as a number.
        let amount = balance.get("value").filter(|value| value.is_number()).and_then(decimal);
        match (code, amount) {
            (Some(code), Some(amount)) => {
                data.insert(key.to_owned(), json!({"code": code, "value": format!("{amount:.4}")}));
            }
            _ => form.wrong(key, "An object {code, value} with a number is required."),
        }
    }
    if let Some(details) = form.get("details") {
        match details.is_object() {
            true => drop(data.insert("details".into(), details.clone())),
            false => form.wrong("details", "Expected an object."),
        }
    }
    if let Some(fields) = form.list("extraFields") {
        data.insert("extraFields".into(), json!(fields));
    }
    data
}

/// Paid when nothing is left, partly paid when less than all is.
fn settle(invoice: &mut Entity) {
    let value = |key: &str| invoice.data.get(key).and_then(|b| decimal(b.get("value")?)).unwrap_or_default();
    let (open, original) = (value("openBalance"), value("originalBalance"));
    let status = match open {
        open if open <= Decimal::ZERO => 2,
        open if open < original => 1,
        _ => 0,
    };
    invoice.data.insert("status".into(), status.into());
}
