//! B2B Edition's management API: `/api/v3/io/…`.

use serde_json::{json, Value};

use super::state::Store;
use crate::reply::Reply;
use crate::request::Request;

mod companies;
mod company_writes;
mod credit;
mod extra;
mod invoices;
mod list;
mod orders;
mod quote_writes;
mod quotes;
mod staff;
pub(super) mod users;

pub(super) use invoices::made as invoice;

/// Finds who answers.
pub fn answer(store: &mut Store, request: &Request, path: &[&str]) -> Reply {
    let method = request.method.as_str();
    let body = request.json();
    match (method, path) {
        ("GET", ["companies"]) => companies::all(store, request),
        ("POST", ["companies"]) => company_writes::create(store, &body),
        ("POST", ["companies", "bulk"]) => company_writes::create_bulk(store, request, &body),
        ("PUT", ["companies", "bulk"]) => company_writes::update_bulk(store, request, &body),
        ("GET", ["companies", "extra-fields"]) => companies::extra_fields(store),
        ("GET", ["companies", id]) => with(id, |id| companies::one(store, id)),
        ("PUT", ["companies", id]) => with(id, |id| company_writes::update(store, id, &body)),
        ("DELETE", ["companies", id]) => with(id, |id| gone(store.delete("company", id), "Company")),
        ("PUT", ["companies", id, "status"]) => with(id, |id| company_writes::status(store, id, &body)),
        ("PUT", ["companies", id, "catalogs"]) => with(id, |id| company_writes::catalog(store, id, &body)),
        ("GET", ["companies", id, "credit"]) => with(id, |id| credit::credit(store, id)),
        ("PUT", ["companies", id, "credit"]) => with(id, |id| credit::set_credit(store, id, &body)),
        ("GET", ["companies", id, "payment-terms"]) => with(id, |id| credit::terms(store, id)),
        ("PUT", ["companies", id, "payment-terms"]) => with(id, |id| credit::set_terms(store, id, &body)),
        ("GET", ["users"]) => users::all(store, request),
        ("POST", ["users"]) => users::create(store, &body),
        ("GET", ["users", "customer", id]) => with(id, |id| users::of_customer(store, id)),
        ("GET", ["users", id]) => with(id, |id| users::one(store, id)),
        ("PUT", ["users", id]) => with(id, |id| users::update(store, id, &body)),
        ("DELETE", ["users", id]) => with(id, |id| users::delete(store, id)),
        ("GET", ["sales-staffs"]) => staff::all(store, request),
        ("GET", ["sales-staffs", id]) => with(id, |id| staff::one(store, id)),
        ("PUT", ["sales-staffs", id]) => with(id, |id| staff::assign(store, request, id, &body)),
        ("GET", ["rfq"]) => quotes::all(store, request),
        ("POST", ["rfq"]) => quote_writes::create(store, &body),
        ("GET", ["rfq", "extra-fields"]) => quotes::extra_fields(store),
        ("GET", ["rfq", id]) => with(id, |id| quotes::one(store, request, id)),
        ("PUT", ["rfq", id]) => with(id, |id| quote_writes::update(store, id, &body)),
        ("DELETE", ["rfq", id]) => with(id, |id| quote_writes::delete(store, id)),
        ("POST", ["rfq", id, "ordered"]) => with(id, |id| quote_writes::ordered(store, id, &body)),
        ("POST", ["rfq", id, "checkout"]) => with(id, |id| quote_writes::checkout(store, id)),
        ("GET", ["orders"]) => orders::all(store, request),
        ("GET", ["orders", id]) => with(id, |id| orders::one(store, id)),
        ("PUT", ["orders", id]) => with(id, |id| orders::update(store, id, &body)),
        ("GET", ["ip", "invoices"]) => invoices::all(store, request),
        ("POST", ["ip", "invoices"]) => invoices::create(store, &body),
        ("GET", ["ip", "invoices", id]) => with(id, |id| invoices::one(store, id)),
        ("PUT", ["ip", "invoices", id]) => with(id, |id| invoices::update(store, id, &body)),
        ("DELETE", ["ip", "invoices", id]) => with(id, |id| gone(store.delete("invoice", id), "Invoice")),
        ("POST", ["ip", "orders", id, "invoices"]) => with(id, |id| invoices::from_order(store, id)),
        (_, ["companies" | "users" | "sales-staffs" | "rfq" | "orders" | "ip", ..]) => {
            error(405, json!(format!("Method \"{method}\" not allowed.")))
        }
        _ => error(404, json!("Not found.")),
    }
}

/// An id of the path.
fn with(text: &str, then: impl FnOnce(i64) -> Reply) -> Reply {
    match text.parse() {
        Ok(id) => then(id),
        Err(_) => error(404, json!("Not found.")),
    }
}

/// Success.
pub fn ok(data: Value) -> Reply {
    Reply::json(200, json!({"code": 200, "data": data, "meta": {"message": "SUCCESS"}}))
}

/// Success as the quote endpoints say it: the message stands at the top.
fn ok_quote(data: Value) -> Reply {
    Reply::json(200, json!({"code": 200, "data": data, "message": "SUCCESS"}))
}

/// Refused: `errMsg` is a text or a map of fields.
pub fn error(code: u16, message: Value) -> Reply {
    let short = message.as_str().unwrap_or("Validation failed").to_owned();
    Reply::json(code, json!({"code": code, "data": {"errMsg": message}, "meta": {"message": short}}))
}

fn gone(was_there: bool, what: &str) -> Reply {
    match was_there {
        true => ok(json!({})),
        false => error(404, json!(format!("{what} does not exist"))),
    }
}
