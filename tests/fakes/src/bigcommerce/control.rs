//! `/_fake/…`: what tests do in the process, done over HTTP, for the demo and for people with curl.
//!
//! | call | does |
//! |---|---|
//! | `PATCH /_fake/quotes/48002 {…}` | merges into a quote (also `companies`, `users`, `orders`, `b2b-orders`, `invoices`, `products`) |
//! | `DELETE /_fake/quotes/48002` | takes it away |
//! | `GET /_fake/counts` | how many there are of each |
//! | `POST /_fake/routes {"host": …, "url": …}` | where webhooks for a host really go |
//! | `PUT /_fake/clock {"now": unix seconds}` | stops the clock there; 0 lets it run |

use serde_json::{json, Value};

use super::Shop;
use crate::form::int;
use crate::reply::Reply;
use crate::request::Request;

/// Answers a request below `/_fake`.
pub(super) fn answer(shop: &Shop, request: &Request, path: &[&str]) -> Reply {
    let body = request.json();
    match (request.method.as_str(), path) {
        ("GET", ["counts"]) => shop.edit(|store| {
            Reply::json(
                200,
                json!({"companies": store.companies.len(), "users": store.users.len(), "staff": store.staff.len(),
                    "quotes": store.quotes.len(), "orders": store.orders.len() as i64 + store.generated_orders,
                    "b2b_orders": store.b2b_orders.len(), "invoices": store.invoices.len(),
                    "products": store.products.len(), "hooks": store.hooks.len()}),
            )
        }),
        ("POST", ["routes"]) => match (body["host"].as_str(), body["url"].as_str()) {
            (Some(host), Some(url)) => {
                shop.deliveries.route(host, url);
                Reply::empty(204)
            }
            _ => Reply::json(422, json!({"error": "host and url are required"})),
        },
        ("PUT", ["clock"]) => {
            shop.clock.set(int(body.get("now")));
            Reply::empty(204)
        }
        ("PATCH", [kind, id]) => match id.parse() {
            Ok(id) => patch(shop, kind, id, body),
            Err(_) => Reply::json(404, json!({"error": "the id is not a number"})),
        },
        ("DELETE", [kind, id]) => {
            let what = match *kind {
                "companies" => "company",
                "users" => "user",
                "quotes" => "quote",
                "orders" => "order",
                "invoices" => "invoice",
                "products" => "product",
                _ => return Reply::json(404, json!({"error": "there is no such kind"})),
            };
            let gone = id.parse().is_ok_and(|id| shop.edit(|store| store.delete(what, id)));
            Reply::empty(if gone { 204 } else { 404 })
        }
        _ => Reply::json(404, json!({"error": "there is no such control"})),
    }
}

fn patch(shop: &Shop, kind: &str, id: i64, body: Value) -> Reply {
    let known = shop.edit(|store| match kind {
        "companies" => store.companies.contains_key(&id).then(|| store.patch_company(id, body)),
        "users" => store.users.contains_key(&id).then(|| store.patch_user(id, body)),
        "quotes" => store.quotes.contains_key(&id).then(|| store.patch_quote(id, body)),
        "orders" => store.orders.contains_key(&id).then(|| store.patch_order(id, body)),
        "b2b-orders" => store.b2b_orders.contains_key(&id).then(|| store.patch_b2b_order(id, body)),
        "invoices" => store.invoices.contains_key(&id).then(|| store.patch_invoice(id, body)),
        "products" => store.products.contains_key(&id).then(|| store.patch_product(id, body)),
        _ => None,
    });
    Reply::empty(if known.is_some() { 204 } else { 404 })
}
