//! Quotes and their lines.

use serde_json::{Map, Value};

use super::entity::Parts;
use super::line_key;
use super::record::Record;
use super::scalar::{
    code, count, extra_fields, flag, id, json, labelled, money, rate, text, texts, time, Labels,
};

const STATUS: Labels = &[
    (0, "New"),
    (2, "In Process"),
    (3, "Updated by customer"),
    (4, "Ordered"),
    (5, "Expired"),
    (6, "Archived"),
    (7, "Draft"),
];

/// Reads a row of GET /rfq or the answer of GET /rfq/{quote_id}.
pub fn read(quote: &mut Record<'_>, id_of_file: Option<i64>) -> Parts {
    let key = match id_of_file {
        Some(id) if !quote.has(&["quoteId", "id"]) => Some(id),
        _ => quote.key(&["quoteId", "id"]),
    };
    let mut row = Map::new();
    head(quote, &mut row);
    people(quote, &mut row);
    totals(quote, &mut row);
    quote.known(&[
        "quoteLogo",
        "quoteUrl",
        "storeInfo",
        "billingAddress",
        "shippingAddress",
        "trackingHistory",
    ]);
    quote.known(&["storefrontAttachFiles", "backendAttachFiles", "attachments", "extraFieldsInfo"]);
    let lines = quote.list("productList", line).map(line_key::assign);
    let key = key?;
    row.insert("quote_id".into(), key.into());
    Some((key, row, lines))
}

fn head(quote: &mut Record<'_>, row: &mut Map<String, Value>) {
    quote.set(row, "quote_uuid", &["quoteUuid", "quote_uuid", "uuid"], text);
    quote.set(row, "quote_number", &["quoteNumber"], text);
    quote.set(row, "quote_title", &["quoteTitle"], text);
    quote.set(row, "reference_number", &["referenceNumber"], text);
    quote.set(row, "status", &["status"], |v| labelled(v, STATUS));
    quote.set(row, "created_by", &["createdBy"], text);
    quote.set(row, "recipients", &["recipients"], texts);
    quote.set(row, "allow_checkout", &["allowCheckout"], flag);
    quote.set(row, "display_discount", &["displayDiscount"], flag);
    quote.set(row, "notes", &["notes"], text);
    quote.set(row, "legal_terms", &["legalTerms"], text);
    quote.set(row, "bc_order_id", &["bcOrderId"], id);
    quote.set(row, "b2b_order_id", &["orderId"], id);
    quote.set(row, "channel_id", &["channelId"], id);
    quote.set(row, "channel_name", &["channelName"], text);
    quote.set(row, "extra_fields", &["extraFields"], extra_fields);
    quote.set(row, "created_at", &["createdAt"], time);
    quote.set(row, "updated_at", &["updatedAt"], time);
    quote.set(row, "expired_at", &["expiredAt"], time);
}

fn people(quote: &mut Record<'_>, row: &mut Map<String, Value>) {
    // Lists name company and rep by text; the objects of the detail, read after them, win.
    quote.set(row, "company_name", &["company"], text);
    quote.set(row, "sales_rep_name", &["salesRep"], text);
    if let Some(mut contact) = quote.object("contactInfo") {
        contact.set(row, "contact_name", &["name"], text);
        contact.set(row, "contact_email", &["email"], text);
        contact.set(row, "contact_phone", &["phoneNumber"], text);
        if let Some(name) = contact.read(&["companyName"], text).filter(|name| !name.is_null()) {
            row.insert("company_name".into(), name);
        }
        contact.finish();
    }
    if let Some(mut company) = quote.object("companyInfo") {
        company.set(row, "company_id", &["companyId"], id);
        if let Some(name) = company.read(&["companyName"], text).filter(|name| !name.is_null()) {
            row.insert("company_name".into(), name);
        }
        company.known(&["companyAddress", "companyCity", "companyState", "companyZipCode", "companyCountry"]);
        company.known(&["companyphoneNumber", "companyPhoneNumber", "companyPhone"]);
        company.finish();
    }
    if let Some(mut rep) = quote.object("salesRepInfo") {
        rep.set(row, "sales_rep_name", &["salesRepName"], text);
        rep.set(row, "sales_rep_email", &["salesRepEmail"], text);
        rep.set(row, "sales_rep_phone", &["salesRepPhoneNumber"], text);
        rep.finish();
    }
}

fn totals(quote: &mut Record<'_>, row: &mut Map<String, Value>) {
    quote.set(row, "subtotal", &["subtotal"], money);
    quote.set(row, "discount", &["discount"], money);
    quote.set(row, "discount_type", &["discountType"], code);
    quote.set(row, "discount_value", &["discountValue"], money);
    quote.set(row, "shipping_total", &["shippingTotal"], money);
    quote.set(row, "tax_total", &["taxTotal"], money);
    quote.set(row, "total_amount", &["totalAmount"], money);
    quote.set(row, "grand_total", &["grandTotal"], money);
    if let Some(mut currency) = quote.object("currency") {
        currency.set(row, "currency_code", &["currencyCode"], text);
        currency.set(row, "currency_exchange_rate", &["currencyExchangeRate"], rate);
        currency.known(&["token", "location", "decimalToken", "decimalPlaces", "thousandsToken"]);
        currency.finish();
    }
    if let Some(mut method) = quote.object("shippingMethod") {
        method.set(row, "shipping_method", &["description"], text);
        method.read(&["cost"], money);
        method.known(&[
            "id",
            "b2bId",
            "imageUrl",
            "isCustom",
            "transitTime",
            "additionalDescription",
            "type",
        ]);
        method.finish();
    }
}

fn line(line: &mut Record<'_>, payload: &Value) -> Option<Map<String, Value>> {
    let mut row = Map::new();
    line.set(&mut row, "product_id", &["productId"], id);
    line.set(&mut row, "variant_id", &["variantId"], id);
    line.set(&mut row, "sku", &["sku"], text);
    line.set(&mut row, "product_name", &["productName"], text);
    line.set(&mut row, "quantity", &["quantity"], count);
    line.set(&mut row, "base_price", &["basePrice"], money);
    line.set(&mut row, "discount", &["discount"], money);
    line.set(&mut row, "offered_price", &["offeredPrice"], money);
    line.set(&mut row, "cost_price", &["costPrice"], money);
    line.set(&mut row, "order_quantity_minimum", &["orderQuantityMinimum"], count);
    line.set(&mut row, "order_quantity_maximum", &["orderQuantityMaximum"], count);
    line.set(&mut row, "is_custom", &["purchaseHandled", "purchasedHandled"], flag);
    line.set(&mut row, "options", &["options"], json);
    line.known(&[
        "imageUrl",
        "inventoryTracking",
        "inventoryLevel",
        "type",
        "isFreeShipping",
        "availability",
    ]);
    line.known(&[
        "isPriceHidden",
        "purchasingDisabled",
        "foundInBc",
        "hasInvalidOptions",
        "productUrl",
        "notes",
    ]);
    row.insert("raw".into(), payload.clone());
    Some(row)
}
