use proptest::prelude::*;
use serde_json::{from_str, json};

use super::*;

fn parsed(token: &str) -> Value {
    from_str(token).expect("JSON")
}

#[test]
fn ids_come_as_numbers_and_as_text() {
    for value in [json!(17), json!("17"), json!(" 17 "), parsed("17.0"), parsed("1.7e1")] {
        assert_eq!(id(&value), Ok(json!(17)), "{value}");
    }
    for none in [json!(null), json!(""), json!("  "), json!(0), json!("0")] {
        assert_eq!(id(&none), Ok(Value::Null), "{none}");
    }
    for bad in [
        json!(-1),
        json!("QN17"),
        json!(1.5),
        json!(true),
        json!([]),
        parsed("1e30"),
        json!("9223372036854775808"),
    ] {
        assert!(id(&bad).is_err(), "{bad}");
    }
    assert_eq!(id(&json!("9223372036854775807")), Ok(json!(i64::MAX)));
}

#[test]
fn counts_stay_within_32_bits() {
    assert_eq!(count(&json!("-3")), Ok(json!(-3)));
    assert_eq!(count(&json!(0)), Ok(json!(0)));
    assert!(count(&json!(2_147_483_648_i64)).is_err());
    assert!(count(&json!("12.5")).is_err());
}

#[test]
fn codes_may_come_as_labels() {
    const STATUS: Labels = &[(0, "New"), (2, "In Process")];
    assert_eq!(labelled(&json!("2"), STATUS), Ok(json!(2)));
    assert_eq!(labelled(&json!("in process"), STATUS), Ok(json!(2)));
    assert_eq!(labelled(&json!(99), STATUS), Ok(json!(99)), "a code of tomorrow is kept");
    let error = labelled(&json!("Nope"), STATUS).expect_err("no such label");
    assert!(error.what.contains("2 In Process"), "{}", error.what);
    assert!(code(&json!(40_000)).is_err());
}

#[test]
fn flags_come_in_every_dress() {
    for yes in [json!(true), json!(1), json!("1"), json!("true"), json!("TRUE"), json!("yes")] {
        assert_eq!(flag(&yes), Ok(json!(true)), "{yes}");
    }
    for no in [json!(false), json!(0), json!("0"), json!("False"), json!("no")] {
        assert_eq!(flag(&no), Ok(json!(false)), "{no}");
    }
    assert_eq!(flag(&json!("")), Ok(Value::Null));
    for bad in [json!(2), json!("maybe"), json!({})] {
        assert!(flag(&bad).is_err(), "{bad}");
    }
}

#[test]
fn text_keeps_what_it_is_given() {
    assert_eq!(text(&json!(" Ünïcode ")), Ok(json!(" Ünïcode ")));
    assert_eq!(text(&json!(" ")), Ok(Value::Null));
    assert_eq!(text(&parsed("12345678901234567890.10")), Ok(json!("12345678901234567890.10")));
    assert!(text(&json!(true)).is_err());
    assert_eq!(texts(&json!(["a", "", null, 1])), Ok(json!(["a", "1"])));
    assert_eq!(texts(&json!("a@example.com")), Ok(json!(["a@example.com"])));
    assert!(texts(&json!({"a": 1})).is_err());
}

#[test]
fn money_is_read_from_the_token() {
    let cases = [
        ("\"225.0000\"", "225.0000"),
        ("1495.10", "1495.10"),
        ("1495", "1495"),
        ("\" 12.5 \"", "12.5"),
        ("-0.01", "-0.01"),
        ("1.5e3", "1500"),
        ("1E-4", "0.0001"),
        ("0.30000000000000004", "0.3000"),
        ("\"0.00005\"", "0.0001"),
        ("9999999999999999.9999", "9999999999999999.9999"),
        ("{\"code\":\"EUR\",\"value\":\"400.0000\"}", "400.0000"),
        ("{\"amount\":3}", "3"),
    ];
    for (token, read) in cases {
        assert_eq!(money(&parsed(token)), Ok(json!(read)), "{token}");
    }
    for none in ["null", "\"\"", "{\"value\":null}"] {
        assert_eq!(money(&parsed(none)), Ok(Value::Null), "{none}");
    }
    for bad in
        ["\"$12\"", "\"1,234.50\"", "\"12,5\"", "true", "[]", "{}", "{\"value\":{\"value\":1}}", "\"NaN\""]
    {
        assert!(money(&parsed(bad)).is_err(), "{bad}");
    }
    for too_large in ["10000000000000000", "9999999999999999.99995", "1e400", "\"1e30\""] {
        assert!(money(&parsed(too_large)).is_err(), "{too_large}");
    }
    assert_eq!(rate(&parsed("\"1.3400000000\"")), Ok(json!("1.3400000000")));
    assert!(rate(&parsed("10000000000")).is_err());
}

#[test]
fn times_come_in_every_dress() {
    let cases = [
        (json!(1_722_619_778), "2024-08-02T17:29:38Z"),
        (json!("1722619778"), "2024-08-02T17:29:38Z"),
        (json!(1_722_619_778_123_i64), "2024-08-02T17:29:38.123Z"),
        (parsed("1722619778.5"), "2024-08-02T17:29:38.500Z"),
        (json!("Wed, 25 Jun 2025 05:22:10 +0000"), "2025-06-25T05:22:10Z"),
        (json!("Wed, 25 Jun 2025 05:22:10 -0730"), "2025-06-25T12:52:10Z"),
        (json!("Mon, 25 Jun 2025 05:22:10 +0000"), "2025-06-25T05:22:10Z"),
        (json!("2026-01-15T00:03:17Z"), "2026-01-15T00:03:17Z"),
        (json!("2026-01-15T00:03:17.250+02:00"), "2026-01-14T22:03:17.250Z"),
        (json!("2026-01-15T00:03:17+0200"), "2026-01-14T22:03:17Z"),
        (json!("2026-01-15 00:03:17"), "2026-01-15T00:03:17Z"),
        (json!("2026-01-15"), "2026-01-15T00:00:00Z"),
        (json!("04/19/2025"), "2025-04-19T00:00:00Z"),
        (json!(-86400), "1969-12-31T00:00:00Z"),
    ];
    for (value, at) in cases {
        assert_eq!(time(&value), Ok(json!(at)), "{value}");
    }
    for never in [json!(null), json!(""), json!(" "), json!(0), json!("0")] {
        assert_eq!(time(&never), Ok(Value::Null), "{never}");
    }
    for bad in [
        json!("soon"),
        json!("19/04/2025"),
        json!("2025-02-30"),
        json!(true),
        json!({}),
        parsed("1e30"),
        parsed("999999999999999"),
    ] {
        assert!(time(&bad).is_err(), "{bad}");
    }
}

#[test]
fn extra_fields_become_one_object() {
    let list = json!([{"fieldName": "Industry", "fieldValue": "Dental"}, {"fieldName": "Size", "fieldValue": 12}, {"fieldName": "None"}]);
    assert_eq!(extra_fields(&list), Ok(json!({"Industry": "Dental", "Size": "12", "None": null})));
    assert_eq!(extra_fields(&json!([])), Ok(json!({})));
    assert!(extra_fields(&json!([{"fieldValue": "x"}])).is_err());
    assert!(extra_fields(&json!("x")).is_err());
}

#[test]
fn numbers_that_jsonb_cannot_hold_are_known() {
    let storable = |token: &str| super::storable(parsed(token).as_number().expect("a number"));
    assert!(storable("12345678901234567.89") && storable("1e308") && storable("-1e-308"));
    assert!(!storable("1e200000") && !storable("1e99999999999999999999"));
}

proptest! {
    /// Every amount with at most four decimals survives as number and as text, to the last digit.
    #[test]
    fn money_is_exact(units in -9_999_999_999_999_999_i64..=9_999_999_999_999_999, fraction in 0_u32..10_000) {
        let token = format!("{units}.{fraction:04}");
        let expected = Decimal::from_str(&token).expect("a decimal");
        for value in [parsed(&token), json!(token)] {
            let read = money(&value).expect("an amount");
            prop_assert_eq!(Decimal::from_str(read.as_str().expect("text")).expect("a decimal"), expected);
        }
    }

    /// However a time is written, it is the same time.
    #[test]
    fn times_agree(seconds in 1_i64..=99_999_999_999) {
        let at = Utc.timestamp_opt(seconds, 0).single().expect("a time");
        let expected = time(&json!(seconds)).expect("seconds");
        let forms = [json!(seconds.to_string()), json!(at.to_rfc3339())];
        for form in forms {
            prop_assert_eq!(time(&form).expect("a time"), expected.clone());
        }
        if seconds >= 100_000_000 {
            prop_assert_eq!(time(&json!(seconds * 1000)).expect("milliseconds"), expected.clone());
        }
        if at.to_rfc3339().as_str() < "9999" {
            prop_assert_eq!(time(&json!(at.to_rfc2822())).expect("RFC 2822"), expected);
        }
    }

    /// No input makes a reader panic.
    #[test]
    fn nothing_panics(text_in in ".*", number in "-?[0-9]{1,40}(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,6})?") {
        let mut values = vec![json!(text_in)];
        values.extend(from_str::<Value>(&number));
        values.push(json!(number));
        for value in &values {
            for reader in [id, count, code, flag, text, texts, money, rate, time, extra_fields] {
                let _ = reader(value);
            }
            if let Value::Number(n) = value {
                let _ = storable(n);
            }
        }
    }
}
