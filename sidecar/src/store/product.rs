//! Catalog products with their variants, and prices of price lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::entity::Parts;
use super::record::Record;
use super::scalar::{count, custom_fields, flag, id, ids, json, money, text, time};

/// Reads an element of GET /v3/catalog/products?include=variants,custom_fields.
pub fn read(product: &mut Record<'_>) -> Parts {
    let key = product.key(&["id"]);
    let mut row = Map::new();
    product.set(&mut row, "name", &["name"], text);
    product.set(&mut row, "sku", &["sku"], text);
    product.set(&mut row, "type", &["type"], text);
    for column in ["price", "cost_price", "retail_price", "sale_price"] {
        product.set(&mut row, column, &[column], money);
    }
    product.set(&mut row, "category_ids", &["categories"], ids);
    product.set(&mut row, "brand_id", &["brand_id"], count);
    product.set(&mut row, "is_visible", &["is_visible"], flag);
    product.set(&mut row, "availability", &["availability"], text);
    product.set(&mut row, "inventory_level", &["inventory_level"], count);
    product.set(&mut row, "inventory_tracking", &["inventory_tracking"], text);
    product.set(&mut row, "order_quantity_minimum", &["order_quantity_minimum"], count);
    product.set(&mut row, "order_quantity_maximum", &["order_quantity_maximum"], count);
    product.set(&mut row, "custom_fields", &["custom_fields"], custom_fields);
    product.set(&mut row, "created_at", &["date_created"], time);
    product.set(&mut row, "updated_at", &["date_modified"], time);
    let variants = product.list("variants", variant);
    let lines =
        variants.map(|rows| rows.into_iter().collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>());
    // A product has dozens of further keys; they are in raw.
    product.ignore_rest();
    let key = key?;
    row.insert("product_id".into(), key.into());
    Some((key, row, lines))
}

fn variant(variant: &mut Record<'_>, _: &Value) -> Option<(i64, Map<String, Value>)> {
    let key = variant.key(&["id"]);
    let mut row = Map::new();
    variant.set(&mut row, "sku", &["sku"], text);
    for column in ["price", "calculated_price", "cost_price", "retail_price", "sale_price"] {
        variant.set(&mut row, column, &[column], money);
    }
    variant.set(&mut row, "inventory_level", &["inventory_level"], count);
    variant.set(&mut row, "purchasing_disabled", &["purchasing_disabled"], flag);
    variant.set(&mut row, "option_values", &["option_values"], json);
    variant.ignore_rest();
    let key = key?;
    row.insert("variant_id".into(), key.into());
    row.insert("raw".into(), variant.place());
    Some((key, row))
}

/// Reads an element of GET /v3/pricelists, with `assignments` where somebody added them.
pub fn read_price_list(list: &mut Record<'_>) -> Parts {
    let key = list.key(&["id"]);
    let mut row = Map::new();
    list.set(&mut row, "name", &["name"], text);
    list.set(&mut row, "is_active", &["active"], flag);
    list.set(&mut row, "created_at", &["date_created"], time);
    list.set(&mut row, "updated_at", &["date_modified"], time);
    let assignments = list.list("assignments", |assignment, payload| {
        let key = assignment.key(&["id"]);
        let mut row = Map::new();
        assignment.set(&mut row, "bc_customer_group_id", &["customer_group_id"], id);
        assignment.set(&mut row, "channel_id", &["channel_id"], id);
        assignment.known(&["price_list_id"]);
        let key = key?;
        row.insert("assignment_id".into(), key.into());
        row.insert("raw".into(), payload.clone());
        Some((key, row))
    });
    let lines = assignments
        .map(|rows| rows.into_iter().collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>());
    let key = key?;
    row.insert("price_list_id".into(), key.into());
    Some((key, row, lines))
}

/// Reads an element of GET /v3/pricelists/{id}/records. A batch knows it by its variant.
pub fn read_price(record: &mut Record<'_>) -> Parts {
    let key = record.key(&["variant_id"]);
    let list = record.key(&["price_list_id"]);
    let mut row = Map::new();
    record.set(&mut row, "currency", &["currency"], text);
    record.set(&mut row, "sku", &["sku"], text);
    // An empty field means "not set", not 0.
    for column in ["price", "sale_price", "retail_price", "map_price"] {
        record.set(&mut row, column, &[column], money);
    }
    record.set(&mut row, "bulk_pricing_tiers", &["bulk_pricing_tiers"], json);
    record.set(&mut row, "created_at", &["date_created"], time);
    record.set(&mut row, "updated_at", &["date_modified"], time);
    record.known(&["calculated_price", "product_id", "variant"]);
    if row.get("currency").is_none_or(Value::is_null) {
        let what =
            super::scalar::Expected { what: "a currency".into(), mend: "add \"currency\": \"usd\"".into() };
        record.problem("currency", what, "none".to_owned());
    }
    let (key, list) = (key?, list?);
    row.insert("variant_id".into(), key.into());
    row.insert("price_list_id".into(), list.into());
    Some((key, row, None))
}
