//! Lenient readers for single values: the APIs write the same thing in many ways.
//!
//! Each reader returns the value as the store's SQL takes it (JSON null for "nothing"), or what it expected instead.
//! Money and rates are read from the number's own token, never through a float.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Number, Value};

/// What should have stood there, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub what: String,
    pub mend: String,
}

/// A value fit for SQL, or what was expected.
pub type Read = Result<Value, Expected>;

fn expected(what: &str, mend: &str) -> Expected {
    Expected { what: what.to_owned(), mend: mend.to_owned() }
}

/// Codes of an enumeration with the labels that some endpoints send instead.
pub type Labels = &'static [(i64, &'static str)];

/// An id: a positive integer, as a number or as text. 0 and "" mean "none".
pub fn id(value: &Value) -> Read {
    let error = || {
        expected("an id: a positive integer, as a number or as a string of digits", "write 123 or \"123\"")
    };
    match integral(value).map_err(|()| error())? {
        None | Some(0) => Ok(Value::Null),
        Some(n) if n > 0 => Ok(n.into()),
        Some(_) => Err(error()),
    }
}

/// A count: an integer of 32 bits.
pub fn count(value: &Value) -> Read {
    let error = || expected("a whole number between -2147483648 and 2147483647", "write 12 or \"12\"");
    match integral(value).map_err(|()| error())? {
        None => Ok(Value::Null),
        Some(n) => i32::try_from(n).map(Value::from).map_err(|_| error()),
    }
}

/// A code: a small integer, as a number or as text.
pub fn code(value: &Value) -> Read {
    labelled(value, &[])
}

/// A code, or its label in any case.
pub fn labelled(value: &Value, labels: Labels) -> Read {
    let error = || {
        let known = labels.iter().map(|(n, label)| format!("{n} {label}")).collect::<Vec<_>>().join(", ");
        let what = if known.is_empty() {
            "a code: a small whole number".to_owned()
        } else {
            format!("one of the codes {known}")
        };
        Expected { what, mend: "write the number of the code, such as 1 or \"1\"".to_owned() }
    };
    if let Value::String(text) = value {
        if let Some((n, _)) = labels.iter().find(|(_, label)| label.eq_ignore_ascii_case(text.trim())) {
            return Ok((*n).into());
        }
    }
    match integral(value).map_err(|()| error())? {
        None => Ok(Value::Null),
        Some(n) => i16::try_from(n).map(Value::from).map_err(|_| error()),
    }
}

/// A yes or no: true, 1, "1", "true", "yes" and their opposites.
pub fn flag(value: &Value) -> Read {
    let error = || expected("a flag: true or false, 1 or 0, \"1\" or \"0\"", "write true or false");
    let text = match value {
        Value::Null => return Ok(Value::Null),
        Value::Bool(_) => return Ok(value.clone()),
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.trim().to_ascii_lowercase(),
        _ => return Err(error()),
    };
    match text.as_str() {
        "" => Ok(Value::Null),
        "1" | "1.0" | "true" | "yes" | "on" => Ok(true.into()),
        "0" | "0.0" | "false" | "no" | "off" => Ok(false.into()),
        _ => Err(error()),
    }
}

/// Text. A number stands for its digits, "" for nothing.
pub fn text(value: &Value) -> Read {
    match value {
        Value::Null => Ok(Value::Null),
        Value::String(s) if s.trim().is_empty() => Ok(Value::Null),
        Value::String(_) => Ok(value.clone()),
        Value::Number(n) => Ok(n.to_string().into()),
        _ => Err(expected("text", "write a string in double quotes")),
    }
}

/// A list of texts; one text stands for a list of one.
pub fn texts(value: &Value) -> Read {
    let error = || expected("a list of strings", "write [\"…\", \"…\"], or [] for none");
    match value {
        Value::Null => Ok(Value::Null),
        Value::Array(items) => {
            let items = items.iter().map(text).collect::<Result<Vec<_>, _>>().map_err(|_| error())?;
            Ok(Value::Array(items.into_iter().filter(|v| !v.is_null()).collect()))
        }
        Value::String(_) => Ok(match text(value)? {
            Value::Null => Value::Array(Vec::new()),
            one => Value::Array(vec![one]),
        }),
        _ => Err(error()),
    }
}

/// Anything, as it is.
pub fn json(value: &Value) -> Read {
    Ok(value.clone())
}

/// An amount for numeric(20,4): number, text, or an object with `value` or `amount`.
pub fn money(value: &Value) -> Read {
    decimal(value, 4, "an amount of money such as 1495.00 or \"1495.0000\", below 10^16")
}

/// An exchange rate for numeric(20,10).
pub fn rate(value: &Value) -> Read {
    decimal(value, 10, "a rate such as 1.34 or \"1.3400000000\", below 10^10")
}

fn decimal(value: &Value, places: u32, what: &str) -> Read {
    let error =
        || expected(what, "use digits with a point for decimals: no currency sign, no thousands separator");
    let token = match value {
        Value::Null => return Ok(Value::Null),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.trim().is_empty() => return Ok(Value::Null),
        Value::String(s) => s.trim().to_owned(),
        Value::Object(fields) => {
            let inner = fields.get("value").or_else(|| fields.get("amount")).ok_or_else(error)?;
            return if inner.is_object() { Err(error()) } else { decimal(inner, places, what) };
        }
        _ => return Err(error()),
    };
    // Floats computed elsewhere carry noise such as 0.30000000000000004: rounded as Postgres would round them.
    let exact = parse_decimal(&token).ok_or_else(error)?;
    let rounded = exact.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    if rounded.abs().trunc().to_string().len() > 20 - places as usize {
        return Err(error());
    }
    Ok(rounded.to_string().into())
}

fn parse_decimal(token: &str) -> Option<Decimal> {
    let plain = token.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain {
        return None;
    }
    if token.contains(['e', 'E']) {
        Decimal::from_scientific(token).ok()
    } else {
        Decimal::from_str(token).ok()
    }
}

/// The whole number behind a value: 5, 5.0, "5"; nothing for null and "".
fn integral(value: &Value) -> Result<Option<i64>, ()> {
    let token = match value {
        Value::Null => return Ok(None),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.trim().is_empty() => return Ok(None),
        Value::String(s) => s.trim().to_owned(),
        _ => return Err(()),
    };
    if let Ok(n) = token.parse() {
        return Ok(Some(n));
    }
    let exact = parse_decimal(&token).filter(Decimal::is_integer).ok_or(())?;
    exact.normalize().to_string().parse().map(Some).map_err(|_| ())
}

/// A point in time: unix seconds or milliseconds (number or text), RFC 2822, ISO 8601 or MM/DD/YYYY. Without a zone
/// it is UTC; 0 and "" mean "never".
pub fn time(value: &Value) -> Read {
    let error = || {
        expected(
            "a time: unix seconds (1722619778), RFC 2822 (Wed, 25 Jun 2025 05:22:10 +0000) or ISO 8601 (2025-06-25T05:22:10Z)",
            "write it in one of these forms, between the years 1 and 9999; null or \"\" for never",
        )
    };
    let at = match value {
        Value::Null => None,
        Value::Number(n) => unix(&n.to_string()).ok_or_else(error)?,
        Value::String(s) if s.trim().is_empty() => None,
        Value::String(s) => match unix(s.trim()) {
            Some(at) => at,
            None => Some(written_time(s.trim()).ok_or_else(error)?),
        },
        _ => return Err(error()),
    };
    let Some(at) = at else { return Ok(Value::Null) };
    use chrono::Datelike;
    if !(1..=9999).contains(&at.year()) {
        return Err(error());
    }
    Ok(at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
}

/// Below this, a unix time is in seconds (the year 5138); from here on in milliseconds (from 1973).
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// `None`: no number. `Some(None)`: 0, which the APIs write for "never".
fn unix(token: &str) -> Option<Option<DateTime<Utc>>> {
    let exact = parse_decimal(token)?;
    if exact.is_zero() {
        return Some(None);
    }
    let per_unit = if exact.abs() < Decimal::from(FIRST_MILLISECONDS) { 1_000_000 } else { 1_000 };
    let micros = exact.checked_mul(Decimal::from(per_unit))?.round();
    let micros = micros.normalize().to_string().parse().ok()?;
    Utc.timestamp_micros(micros).single().map(Some)
}

fn written_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc2822(text) {
        return Some(at.to_utc());
    }
    // A wrong weekday is no reason to lose the time.
    if let Some((_, rest)) = text.split_once(", ") {
        if let Ok(at) = DateTime::parse_from_rfc2822(rest) {
            return Some(at.to_utc());
        }
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Some(at.to_utc());
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(at.and_utc());
        }
    }
    for format in ["%Y-%m-%d", "%m/%d/%Y"] {
        if let Ok(day) = NaiveDate::parse_from_str(text, format) {
            return Some(day.and_hms_opt(0, 0, 0)?.and_utc());
        }
    }
    None
}

/// B2B extra fields, `[{fieldName, fieldValue}]`, as one object; an object is taken as it is.
pub fn extra_fields(value: &Value) -> Read {
    let error = || {
        expected(
            "a list of extra fields: [{\"fieldName\": …, \"fieldValue\": …}]",
            "give each field its fieldName, or send [] for none",
        )
    };
    let items = match value {
        Value::Null | Value::Object(_) => return Ok(value.clone()),
        Value::Array(items) => items,
        _ => return Err(error()),
    };
    let mut fields = Map::new();
    for item in items {
        let name =
            ["fieldName", "labelName"].iter().find_map(|key| item.get(key)?.as_str()).ok_or_else(error)?;
        let content = item.get("fieldValue").map(text).transpose().map_err(|_| error())?;
        fields.insert(name.to_owned(), content.unwrap_or(Value::Null));
    }
    Ok(Value::Object(fields))
}

/// A list of ids.
pub fn ids(value: &Value) -> Read {
    let error = || expected("a list of ids", "write [1, 2], or [] for none");
    match value {
        Value::Null => Ok(Value::Null),
        Value::Array(items) => {
            items.iter().map(id).collect::<Result<Vec<_>, _>>().map(Value::Array).map_err(|_| error())
        }
        _ => Err(error()),
    }
}

/// Custom fields of products, `[{name, value}]`, as one object.
pub fn custom_fields(value: &Value) -> Read {
    let error = || {
        expected(
            "a list of custom fields: [{\"name\": …, \"value\": …}]",
            "give each its name, or send [] for none",
        )
    };
    let items = match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(items) => items,
        _ => return Err(error()),
    };
    let mut fields = Map::new();
    for item in items {
        let name = item.get("name").and_then(Value::as_str).ok_or_else(error)?;
        let content = item.get("value").map(text).transpose().map_err(|_| error())?;
        fields.insert(name.to_owned(), content.unwrap_or(Value::Null));
    }
    Ok(Value::Object(fields))
}

/// Whether Postgres can store a number in jsonb: it takes exponents, but not without end.
pub fn storable(number: &Number) -> bool {
    let token = number.to_string();
    let exponent = token.split_once(['e', 'E']).map(|(_, e)| e.parse::<i64>());
    token.len() <= 1000 && !matches!(exponent, Some(Err(_)) | Some(Ok(..=-1001 | 1001..)))
}

#[cfg(test)]
mod tests;
