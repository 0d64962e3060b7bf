//! Values as these APIs write them: ids and amounts as numbers or texts, flags as 0/1, "0"/"1" or true/false.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Number, Value as Json};

/// A whole number, written as a number or as text.
pub fn int(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An amount from the token as it was written; never by way of a float.
pub fn decimal(value: &Json) -> Option<Decimal> {
    let token = match value {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    Decimal::from_str(&token).or_else(|_| Decimal::from_scientific(&token)).ok()
}

/// True or false.
pub fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::Number(number) => number.as_i64().map(|n| n != 0),
        Json::String(text) => match text.trim() {
            "1" | "true" => Some(true),
            "0" | "false" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// An amount as a JSON number, digit for digit.
pub fn number(amount: Decimal) -> Json {
    Number::from_str(&amount.normalize().to_string()).map(Json::Number).unwrap_or_default()
}

/// Whether two values say the same, however they are written.
pub fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, v)| y.get(key).is_some_and(|w| same(v, w)))
        }
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(v, w)| same(v, w)),
        (Json::Bool(x), other) | (other, Json::Bool(x)) => flag(other) == Some(*x),
        (Json::Null, other) | (other, Json::Null) => other.is_null() || other.as_str() == Some(""),
        _ if a == b => true,
        (Json::String(x), Json::String(y)) => x == y,
        _ => decimal(a).zip(decimal(b)).is_some_and(|(x, y)| x == y),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_the_same_however_they_are_written() {
        for (a, b) in [
            (json!(17), json!("17")),
            (json!("1.50"), json!(1.5)),
            (json!(true), json!("1")),
            (json!(null), json!("")),
            (json!([{"a": 1}]), json!([{"a": "1"}])),
        ] {
            assert!(same(&a, &b), "{a} {b}");
        }
        for (a, b) in [(json!("01"), json!("1")), (json!(1), json!(2)), (json!("x"), json!(0))] {
            assert!(!same(&a, &b), "{a} {b}");
        }
    }
}
