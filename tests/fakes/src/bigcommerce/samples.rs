//! A store from payload files as the API returns them: `sidecar/samples/store`, or what somebody saved of a real store.
//!
//! Products, customers, invoices, credit and a price list are derived from them, always the same.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use rust_decimal::Decimal;
use serde_json::{json, Map, Value};

use super::state::{Credit, Entity, Fields, Store, Terms};
use crate::clock::Clock;
use crate::form::{decimal, int, number};

/// Reads a folder with one folder a kind.
pub fn read(folder: &Path, clock: Arc<Clock>) -> io::Result<Store> {
    let mut store = Store::new(clock);
    for (kind, take) in KINDS {
        let mut files: Vec<_> = match std::fs::read_dir(folder.join(kind)) {
            Ok(found) => found.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Lists first: a detail says more and wins.
        files.sort_by_key(|path| (!path.to_string_lossy().contains("list"), path.clone()));
        for path in files {
            let text = std::fs::read_to_string(&path)?;
            let named = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok()).unwrap_or(0);
            let mut found = Vec::new();
            for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
                let document = document.map_err(|e| io::Error::other(format!("{}: {e}", path.display())))?;
                unwrap(document, &mut found);
            }
            for payload in found {
                take(&mut store, payload, named);
            }
        }
    }
    derive(&mut store);
    Ok(store)
}

type Take = fn(&mut Store, Fields, i64);

const KINDS: [(&str, Take); 6] = [
    ("companies", |store, data, _| put(&mut store.companies, "companyId", data)),
    ("company-users", |store, data, _| put(&mut store.users, "id", data)),
    ("sales-staff", sales_staff),
    ("quotes", quote),
    ("orders", order),
    ("b2b-orders", |store, data, _| put(&mut store.b2b_orders, "bcOrderId", data)),
];

fn put(into: &mut BTreeMap<i64, Entity>, key: &str, mut data: Fields) {
    let id = int(data.get(key));
    let time = |data: &mut Fields, key: &str| int(data.remove(key).as_ref());
    let (created, updated) = (time(&mut data, "createdAt"), time(&mut data, "updatedAt"));
    data.insert(key.to_owned(), id.into());
    into.insert(id, Entity { created, updated, data });
}

fn sales_staff(store: &mut Store, mut data: Fields, _: i64) {
    let id = int(data.get("id"));
    if let Some(Value::Array(companies)) = data.remove("assignedCompanies") {
        for company in companies {
            store.assignments.insert((id, int(company.get("id"))), int(company.get("assignedAt")));
        }
    }
    let name = data.remove("name").or_else(|| data.get("salesRepName").cloned());
    data.extend(name.map(|name| ("salesRepName".to_owned(), name)));
    data.remove("companyCount");
    store.staff.entry(id).or_default().data.extend(data);
}

fn quote(store: &mut Store, mut data: Fields, named: i64) {
    if !data.contains_key("productList") {
        return; // A row of a list: the details are here as well.
    }
    let id = Some(int(data.get("quoteId"))).filter(|id| *id > 0).unwrap_or(named);
    data.insert("quoteId".into(), id.into());
    data.entry("quoteUuid").or_insert_with(|| format!("00000000-0000-4000-8000-{id:012}").into());
    put(&mut store.quotes, "quoteId", data);
}

fn order(store: &mut Store, mut data: Fields, _: i64) {
    let id = int(data.get("id"));
    let time = |data: &mut Fields, key: &str| {
        let text = data.remove(key).unwrap_or_default();
        DateTime::parse_from_rfc2822(text.as_str().unwrap_or_default()).map(|at| at.timestamp()).unwrap_or(0)
    };
    let (created, updated) = (time(&mut data, "date_created"), time(&mut data, "date_modified"));
    store.orders.insert(id, Entity { created, updated, data });
}

/// Takes envelopes and lists off.
fn unwrap(value: Value, found: &mut Vec<Fields>) {
    match value {
        Value::Array(items) => items.into_iter().for_each(|item| unwrap(item, found)),
        Value::Object(mut fields) => {
            let inside = ["data", "list"].into_iter().find(|key| fields.contains_key(*key));
            match inside.and_then(|key| fields.remove(key)) {
                Some(inner) => unwrap(inner, found),
                None => found.push(fields),
            }
        }
        _ => {}
    }
}

/// What the files do not say.
fn derive(store: &mut Store) {
    products(store);
    for user in store.users.values() {
        let id = user.int("customerId");
        if id > 0 {
            let data = json!({"id": id, "email": user.text("email"), "first_name": user.text("firstName"),
                "last_name": user.text("lastName"), "company": "", "customer_group_id": 0, "phone": "",
                "store_credit_amounts": [{"amount": 0}]});
            let mut customer = Entity::new(user.created, data);
            customer.updated = user.updated;
            store.customers.insert(id, customer);
        }
    }
    let companies: Vec<(i64, i64)> = store.companies.iter().map(|(id, c)| (*id, c.updated)).collect();
    for (id, _) in companies.iter().filter(|(id, _)| id % 3 == 0) {
        let available = Decimal::new((id % 7 + 1) * 500_000, 2);
        let credit = Credit {
            enabled: true,
            currency: "USD".into(),
            available,
            limit_purchases: true,
            hold: id % 9 == 0,
        };
        store.credit.insert(*id, credit);
        store.terms.insert(*id, Terms { enabled: true, days: [15, 30, 45, 60][(id % 4) as usize] });
    }
    invoices(store);
}

/// One product for each that a quote or an order names, with the variants they name.
fn products(store: &mut Store) {
    let mut variants: BTreeMap<i64, BTreeMap<i64, Fields>> = BTreeMap::new();
    let quoted = store.quotes.values().filter_map(|quote| quote.data.get("productList"));
    let ordered = store.orders.values().filter_map(|order| order.data.get("products"));
    for line in quoted.chain(ordered).filter_map(Value::as_array).flatten() {
        let get = |keys: [&str; 2]| keys.iter().find_map(|key| line.get(key)).cloned();
        let product = int(get(["productId", "product_id"]).as_ref());
        let variant = int(get(["variantId", "variant_id"]).as_ref());
        if product > 0 && variant > 0 {
            let name = get(["productName", "name"]).unwrap_or_default();
            let data = Map::from_iter([
                ("sku".to_owned(), get(["sku", "sku"]).unwrap_or_default()),
                ("name".to_owned(), name),
                // The first price seen, whatever its currency: a price of some kind.
                ("price".to_owned(), get(["basePrice", "base_price"]).unwrap_or_default()),
            ]);
            variants.entry(product).or_default().entry(variant).or_insert(data);
        }
    }
    let oldest = store.quotes.values().map(|quote| quote.created).min().unwrap_or(0);
    for (product, of) in variants {
        let Some(first) = of.values().next() else { continue };
        let price = decimal(&first["price"]).unwrap_or_default().round_dp(2);
        let sku = first["sku"].as_str().unwrap_or_default();
        let base_sku = if of.len() > 1 { sku.rsplit_once('-').map_or(sku, |(base, _)| base) } else { sku };
        let cost = (price * Decimal::new(6, 1)).round_dp(2);
        let rows: Vec<Value> = of
            .iter()
            .map(|(id, row)| {
                json!({"id": id, "product_id": product, "sku": row["sku"], "price": null, "calculated_price": number(price),
                    "cost_price": null, "retail_price": null, "sale_price": null, "purchasing_disabled": false,
                    "inventory_level": id % 900, "option_values": []})
            })
            .collect();
        let data = json!({"id": product, "name": first["name"], "sku": base_sku, "type": "physical", "price": number(price),
            "cost_price": number(cost), "retail_price": 0, "sale_price": 0, "categories": [23, 20 + product % 5],
            "brand_id": 0, "is_visible": true, "is_featured": false, "availability": "available",
            "inventory_level": product % 700, "inventory_tracking": "variant", "order_quantity_minimum": product % 3 * 5,
            "order_quantity_maximum": 0, "custom_fields": [{"id": product * 10, "name": "Material", "value": "Steel"}],
            "variants": rows});
        let mut entity = Entity::new(oldest, data);
        entity.updated = oldest + product * 60;
        store.products.insert(product, entity);
        if product % 2 == 0 {
            for id in of.keys() {
                let record = json!({"price_list_id": 12, "variant_id": id, "currency": "usd", "sku": of[id]["sku"],
                    "price": number((price * Decimal::new(9, 1)).round_dp(2)), "sale_price": null, "retail_price": null,
                    "map_price": null, "bulk_pricing_tiers": []});
                store.price_records.insert((12, *id, "usd".into()), Entity::new(oldest, record));
            }
        }
    }
    let list = json!({"id": 12, "name": "Distributor prices", "active": true});
    store.price_lists.insert(12, Entity::new(oldest, list));
    let assignment = json!({"id": 1, "price_list_id": 12, "customer_group_id": 5, "channel_id": 1});
    store.price_assignments.extend(assignment.as_object().cloned());
}

/// An invoice for every company order that still awaits its payment.
fn invoices(store: &mut Store) {
    let awaiting: Vec<(i64, i64, i64)> = store
        .b2b_orders
        .iter()
        .filter(|(_, order)| order.int("companyId") > 0 && order.int("statusCode") == 7)
        .map(|(id, order)| (*id, order.int("companyId"), order.created))
        .collect();
    for (order, company, placed) in awaiting {
        let Some(total) = store.orders.get(&order).and_then(|o| decimal(o.data.get("total_inc_tax")?)) else {
            continue;
        };
        let id = store.next_id("invoice");
        store.invoices.insert(id, super::b2b::invoice(id, company, &order.to_string(), total, "USD", placed));
    }
}
