//! Creating and changing quotes.
//!
//! An ordered quote is immutable. Unknown and read-only fields answer 200 and change nothing, so a client must read
//! back. `status` takes one value only, and `productList` replaces all lines, with totals that must match.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{json, Value};

use super::{error, extra, ok_quote};
use crate::bigcommerce::state::{Entity, Fields, Store};
use crate::form::{decimal, number, Form};
use crate::reply::Reply;

const ORDERED: i64 = 4;
const EXPIRED: i64 = 5;
const ARCHIVED: i64 = 6;

/// PUT /rfq/{id}
pub fn update(store: &mut Store, id: i64, body: &Value) -> Reply {
    let Some(quote) = store.quotes.get(&id) else { return error(404, json!("Quote does not exist")) };
    if quote.int("status") == ORDERED {
        return error(400, json!("Quote has already been ordered"));
    }
    let mut form = Form::new(body);
    let mut data = Fields::new();
    if form.has("channelId") {
        form.wrong("channelId", "Invalid channelId");
    }
    if let Some(status) = form.get("status") {
        // A word, not the code 6; and no way back.
        match status.as_str() {
            Some("archived") => drop(data.insert("status".into(), ARCHIVED.into())),
            _ => form.wrong("status", "\"archived\" is the only status that can be set."),
        }
    }
    for key in ["notes", "legalTerms", "quoteTitle", "referenceNumber"] {
        data.extend(form.text(key).map(|text| (key.to_owned(), text.into())));
    }
    for key in ["allowCheckout", "displayDiscount"] {
        data.extend(form.flag(key).map(|flag| (key.to_owned(), flag.into())));
    }
    expiry(store, &mut form, &mut data, quote.int("status"));
    user_email(store, &mut form);
    contact(&mut form, &mut data);
    for key in ["shippingAddress", "currency"] {
        match form.get(key) {
            Some(object) if object.is_object() => drop(data.insert(key.into(), object.clone())),
            Some(_) => form.wrong(key, "Expected an object."),
            None => {}
        }
    }
    lines_and_totals(&mut form, &mut data, quote);
    let fields = form.get("extraFields").map(|value| extra::read(&store.quote_fields, value));
    match fields {
        Some(Ok(pairs)) => extra::merge(&mut data, pairs),
        Some(Err(wrong)) => wrong.iter().for_each(|message| form.wrong("extraFields", message)),
        None => {}
    }
    let message = form.text("message").filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let before = quote.int("status");
    let now = store.now();
    if let Some(quote) = store.quotes.get_mut(&id) {
        quote.data.extend(data);
        if let Some(message) = &message {
            tracking(quote, now, message);
        }
        quote.updated = now;
    }
    let after = store.quotes.get(&id).map_or(before, |quote| quote.int("status"));
    // In-quote messages tell nobody.
    let only_message = message.is_some() && body.as_object().is_some_and(|fields| fields.len() == 1);
    if after != before {
        store.tell_quote("store/quote/statusUpdated", id);
    }
    if !only_message {
        store.tell_quote("store/quote/updated", id);
    }
    ok_quote(json!({"quoteId": id}))
}

fn tracking(quote: &mut Entity, now: i64, message: &str) {
    let entry = json!({"date": now, "message": message, "role": "Sales rep: API"});
    let history = quote.data.entry("trackingHistory").or_insert_with(|| json!([]));
    if let Some(history) = history.as_array_mut() {
        history.push(entry);
    }
}

/// Read as unix seconds, written as MM/DD/YYYY. A day in the past expires the quote, a later one revives it.
fn expiry(store: &Store, form: &mut Form<'_>, data: &mut Fields, status: i64) {
    let Some(text) = form.text("expiredAt") else { return };
    let Some(at) = NaiveDate::parse_from_str(text, "%m/%d/%Y").ok().and_then(|day| day.and_hms_opt(0, 0, 0))
    else {
        form.wrong("expiredAt", "Date has wrong format. Use MM/DD/YYYY.");
        return;
    };
    let at = at.and_utc().timestamp();
    data.insert("expiredAt".into(), at.into());
    if at < store.now() && status != ARCHIVED {
        data.insert("status".into(), EXPIRED.into());
    } else if status == EXPIRED {
        data.insert("status".into(), 2.into());
    }
}

fn user_email(store: &Store, form: &mut Form<'_>) {
    // Super admins do not count.
    let Some(email) = form.text("userEmail") else { return };
    let reps = store.staff.values().map(|rep| rep.text("email"));
    let mut known = store.users.values().map(|user| user.text("email")).chain(reps);
    if !known.any(|address| address.eq_ignore_ascii_case(email)) {
        form.wrong("userEmail", "User does not exist");
    }
}

fn contact(form: &mut Form<'_>, data: &mut Fields) {
    let Some(contact) = form.get("contactInfo") else { return };
    let filled = |key: &str| contact.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    match filled("name") && filled("email") {
        true => drop(data.insert("contactInfo".into(), contact.clone())),
        false => form.wrong("contactInfo", "name and email are required."),
    }
}

/// Lines, discount and totals belong together: whoever changes one sends matching totals.
fn lines_and_totals(form: &mut Form<'_>, data: &mut Fields, quote: &Entity) {
    if !["productList", "discount", "subtotal", "grandTotal"].iter().any(|key| form.has(key)) {
        return;
    }
    form.require(&["subtotal", "grandTotal"]);
    let amounts = [form.amount("subtotal"), form.amount("grandTotal"), form.amount("discount")];
    let [subtotal, grand, discount] = amounts;
    let stored = quote.data.get("productList").and_then(Value::as_array);
    let lines = form.list("productList").or(stored);
    let mut sums = (Decimal::ZERO, Decimal::ZERO);
    for (place, line) in lines.into_iter().flatten().enumerate() {
        let get = |key: &str| line.get(key).and_then(decimal);
        let (Some(base), Some(offered), Some(count)) =
            (get("basePrice"), get("offeredPrice"), get("quantity"))
        else {
            form.wrong(
                "productList",
                &format!("{place}: basePrice, offeredPrice and quantity are required."),
            );
            continue;
        };
        sums.0 += base * count;
        sums.1 += offered * count;
    }
    let (Some(subtotal), Some(grand)) = (subtotal, grand) else { return };
    let near = |a: Decimal, b: Decimal| (a - b).abs() <= Decimal::new(1, 2);
    if !near(subtotal, sums.0) {
        form.wrong("subtotal", "Subtotal amount not match the product list");
    }
    let wanted = discount.map_or(sums.1, |discount| subtotal - discount);
    if !near(grand, wanted) {
        form.wrong("grandTotal", &format!("Grand total amount not match: {wanted} expected"));
    }
    data.insert("subtotal".into(), number(subtotal));
    data.insert("grandTotal".into(), number(grand));
    data.insert("discount".into(), number(subtotal - grand));
    if form.has("productList") {
        data.insert("productList".into(), json!(lines));
    }
}

/// POST /rfq: a quote from the API is submitted to the buyer at once; there are no drafts.
pub fn create(store: &mut Store, body: &Value) -> Reply {
    let mut form = Form::new(body);
    form.require(&[
        "grandTotal",
        "subtotal",
        "discount",
        "userEmail",
        "expiredAt",
        "contactInfo",
        "productList",
    ]);
    let mut data = Fields::new();
    expiry(store, &mut form, &mut data, 0);
    user_email(store, &mut form);
    contact(&mut form, &mut data);
    for key in ["notes", "legalTerms", "quoteTitle", "referenceNumber"] {
        data.extend(form.text(key).map(|text| (key.to_owned(), text.into())));
    }
    data.extend(form.flag("allowCheckout").map(|flag| ("allowCheckout".to_owned(), flag.into())));
    lines_and_totals(&mut form, &mut data, &Entity::default());
    let company = form.int("companyId");
    let known = company.and_then(|id| store.companies.get(&id));
    if company.is_some() && known.is_none() {
        form.wrong("companyId", "Company does not exist");
    }
    let info = known.map(|of| json!({"companyId": company, "companyName": of.text("companyName")}));
    let none = json!([]);
    match extra::read(&store.quote_fields, form.get("extraFields").unwrap_or(&none)) {
        Ok(pairs) => extra::merge(&mut data, pairs),
        Err(wrong) => wrong.iter().for_each(|message| form.wrong("extraFields", message)),
    }
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let id = store.next_id("quote");
    for (key, value) in [
        ("quoteId", json!(id)),
        ("quoteUuid", json!(format!("00000000-0000-4000-8000-{id:012}"))),
        ("quoteNumber", json!(format!("QN{}", 200_000 + id))),
        ("status", json!(0)),
        ("companyInfo", info.unwrap_or_else(|| json!({}))),
        ("bcOrderId", json!("")),
        ("orderId", json!("")),
        ("channelId", json!(1)),
        ("channelName", json!("B2B Store")),
        ("createdBy", json!("API")),
        ("currency", json!({"currencyCode": "USD", "currencyExchangeRate": "1.00", "decimalPlaces": 2})),
    ] {
        data.entry(key).or_insert(value);
    }
    store.quotes.insert(id, Entity::new(store.now(), Value::Object(data)));
    store.tell_quote("store/quote/created", id);
    ok_quote(json!({"quoteId": id, "quoteUrl": format!("https://shop.example/#/quoteDetail/{id}")}))
}

/// POST /rfq/{id}/ordered: links the core order. From New, In Process and Updated by customer only; final.
pub fn ordered(store: &mut Store, id: i64, body: &Value) -> Reply {
    let Some(quote) = store.quotes.get(&id) else { return error(404, json!("Quote does not exist")) };
    let mut form = Form::new(body);
    form.require(&["orderId"]);
    // The schema's text says B2B id; the call takes the core id, as a string.
    let order = form.text("orderId").unwrap_or_default().to_owned();
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let known = order.parse().ok().filter(|id: &i64| store.orders.contains_key(id));
    let Some(order_id) = known else { return error(400, json!("Order does not exist")) };
    if quote.int("status") == ORDERED {
        return error(400, json!("Quote has already been ordered"));
    }
    if ![0, 2, 3].contains(&quote.int("status")) {
        return error(400, json!("The status of the quote does not allow this"));
    }
    let b2b = store.b2b_orders.get(&order_id).map_or(String::new(), |view| view.int("id").to_string());
    store.patch_quote(id, json!({"status": ORDERED, "bcOrderId": order, "orderId": b2b}));
    ok_quote(json!({"quoteId": id}))
}

/// POST /rfq/{id}/checkout: works even when the buyer may not check out.
pub fn checkout(store: &mut Store, id: i64) -> Reply {
    let Some(quote) = store.quotes.get(&id) else { return error(404, json!("Quote does not exist")) };
    if ![0, 2, 3].contains(&quote.int("status")) {
        return error(400, json!("The status of the quote does not allow this"));
    }
    ok_quote(
        json!({"cartId": format!("00000000-0000-4000-9000-{id:012}"), "cartUrl": "https://shop.example/cart.php",
        "checkoutUrl": "https://shop.example/checkout"}),
    )
}

/// DELETE /rfq/{id}: gone for good.
pub fn delete(store: &mut Store, id: i64) -> Reply {
    let Some(quote) = store.quotes.get(&id) else { return error(404, json!("Quote does not exist")) };
    if quote.int("status") == ORDERED {
        return error(400, json!("Quote has already been ordered"));
    }
    store.delete("quote", id);
    ok_quote(json!({}))
}
