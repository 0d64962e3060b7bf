//! Many orders for benchmarks, made when they are asked for: the fake's memory stays flat however many there are.

use rust_decimal::Decimal;
use serde_json::{json, Value};

use super::core::orders::placed;
use super::state::{Entity, Store};

/// Unix seconds of the first generated order; each is a second younger than the one before: 2026-01-01, 00:00 UTC.
const FIRST: i64 = 1_767_225_600;

/// Generated orders from number `skip` of those that pass, at most `limit`.
pub fn orders(
    count: i64,
    from: Option<i64>,
    least_id: i64,
    skip: usize,
    limit: usize,
) -> impl Iterator<Item = (i64, Entity)> {
    let by_time = from.map_or(0, |edge| edge - FIRST);
    let by_id = least_id - Store::FIRST_GENERATED;
    let begin = by_time.max(by_id).max(0) + skip as i64;
    (begin..count).take(limit).map(|n| (Store::FIRST_GENERATED + n, order(n)))
}

fn money(cents: i64) -> Value {
    format!("{:.4}", Decimal::new(cents, 2)).into()
}

/// The n-th order: always the same, with three lines.
fn order(n: i64) -> Entity {
    let id = Store::FIRST_GENERATED + n;
    let lines: Vec<Value> = (0..3)
        .map(|line| {
            let cents = 199 + (n * 7 + line * 131) % 9_000;
            let quantity = 1 + (n + line) % 12;
            json!({"id": id * 4 + line, "order_id": id, "product_id": 201 + (n + line) % 60, "variant_id": 2010 + (n + line) % 600,
                "sku": format!("SKU-{}", (n + line) % 600), "name": "Deep groove ball bearing", "quantity": quantity,
                "quantity_shipped": 0, "quantity_refunded": 0, "base_price": money(cents), "price_ex_tax": money(cents),
                "price_inc_tax": money(cents), "base_cost_price": money(cents * 6 / 10), "total_tax": "0.0000",
                "total_ex_tax": money(cents * quantity), "total_inc_tax": money(cents * quantity), "refund_amount": "0.0000",
                "is_refunded": false, "parent_order_product_id": null, "product_options": []})
        })
        .collect();
    let total: i64 = (0..3).map(|line| (199 + (n * 7 + line * 131) % 9_000) * (1 + (n + line) % 12)).sum();
    let status = [11, 9, 2, 10][(n % 4) as usize];
    let mut data = placed(id, 801 + n % 198, 12, &money(total));
    data["status_id"] = status.into();
    data["billing_address"] = json!({"first_name": "Ada", "last_name": "Lovelace", "company": "Analytical Engines",
        "email": format!("buyer{}@load.example", n % 1000), "phone": "", "country_iso2": "GB"});
    data["products"] = Value::Array(lines);
    Entity { created: FIRST + n, updated: FIRST + n, data: data.as_object().cloned().unwrap_or_default() }
}
