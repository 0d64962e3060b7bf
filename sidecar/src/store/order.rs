//! Orders: the core half with its lines, and B2B Edition's half.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::entity::Parts;
use super::record::Record;
use super::scalar::{code, count, extra_fields, flag, id, json, money, rate, text, time, Expected};

/// Reads a core V2 order: an element of GET /v2/orders or the answer of GET /v2/orders/{id}.
pub fn read(order: &mut Record<'_>) -> Parts {
    let key = order.key(&["id"]);
    let mut row = Map::new();
    core(order, &mut row);
    amounts(order, &mut row);
    billing(order, &mut row);
    order.known(REST);
    let lines = lines(order);
    let key = key?;
    row.insert("bc_order_id".into(), key.into());
    Some((key, row, lines))
}

/// Reads B2B Edition's view: an element of GET /orders or the answer of GET /orders/{bcOrderId}.
pub fn read_b2b(order: &mut Record<'_>) -> Parts {
    let key = order.key(&["bcOrderId"]);
    let mut row = Map::new();
    order.set(&mut row, "b2b_order_id", &["id"], id);
    order.set(&mut row, "company_id", &["companyId"], id);
    order.set(&mut row, "po_number", &["poNumber"], text);
    order.set(&mut row, "is_invoice_order", &["isInvoiceOrder"], flag);
    order.set(&mut row, "invoice_id", &["invoiceId"], id);
    order.set(&mut row, "invoice_number", &["invoiceNumber"], text);
    order.set(&mut row, "invoice_status", &["invoiceStatus"], code);
    order.set(&mut row, "extra_fields", &["extraFields"], extra_fields);
    order.set(&mut row, "b2b_updated_at", &["updatedAt"], time);
    // Money, status and dates of this view are copies of the core order's, some of them rounded: read, not stored.
    order.read(&["totalIncTax"], money);
    order.read(&["usdIncTax"], money);
    order.read(&["statusCode"], code);
    order.read(&["createdAt"], time);
    order.known(&[
        "status",
        "customStatus",
        "cartId",
        "items",
        "currencyCode",
        "money",
        "channelId",
        "channelName",
    ]);
    order.known(&["extraInt1", "extraInt2", "extraInt3", "extraInt4", "extraInt5", "extraInfo", "extraText"]);
    order.known(&[
        "extraStr1",
        "extraStr2",
        "extraStr3",
        "extraStr4",
        "extraStr5",
        "isArchived",
        "companyName",
    ]);
    let key = key?;
    row.insert("bc_order_id".into(), key.into());
    Some((key, row, None))
}

fn core(order: &mut Record<'_>, row: &mut Map<String, Value>) {
    order.set(row, "bc_customer_id", &["customer_id"], id);
    order.set(row, "status_id", &["status_id"], code);
    order.set(row, "status", &["status"], text);
    order.set(row, "custom_status", &["custom_status"], text);
    order.set(row, "payment_method", &["payment_method"], text);
    order.set(row, "payment_provider_id", &["payment_provider_id"], text);
    order.set(row, "payment_status", &["payment_status"], text);
    order.set(row, "items_total", &["items_total"], count);
    order.set(row, "items_shipped", &["items_shipped"], count);
    order.set(row, "channel_id", &["channel_id"], id);
    order.set(row, "cart_id", &["cart_id"], text);
    order.set(row, "order_source", &["order_source"], text);
    order.set(row, "external_id", &["external_id"], text);
    order.set(row, "external_order_id", &["external_order_id"], text);
    order.set(row, "external_source", &["external_source"], text);
    order.set(row, "staff_notes", &["staff_notes"], text);
    order.set(row, "customer_message", &["customer_message"], text);
    order.set(row, "is_deleted", &["is_deleted"], flag);
    order.set(row, "placed_at", &["date_created"], time);
    order.set(row, "shipped_at", &["date_shipped"], time);
    order.set(row, "updated_at", &["date_modified"], time);
}

fn amounts(order: &mut Record<'_>, row: &mut Map<String, Value>) {
    order.set(row, "currency_code", &["currency_code"], text);
    order.set(row, "paid_currency_code", &["default_currency_code"], text);
    order.set(row, "store_currency_code", &["store_default_currency_code"], text);
    order.set(row, "store_exchange_rate", &["store_default_to_transactional_exchange_rate"], rate);
    for column in [
        "subtotal_ex_tax",
        "subtotal_inc_tax",
        "shipping_cost_ex_tax",
        "shipping_cost_inc_tax",
        "discount_amount",
        "coupon_discount",
        "store_credit_amount",
        "gift_certificate_amount",
        "refunded_amount",
        "total_tax",
        "total_ex_tax",
    ] {
        order.set(row, column, &[column], money);
    }
    order.set(row, "total", &["total_inc_tax"], money);
}

fn billing(order: &mut Record<'_>, row: &mut Map<String, Value>) {
    let Some(mut address) = order.object("billing_address") else { return };
    let first = address.read(&["first_name"], text);
    let last = address.read(&["last_name"], text);
    if first.is_some() || last.is_some() {
        let words: Vec<&str> = [&first, &last].into_iter().flatten().filter_map(Value::as_str).collect();
        let name = if words.is_empty() { Value::Null } else { words.join(" ").into() };
        row.insert("billing_name".into(), name);
    }
    address.set(row, "billing_company", &["company"], text);
    address.set(row, "billing_email", &["email"], text);
    address.set(row, "billing_phone", &["phone"], text);
    address.set(row, "billing_country_iso2", &["country_iso2"], text);
    address.known(&["street_1", "street_2", "city", "state", "zip", "country", "form_fields"]);
    address.finish();
}

/// The lines: `products` inlined, or the line items of inlined consignments. Mere links leave stored lines alone.
fn lines(order: &mut Record<'_>) -> Option<Vec<Map<String, Value>>> {
    let mut seen = HashSet::new();
    let mut each = |item: &mut Record<'_>, _: &Value| line(item, &mut seen);
    if order.peek("products").is_some_and(Value::is_array) {
        return order.list("products", each);
    }
    if !order.peek("consignments").is_some_and(inlined) {
        return None;
    }
    let mut found = Vec::new();
    let mut consignments = order.object("consignments")?;
    consignments.ignore_rest();
    for group in GROUPS {
        let nested = consignments.list(group, |consignment, _| {
            consignment.ignore_rest();
            consignment.list("line_items", &mut each)
        });
        found.extend(nested.into_iter().flatten().flatten());
    }
    Some(found)
}

/// Where an order's products are, once consignments are inlined; `email` holds gift certificates only.
const GROUPS: [&str; 3] = ["shipping", "pickups", "downloads"];

/// Whether every consignment carries its line items and not a link to them.
fn inlined(consignments: &Value) -> bool {
    let mut all = GROUPS.iter().filter_map(|group| consignments.get(group)?.as_array()).flatten().peekable();
    all.peek().is_some() && all.all(|consignment| consignment.get("line_items").is_some_and(Value::is_array))
}

fn line(item: &mut Record<'_>, seen: &mut HashSet<i64>) -> Option<Map<String, Value>> {
    let key = item.key(&["id"]);
    let mut row = Map::new();
    item.set(&mut row, "product_id", &["product_id"], id);
    item.set(&mut row, "variant_id", &["variant_id"], id);
    item.set(&mut row, "sku", &["sku"], text);
    item.set(&mut row, "product_name", &["name"], text);
    item.set(&mut row, "quantity", &["quantity"], count);
    item.set(&mut row, "quantity_shipped", &["quantity_shipped"], count);
    item.set(&mut row, "quantity_refunded", &["quantity_refunded"], count);
    for column in [
        "base_price",
        "price_ex_tax",
        "price_inc_tax",
        "total_tax",
        "total_ex_tax",
        "total_inc_tax",
        "refund_amount",
    ] {
        item.set(&mut row, column, &[column], money);
    }
    item.set(&mut row, "cost_price", &["base_cost_price"], money);
    item.set(&mut row, "is_refunded", &["is_refunded"], flag);
    item.set(&mut row, "parent_order_item_id", &["parent_order_product_id"], id);
    item.set(&mut row, "options", &["product_options"], json);
    item.known(LINE_REST);
    let key = key?;
    if !seen.insert(key) {
        let what = "an id that no other line of the order has".to_owned();
        let mend = "give every line its own id, or drop the repeated line".to_owned();
        item.problem("id", Expected { what, mend }, format!("{key} again"));
        return None;
    }
    row.insert("order_item_id".into(), key.into());
    row.insert("raw".into(), item.place());
    Some(row)
}

/// Known keys of an order that have no column of their own; they are in `raw`.
const REST: &[&str] = &[
    "base_handling_cost",
    "base_shipping_cost",
    "base_wrapping_cost",
    "coupons",
    "credit_card_type",
    "currency_exchange_rate",
    "currency_id",
    "custom_fields",
    "customer_locale",
    "default_currency_id",
    "ebay_order_id",
    "external_merchant_id",
    "fees",
    "geoip_country",
    "geoip_country_iso2",
    "handling_cost_ex_tax",
    "handling_cost_inc_tax",
    "handling_cost_tax",
    "handling_cost_tax_class_id",
    "ip_address",
    "ip_address_v6",
    "is_email_opt_in",
    "is_tax_inclusive_pricing",
    "order_is_digital",
    "shipping_address_count",
    "shipping_addresses",
    "shipping_cost_tax",
    "shipping_cost_tax_class_id",
    "store_default_currency_id",
    "subtotal_tax",
    "tax_provider_id",
    "wrapping_cost_ex_tax",
    "wrapping_cost_inc_tax",
    "wrapping_cost_tax",
    "wrapping_cost_tax_class_id",
];

/// Known keys of an order line that have no column of their own; they are in `raw`.
const LINE_REST: &[&str] = &[
    "applied_discounts",
    "base_total",
    "base_wrapping_cost",
    "bin_picking_number",
    "brand",
    "configurable_fields",
    "cost_price_ex_tax",
    "cost_price_inc_tax",
    "cost_price_tax",
    "depth",
    "discounted_total_inc_tax",
    "ebay_item_id",
    "ebay_transaction_id",
    "event_date",
    "event_name",
    "external_id",
    "fixed_shipping_cost",
    "gift_certificate_id",
    "height",
    "is_bundled_product",
    "name_customer",
    "name_merchant",
    "option_set_id",
    "order_address_id",
    "order_id",
    "order_pickup_method_id",
    "price_tax",
    "return_id",
    "type",
    "upc",
    "weight",
    "width",
    "wrapping_cost_ex_tax",
    "wrapping_cost_inc_tax",
    "wrapping_cost_tax",
    "wrapping_id",
    "wrapping_message",
    "wrapping_name",
];
