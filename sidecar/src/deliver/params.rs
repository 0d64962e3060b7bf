//! Rendered parameters, read strictly: what is missing, unknown or of the wrong type is named.
//!
//! Templates make text of much that is meant as a number or as true and false, so both are taken.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::Failure;
use crate::bigcommerce::value;

/// Reads a job's parameters.
pub fn read<T: DeserializeOwned>(params: &Json) -> Result<T, Failure> {
    read_at(params, "params")
}

/// Reads a part of a job's parameters that stands at this place.
pub fn read_at<T: DeserializeOwned>(part: &Json, place: &str) -> Result<T, Failure> {
    serde_path_to_error::deserialize(part).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => String::new(),
            item if item.starts_with('[') => item.to_owned(),
            field => format!(".{field}"),
        };
        Failure::dead(format!("{place}{path}: {}", error.inner()))
    })
}

/// A whole number: 17 or "17".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub i64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let json = Json::deserialize(deserializer)?;
        value::int(&json).map(Id).ok_or_else(|| D::Error::custom(format!("a whole number, not {json}")))
    }
}

/// An amount: 10.10 or "10.10".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let json = Json::deserialize(deserializer)?;
        value::decimal(&json)
            .map(Amount)
            .ok_or_else(|| D::Error::custom(format!("an amount such as 10.50, not {json}")))
    }
}

/// True or false, also as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        let json = Json::deserialize(deserializer)?;
        value::flag(&json).map(Flag).ok_or_else(|| D::Error::custom(format!("true or false, not {json}")))
    }
}

/// Text; numbers and truth values are written out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::String(text) => Ok(Text(text)),
            Json::Number(number) => Ok(Text(number.to_string())),
            Json::Bool(flag) => Ok(Text(flag.to_string())),
            other => Err(D::Error::custom(format!("text, not {other}"))),
        }
    }
}

/// Text that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled(pub String);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Filled, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        match text.trim() {
            "" => Err(D::Error::custom("it is empty")),
            text => Ok(Filled(text.to_owned())),
        }
    }
}

/// A day: 2026-12-24, 12/24/2026, or a time whose day in UTC is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        let text = text.trim();
        let plain =
            ["%Y-%m-%d", "%m/%d/%Y"].iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok());
        let time = || {
            let zoned = DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
            zoned.ok().map(|at| at.with_timezone(&Utc).date_naive())
        };
        plain
            .or_else(time)
            .map(Day)
            .ok_or_else(|| D::Error::custom(format!("a day such as 2026-12-24, not \"{text}\"")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        id: Id,
        amount: Option<Amount>,
        flag: Option<Flag>,
        day: Option<Day>,
    }

    #[test]
    fn templates_make_text_of_everything() {
        let params: Params =
            read(&json!({"id": "17", "amount": "10.10", "flag": "true", "day": "2026-12-24T23:30:00-05:00"}))
                .unwrap();
        assert_eq!((params.id, params.flag), (Id(17), Some(Flag(true))));
        assert_eq!(params.amount.unwrap().0.to_string(), "10.10");
        assert_eq!(params.day.unwrap().0.to_string(), "2026-12-25");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |params: Json| read::<Params>(&params).unwrap_err().message;
        assert_eq!(error(json!({"id": "x"})), "params.id: a whole number, not \"x\"");
        assert!(error(json!({})).contains("missing field `id`"));
        assert!(error(json!({"id": 1, "more": 2})).contains("unknown field `more`"));
        assert!(error(json!({"id": 1, "day": "soon"})).contains("a day such as"));
    }
}
