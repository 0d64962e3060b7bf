//! Credit and payment terms: one call per company, no list, no webhook.

use rust_decimal::Decimal;
use serde_json::{json, Value};

use super::{error, ok};
use crate::bigcommerce::state::{Credit, Store, Terms};
use crate::form::{number, Form};
use crate::reply::Reply;

/// Days the API takes.
const DAYS: [i64; 6] = [0, 5, 15, 30, 45, 60];

fn credit_of(store: &Store, id: i64) -> Credit {
    let none = || Credit {
        enabled: false,
        currency: "USD".into(),
        available: Decimal::ZERO,
        limit_purchases: false,
        hold: false,
    };
    store.credit.get(&id).cloned().unwrap_or_else(none)
}

fn shown(credit: &Credit) -> Reply {
    ok(
        json!({"creditEnabled": credit.enabled, "creditCurrency": credit.currency, "availableCredit": number(credit.available),
        "limitPurchases": credit.limit_purchases, "creditHold": credit.hold}),
    )
}

/// GET /companies/{id}/credit
pub fn credit(store: &Store, id: i64) -> Reply {
    match refused(store, id) {
        Some(refused) => refused,
        None => shown(&credit_of(store, id)),
    }
}

fn refused(store: &Store, id: i64) -> Option<Reply> {
    if !store.credit_feature {
        return Some(error(400, json!("Store company credit is not enabled")));
    }
    (!store.companies.contains_key(&id)).then(|| error(404, json!("Company does not exist")))
}

/// PUT /companies/{id}/credit: partial. `availableCredit` is what is left, written outright.
pub fn set_credit(store: &mut Store, id: i64, body: &Value) -> Reply {
    if let Some(refused) = refused(store, id) {
        return refused;
    }
    let mut form = Form::new(body);
    if form.is_empty() {
        // Documented as undefined; refused, so that no client comes to rely on it.
        return error(400, json!("The request body is empty"));
    }
    let mut credit = credit_of(store, id);
    if let Some(enabled) = form.flag("creditEnabled") {
        credit.enabled = enabled;
    }
    if let Some(currency) = form.text("creditCurrency") {
        if currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase()) {
            credit.currency = currency.to_owned();
        } else {
            form.wrong("creditCurrency", "Not a valid ISO 4217 code.");
        }
    }
    if let Some(available) = form.amount("availableCredit") {
        credit.available = available;
    }
    if let Some(limit) = form.flag("limitPurchases") {
        credit.limit_purchases = limit;
    }
    if let Some(hold) = form.flag("creditHold") {
        credit.hold = hold;
    }
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    store.credit.insert(id, credit.clone());
    shown(&credit)
}

/// What the store gives companies without terms of their own.
const STORE_DEFAULT: i64 = 30;

fn shown_terms(terms: &Terms) -> Reply {
    // Where a company has no terms of its own, the store's are echoed.
    let days = if terms.enabled { terms.days } else { STORE_DEFAULT };
    ok(json!({"isEnabled": terms.enabled, "paymentTerms": days}))
}

fn terms_of(store: &Store, id: i64) -> Terms {
    store.terms.get(&id).cloned().unwrap_or(Terms { enabled: false, days: STORE_DEFAULT })
}

/// GET /companies/{id}/payment-terms
pub fn terms(store: &Store, id: i64) -> Reply {
    match store.companies.contains_key(&id) {
        true => shown_terms(&terms_of(store, id)),
        false => error(404, json!("Company does not exist")),
    }
}

/// PUT /companies/{id}/payment-terms
pub fn set_terms(store: &mut Store, id: i64, body: &Value) -> Reply {
    if !store.companies.contains_key(&id) {
        return error(404, json!("Company does not exist"));
    }
    let mut form = Form::new(body);
    form.require(&["isEnabled", "paymentTerms"]);
    let enabled = form.flag("isEnabled");
    let days = form.int("paymentTerms");
    if enabled == Some(true) && !days.is_some_and(|days| DAYS.contains(&days)) {
        form.wrong("paymentTerms", "Must be one of: 0, 5, 15, 30, 45, 60.");
    }
    if let Some(wrong) = form.failed() {
        return error(422, wrong);
    }
    let before = terms_of(store, id);
    let enabled = enabled.unwrap_or(before.enabled);
    let terms = Terms { enabled, days: if enabled { days.unwrap_or(before.days) } else { before.days } };
    store.terms.insert(id, terms.clone());
    shown_terms(&terms)
}
