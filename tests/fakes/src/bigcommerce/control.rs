//! `/_fake/…`: what tests do in the process, done over HTTP, for the demo and for people with curl.
//!
//! | call | does |
//! |---|---|
//! | `POST /_fake/companies {"name"}` | a company signs up; other keys are the payload's: [`super::people`] |
//! | `POST /_fake/users {"company", "email", "first", "last"}` | somebody joins a company |
//! | `POST /_fake/staff {"name", "email"}` | a sales rep is hired |
//! | `PUT /_fake/staff/301/companies/1001` | and looks after a company, instead of whoever did |
//! | `POST /_fake/quotes {"company", "email", "lines"}` | a buyer asks for a quote; a line is `{"product", "name", "quantity", "price", "offered"}` |
//! | `PUT /_fake/quotes/48002/lines [line, …]` | its lines are these now |
//! | `POST /_fake/quotes/48002/order` | the buyer orders it |
//! | `POST /_fake/orders {"company", "email", "lines"}` | a buyer places an order |
//! | `GET /_fake/quotes/48002` | its payload (also of the others below) |
//! | `PATCH /_fake/quotes/48002 {…}` | merges into a quote (also `companies`, `users`, `orders`, `b2b-orders`, `invoices`, `products`) |
//! | `DELETE /_fake/quotes/48002` | takes it away |
//! | `GET /_fake/counts` | how many there are of each |
//! | `POST /_fake/routes {"host": …, "url": …}` | where webhooks for a host really go |
//! | `PUT /_fake/clock {"now": unix seconds}` | stops the clock there; 0 lets it run |

use serde_json::{json, Value};

use super::people::Line;
use super::state::Store;
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
        ("GET", [kind, id]) => shown(shop, kind, id),
        ("POST", [kind]) => made(acts(shop, kind, body)),
        ("POST", ["quotes", id, "order"]) => made(with_known(shop, id, |store, id| {
            store.quotes.contains_key(&id).then(|| store.order_quote(id)).ok_or_else(|| "there is no such quote".into())
        })),
        ("PUT", ["quotes", id, "lines"]) => made(lines(&body).and_then(|lines| {
            with_known(shop, id, |store, id| {
                store.change_lines(id, &lines);
                Ok(id)
            })
        })),
        ("PUT", ["staff", id, "companies", company]) => made(with_known(shop, id, |store, id| {
            let company = company.parse().ok().filter(|company| store.companies.contains_key(company));
            match company.filter(|_| store.staff.contains_key(&id)) {
                Some(company) => store.assign(id, company),
                None => return Err("there is no such rep or company".into()),
            }
            Ok(id)
        })),
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

fn shown(shop: &Shop, kind: &str, id: &str) -> Reply {
    let id = id.parse().unwrap_or_default();
    let found = shop.edit(|store| {
        let all = match kind {
            "companies" => &store.companies,
            "users" => &store.users,
            "quotes" => &store.quotes,
            "orders" => &store.orders,
            "b2b-orders" => &store.b2b_orders,
            "invoices" => &store.invoices,
            "products" => &store.products,
            _ => return None,
        };
        all.get(&id).map(|thing| Value::Object(thing.with_unix_times()))
    });
    found.map_or(Reply::empty(404), |payload| Reply::json(200, payload))
}

/// The id of what was made, or why nothing was.
fn made(result: Result<i64, String>) -> Reply {
    match result {
        Ok(id) => Reply::json(201, json!({"id": id})),
        Err(why) => Reply::json(422, json!({"error": why})),
    }
}

fn with_known(
    shop: &Shop,
    id: &str,
    act: impl FnOnce(&mut Store, i64) -> Result<i64, String>,
) -> Result<i64, String> {
    let id = id.parse().map_err(|_| "the id is not a number".to_owned())?;
    shop.edit(|store| act(store, id))
}

/// What people begin. Keys that the call does not know are the payload's own.
fn acts(shop: &Shop, kind: &str, mut body: Value) -> Result<i64, String> {
    let mut take = |key: &str| body.as_object_mut().and_then(|body| body.remove(key));
    let mut text = |key: &str| match take(key) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("{key} is required")),
    };
    match kind {
        "companies" => {
            let name = text("name")?;
            Ok(shop.edit(|store| store.sign_up(&name, body)))
        }
        "users" => {
            let (email, first, last) = (text("email")?, text("first")?, text("last")?);
            let company = int(take("company").as_ref());
            shop.edit(|store| {
                let known = store.companies.contains_key(&company);
                known
                    .then(|| store.join(company, &email, &first, &last, body))
                    .ok_or_else(|| "there is no such company".into())
            })
        }
        "staff" => {
            let (name, email) = (text("name")?, text("email")?);
            Ok(shop.edit(|store| store.hire(&name, &email)))
        }
        "quotes" | "orders" => {
            let email = text("email")?;
            let company = int(take("company").as_ref());
            let lines = lines(&take("lines").unwrap_or_default())?;
            shop.edit(|store| match store.companies.contains_key(&company) {
                true if kind == "quotes" => Ok(store.ask_for_quote(company, &email, &lines, body)),
                true => Ok(store.place_order(company, &email, &lines, body)),
                false => Err("there is no such company".into()),
            })
        }
        _ => Err("there is no such kind".into()),
    }
}

/// Lines as people write them: prices are texts; `offered` is the price unless it is given.
fn lines(given: &Value) -> Result<Vec<Line>, String> {
    let given = given.as_array().filter(|lines| !lines.is_empty()).ok_or("lines are required")?;
    let line = |line: &Value| {
        let price =
            |key: &str| line[key].as_str().filter(|price| price.parse::<rust_decimal::Decimal>().is_ok());
        let wanted = "a line is {\"product\": 201, \"name\": \"…\", \"quantity\": 1, \"price\": \"9.90\"}";
        let (product, name) = (line["product"].as_i64().ok_or(wanted)?, line["name"].as_str().ok_or(wanted)?);
        let made =
            Line::new(product, name, line["quantity"].as_i64().ok_or(wanted)?, price("price").ok_or(wanted)?);
        Ok(match price("offered") {
            Some(offered) => made.offered(offered),
            None => made,
        })
    };
    given.iter().map(line).collect()
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
