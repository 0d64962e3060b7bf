//! Core: `/stores/{hash}/v2|v3/…`.

use serde_json::{json, Value};

use super::state::Store;
use crate::reply::Reply;
use crate::request::Request;

mod catalog;
mod customers;
mod hooks;
pub mod orders;
mod page;
mod price_lists;

/// Finds who answers.
pub fn answer(store: &mut Store, request: &Request, version: &str, path: &[&str]) -> Reply {
    let method = request.method.as_str();
    let body = request.json();
    match (version, method, path) {
        ("v2", "GET", ["time"]) => Reply::json(200, json!({"time": store.now()})),
        ("v2", "GET", ["orders"]) => orders::all(store, request),
        ("v2", "GET", ["orders", "count"]) => orders::count(store),
        ("v2", "GET", ["orders", id]) => with_v2(id, |id| orders::one(store, request, id)),
        ("v2", "PUT", ["orders", id]) => with_v2(id, |id| orders::update(store, id, &body)),
        ("v2", "GET", ["orders", id, "products"]) => with_v2(id, |id| orders::products(store, request, id)),
        ("v2", ..) => v2_error(404, "The requested resource was not found."),
        ("v3", "GET", ["catalog", "products"]) => catalog::products(store, request),
        ("v3", "GET", ["catalog", "products", id]) => with(id, |id| catalog::product(store, request, id)),
        ("v3", "PUT", ["catalog", "products", id]) => with(id, |id| catalog::update(store, id, &body)),
        ("v3", "DELETE", ["catalog", "products", id]) => with(id, |id| {
            store.delete("product", id);
            Reply::empty(204)
        }),
        ("v3", "GET", ["catalog", "variants"]) => catalog::variants(store, request),
        ("v3", "GET", ["pricelists"]) => price_lists::all(store, request),
        ("v3", "GET", ["pricelists", "assignments"]) => price_lists::assignments(store, request),
        ("v3", "GET", ["pricelists", id, "records"]) => {
            with(id, |id| price_lists::records(store, request, id))
        }
        ("v3", "PUT", ["pricelists", id, "records"]) => {
            with(id, |id| price_lists::put(store, request, id, &body))
        }
        ("v3", "GET", ["customers"]) => customers::all(store, request),
        ("v3", "POST", ["customers"]) => customers::create(store, &body),
        ("v3", "PUT", ["customers"]) => customers::update(store, request, &body),
        ("v3", "GET", ["hooks"]) => hooks::all(store, request),
        ("v3", "POST", ["hooks"]) => hooks::create(store, &body),
        ("v3", "GET", ["hooks", "admin"]) => hooks::admin(store),
        ("v3", "GET", ["hooks", id]) => with(id, |id| hooks::one(store, id)),
        ("v3", "PUT", ["hooks", id]) => with(id, |id| hooks::update(store, id, &body)),
        ("v3", "DELETE", ["hooks", id]) => with(id, |id| hooks::delete(store, id)),
        _ => error(404, "The requested resource was not found.", json!({})),
    }
}

fn with(text: &str, then: impl FnOnce(i64) -> Reply) -> Reply {
    match text.parse() {
        Ok(id) => then(id),
        Err(_) => error(404, "The requested resource was not found.", json!({})),
    }
}

fn with_v2(text: &str, then: impl FnOnce(i64) -> Reply) -> Reply {
    match text.parse() {
        Ok(id) => then(id),
        Err(_) => v2_error(400, "The id is not a number."),
    }
}

/// V2's errors are in no specification; commonly they look like this.
pub fn v2_error(status: u16, message: &str) -> Reply {
    Reply::json(status, json!([{"status": status, "message": message}]))
}

/// V3's errors.
pub fn error(status: u16, title: &str, errors: Value) -> Reply {
    let kind = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes";
    Reply::json(status, json!({"status": status, "title": title, "type": kind, "errors": errors}))
}
