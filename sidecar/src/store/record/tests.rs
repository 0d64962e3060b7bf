use serde_json::json;

use super::super::scalar::{id, money, text};
use super::*;

fn findings_of(payload: Value, read: impl Fn(&mut Record<'_>, &mut Map<String, Value>)) -> (Value, Findings) {
    let mut findings = Findings::default();
    let mut row = Map::new();
    let mut record = Record::new(payload.as_object().expect("an object"), "/data/0", &mut findings);
    read(&mut record, &mut row);
    record.finish();
    (Value::Object(row), findings)
}

#[test]
fn absent_keys_leave_columns_out_and_null_clears() {
    let (row, findings) = findings_of(json!({"a": null, "b": "x"}), |record, row| {
        record.set(row, "a", &["a"], text);
        record.set(row, "b", &["b"], text);
        record.set(row, "c", &["c"], text);
    });
    assert_eq!(row, json!({"a": null, "b": "x"}));
    assert!(findings.problems.is_empty() && findings.unknown.is_empty());
}

#[test]
fn the_first_key_that_holds_something_wins() {
    let (row, _) = findings_of(json!({"name": "", "salesRepName": "Ada"}), |record, row| {
        record.set(row, "name", &["name", "salesRepName"], text);
    });
    assert_eq!(row, json!({"name": "Ada"}));
}

#[test]
fn problems_name_place_expectation_and_remedy() {
    let payload = json!({"lines": [{"price": 1}, {"price": "cheap"}, 3], "a/b": {}});
    let (_, findings) = findings_of(payload, |record, _| {
        record.list("lines", |line, _| line.read(&["price"], money));
        record.read(&["a/b"], id);
    });
    let pointers: Vec<&str> = findings.problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/data/0/lines/1/price", "/data/0/lines/2", "/data/0/a~1b"]);
    let problem = &findings.problems[0];
    assert_eq!(problem.found, "\"cheap\"");
    assert!(problem.expected.contains("money") && !problem.mend.is_empty());
}

#[test]
fn a_missing_id_is_told_apart_from_an_empty_one() {
    let found = |payload: Value| {
        let (_, findings) =
            findings_of(payload, |record, _| assert_eq!(record.key(&["quoteId", "id"]), None));
        assert_eq!(findings.problems.len(), 1);
        findings.problems[0].found.clone()
    };
    assert_eq!(found(json!({})), "no such key");
    assert_eq!(found(json!({"quoteId": ""})), "an empty id");
    assert_eq!(found(json!({"quoteId": "QN1"})), "\"QN1\"");
}

#[test]
fn unknown_keys_are_counted_by_place() {
    let payload =
        json!({"known": 1, "new": 1, "lines": [{"x": 1}, {"x": 2}], "deep": {"y": 1}, "partly": {"z": 1}});
    let (_, findings) = findings_of(payload, |record, _| {
        record.known(&["known"]);
        record.list("lines", |_, _| Some(()));
        record.object("deep").expect("an object").finish();
        let mut partly = record.object("partly").expect("an object");
        partly.ignore_rest();
        partly.finish();
    });
    let expected = [("/deep/y", 1), ("/lines/*/x", 2), ("/new", 1)].map(|(key, n)| (key.to_owned(), n));
    assert_eq!(findings.unknown, BTreeMap::from(expected));
}

#[test]
fn an_empty_list_or_text_stands_for_no_object() {
    for empty in [json!([]), json!(null), json!("")] {
        let (_, findings) = findings_of(json!({"company": empty}), |record, _| {
            assert!(record.object("company").is_none());
        });
        assert!(findings.problems.is_empty());
    }
    let (_, findings) =
        findings_of(json!({"company": 5}), |record, _| assert!(record.object("company").is_none()));
    assert_eq!(findings.problems.len(), 1);
}

#[test]
fn what_postgres_cannot_store_is_found_anywhere() {
    let payload = json!({"a": ["fine", {"b": "zero\u{0}byte"}], "k\u{0}": 1});
    let mut problems = Vec::new();
    check_storable(&payload, "", &mut problems);
    let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a/1/b", "/k\\u0000"]);
    problems.clear();
    check_storable(&serde_json::from_str("[1e5, 1e999999]").expect("JSON"), "", &mut problems);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].pointer, "/1");
}

#[test]
fn long_values_are_shown_short() {
    let long = shown(&json!("ä".repeat(200)));
    assert_eq!(long.chars().count(), 61);
}
