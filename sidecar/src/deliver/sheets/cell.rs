//! One cell: what it shows, and a value on its way into it.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::Decimal;
use serde_json::{json, Value as Json};

use crate::bigcommerce::value::decimal;

/// Whether a cell shows a value already. Text and number are not the same: "01" is not 1.
pub fn shows(cell: &Json, value: &Json) -> bool {
    match (entered(value), cell) {
        (written, Json::Null) => written == json!({}),
        (written, Json::String(shown)) => {
            written["userEnteredValue"]["stringValue"] == **shown
                || (shown.is_empty() && written == json!({}))
        }
        (written, Json::Number(_)) => {
            decimal(&written["userEnteredValue"]["numberValue"]).is_some_and(|n| Some(n) == decimal(cell))
        }
        (written, Json::Bool(shown)) => written["userEnteredValue"]["boolValue"] == *shown,
        _ => false,
    }
}

/// A value as it goes into a cell: as what it is. Numbers that a double would not keep digit for digit go as text.
pub fn entered(value: &Json) -> Json {
    let entered = match value {
        Json::Null => return json!({}),
        Json::String(text) if text.is_empty() => return json!({}),
        Json::Bool(flag) => json!({"boolValue": flag}),
        Json::Number(_) if keeps(value) => json!({"numberValue": value}),
        Json::Number(number) => json!({"stringValue": number.to_string()}),
        Json::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"userEnteredValue": entered})
}

fn keeps(number: &Json) -> bool {
    let Some(exact) = decimal(number).map(|d| d.normalize()) else { return false };
    let digits = exact.mantissa().unsigned_abs().to_string().len();
    digits <= 15
        && exact
            .to_f64()
            .and_then(|f| Decimal::try_from(f).ok())
            .is_some_and(|back| back.normalize() == exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_double_would_change_go_as_text() {
        let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        assert!(keeps(&number("10.10")) && keeps(&number("123456789012345")));
        assert!(!keeps(&number("12345678901234567.89")));
        assert_eq!(
            entered(&number("12345678901234567.89")),
            json!({"userEnteredValue": {"stringValue": "12345678901234567.89"}})
        );
        assert!(!shows(&json!(1), &json!("01")) && shows(&json!(1.5), &number("1.50")));
    }
}
