//! The sample store, read without a database: every payload is taken, and every trap is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::*;

fn samples() -> (Vec<Entity>, Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/store");
    let mut report = Report::new(false);
    let mut entities = Vec::new();
    for source in input::sources(&[folder]).expect("the samples") {
        let bytes = std::fs::read(&source.path).expect("a file");
        for (origin, found) in input::payloads(&source.path.display().to_string(), &bytes) {
            let payload = found.expect("a payload");
            let shape = payload.as_object().and_then(Kind::of_shape);
            assert_eq!(shape, source.kind, "{origin:?}: shape and folder tell the same");
            entities.extend(recognise(None, source.kind, payload, origin, &mut report));
        }
    }
    (entities, report)
}

#[test]
fn the_sample_store_is_read_without_a_rejection() {
    let (entities, report) = samples();
    assert_eq!(report.rejections(), "");
    assert_eq!(report.to_json()["unknown_fields"], serde_json::json!([]));
    let mut ids: BTreeMap<Kind, BTreeSet<i64>> = BTreeMap::new();
    for entity in &entities {
        ids.entry(entity.kind).or_default().insert(entity.id);
    }
    let sizes: Vec<usize> = ids.values().map(BTreeSet::len).collect();
    assert_eq!(sizes, [60, 198, 8, 320, 520, 520], "companies, users, staff, quotes, orders in both halves");
}

#[test]
fn the_sample_store_has_the_traps() {
    let (entities, _) = samples();
    let of_quotes = || entities.iter().filter(|e| e.kind == Kind::Quotes);
    let quotes: Vec<&Value> = of_quotes().map(|e| &e.item).collect();
    let spelled = |pointer: &str, is: fn(&Value) -> bool| {
        of_quotes().any(|e| e.payload.pointer(pointer).is_some_and(is))
    };
    for pointer in ["/quoteId", "/grandTotal", "/subtotal", "/createdAt", "/currency/currencyExchangeRate"] {
        assert!(spelled(pointer, Value::is_string) && spelled(pointer, Value::is_number), "{pointer}");
    }
    assert!(spelled("/allowCheckout", Value::is_boolean) && spelled("/allowCheckout", Value::is_string));
    assert!(spelled("/companyInfo", Value::is_array) && spelled("/companyInfo", Value::is_null));
    assert!(of_quotes().any(|e| e.payload.get("quoteId").is_none()));
    assert!(quotes
        .iter()
        .any(|q| q["company_name"].as_str().is_some_and(|name| name.starts_with("=HYPERLINK"))));
    let lines = || quotes.iter().filter_map(|q| q["lines"].as_array()).flatten();
    assert!(lines().any(|line| line["line_key"].as_str().is_some_and(|key| key.ends_with("#2"))));
    assert!(lines().any(|line| line["base_price"] == "0.0000"
        || line["base_price"] == "0.0"
        || line["base_price"] == "0"));
    let currencies: BTreeSet<&str> = quotes.iter().filter_map(|q| q["currency_code"].as_str()).collect();
    assert!(currencies.len() >= 5, "{currencies:?}");
}
