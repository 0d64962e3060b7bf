//! Credit and payment terms of companies. The APIs answer them without the company's id: whoever asked adds it.

use serde_json::Map;

use super::entity::Parts;
use super::record::Record;
use super::scalar::{code, flag, money, text};

/// Reads the answer of GET /companies/{companyId}/credit.
pub fn read(credit: &mut Record<'_>, id_of_path: Option<i64>) -> Parts {
    let key = key(credit, id_of_path);
    let mut row = Map::new();
    credit.set(&mut row, "credit_enabled", &["creditEnabled"], flag);
    credit.set(&mut row, "credit_currency", &["creditCurrency"], text);
    credit.set(&mut row, "available_credit", &["availableCredit"], money);
    credit.set(&mut row, "limit_purchases", &["limitPurchases"], flag);
    credit.set(&mut row, "credit_hold", &["creditHold"], flag);
    let key = key?;
    row.insert("company_id".into(), key.into());
    Some((key, row, None))
}

/// Reads the answer of GET /companies/{companyId}/payment-terms.
pub fn read_terms(terms: &mut Record<'_>, id_of_path: Option<i64>) -> Parts {
    let key = key(terms, id_of_path);
    let mut row = Map::new();
    terms.set(&mut row, "is_enabled", &["isEnabled"], flag);
    terms.set(&mut row, "payment_terms_days", &["paymentTerms"], code);
    let key = key?;
    row.insert("company_id".into(), key.into());
    Some((key, row, None))
}

fn key(record: &mut Record<'_>, id_of_path: Option<i64>) -> Option<i64> {
    match id_of_path {
        Some(id) if !record.has(&["companyId"]) => Some(id),
        _ => record.key(&["companyId"]),
    }
}
