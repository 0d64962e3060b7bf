use proptest::prelude::*;
use serde_json::json;

use super::*;

fn lines(value: Value) -> Vec<Line> {
    let items = value.as_array().expect("a list").iter();
    items.map(|item| item.as_object().expect("an object").clone()).collect()
}

/// Key of each line, by its `tag`.
fn keys(assigned: &[Line]) -> Vec<(String, String)> {
    let text = |line: &Line, key: &str| line[key].as_str().expect("text").to_owned();
    let mut keys: Vec<_> = assigned.iter().map(|line| (text(line, "tag"), text(line, "line_key"))).collect();
    keys.sort();
    keys
}

fn key_of(line: Value) -> String {
    assign(lines(json!([line])))[0]["line_key"].as_str().expect("text").to_owned()
}

#[test]
fn the_key_says_what_the_line_is() {
    assert_eq!(key_of(json!({"variant_id": 7, "product_id": 3, "sku": "A"})), "v7");
    assert_eq!(key_of(json!({"variant_id": null, "product_id": 3, "sku": "A"})), "p3");
    assert_eq!(key_of(json!({"sku": "A-1"})), "sA-1");
    assert_eq!(key_of(json!({"product_name": "Custom bracket"})), "nCustom bracket");
    assert_eq!(key_of(json!({})), "n");
}

#[test]
fn options_count_by_id_and_value_in_any_order_and_type() {
    let a = json!({"optionId": 1, "optionValue": "10", "optionLabel": "Ocean"});
    let b = json!({"optionId": 2, "optionValue": "Ada", "optionName": "Engraving"});
    let key = key_of(json!({"variant_id": 7, "options": [a, b]}));
    assert!(key.starts_with("v7-") && key.len() == "v7-".len() + 12, "{key}");
    let renamed = json!({"optionId": "1", "optionValue": 10, "optionLabel": "Meer"});
    assert_eq!(key_of(json!({"variant_id": 7, "options": [b, renamed]})), key);
    let other = json!({"optionId": 2, "optionValue": "Bob"});
    assert_ne!(key_of(json!({"variant_id": 7, "options": [a, other]})), key);
    assert_eq!(key_of(json!({"variant_id": 7, "options": []})), "v7");
}

#[test]
fn twins_are_numbered_by_content() {
    let assigned = assign(lines(json!([
        {"tag": "dear", "variant_id": 7, "base_price": "100", "offered_price": "90", "quantity": 1},
        {"tag": "cheap", "variant_id": 7, "base_price": "100.00", "offered_price": "9", "quantity": 1},
        {"tag": "else", "variant_id": 8, "base_price": "1", "offered_price": "1", "quantity": 1},
    ])));
    let expected =
        [("cheap", "v7"), ("dear", "v7#2"), ("else", "v8")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(keys(&assigned), expected);
    assert_eq!(assigned[2]["position"], json!(3));
}

proptest! {
    /// Re-ordering the lines of a payload changes no key, and no two lines share one.
    #[test]
    fn order_does_not_matter(
        content in proptest::collection::vec((0_u8..3, 0_u8..3, 1_u8..4, 0_u8..3), 0..12),
        seed in any::<u64>(),
    ) {
        let original: Vec<Line> = content
            .iter()
            .enumerate()
            .map(|(i, (variant, price, quantity, option))| {
                let options = if *option == 0 { json!([]) } else { json!([{"optionId": 1, "optionValue": option}]) };
                let tag = format!("{variant}/{price}/{quantity}/{option}/{i}");
                let line = json!({"tag": tag, "variant_id": variant, "offered_price": price.to_string(), "quantity": quantity,
                    "options": options, "raw": {"tag": tag}});
                line.as_object().expect("an object").clone()
            })
            .collect();
        let mut shuffled = original.clone();
        shuffled.sort_by_key(|line| {
            Sha256::digest(format!("{seed}{}", line["tag"])).to_vec()
        });
        let first = keys(&assign(original));
        prop_assert_eq!(&keys(&assign(shuffled)), &first);
        let unique: std::collections::HashSet<_> = first.iter().map(|(_, key)| key).collect();
        prop_assert_eq!(unique.len(), first.len());
    }
}
