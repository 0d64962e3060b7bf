//! Numbers of facts, kept digit for digit: a float would turn 10.10 into 10.1 and lose cents of large amounts.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value, ValueKind};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::unknown::Unknown;

/// A number as the database wrote it. Rendering and JSON give the same digits back.
#[derive(Debug)]
pub struct Exact {
    text: String,
    /// What arithmetic uses; none when the number has more than 28 significant digits.
    value: Option<Decimal>,
}

impl Exact {
    /// A number from its digits.
    pub fn new(text: String) -> Exact {
        let value = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok();
        Exact { text, value }
    }
}

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.text.bytes().any(|b| (b'1'..=b'9').contains(&b))
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Exact>()?;
        match (self.value, other.value) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            // Too long for a Decimal: magnitude first, then digits, so that the order stays total.
            _ => {
                let float = |e: &Exact| e.text.parse::<f64>().unwrap_or(0.0);
                Some(float(self).total_cmp(&float(other)).then_with(|| self.text.cmp(&other.text)))
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A number in a calculation.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    Int(i128),
    Decimal(Decimal),
}

impl Number {
    /// The value as a number; none when it is not one, or is too long to calculate with.
    pub fn of(value: &Value) -> Option<Number> {
        if let Some(exact) = value.downcast_object_ref::<Exact>() {
            return exact.value.map(Number::Decimal);
        }
        if value.kind() != ValueKind::Number {
            return None;
        }
        if value.is_integer() {
            return i128::try_from(value.clone()).ok().map(Number::Int);
        }
        // A float, as some filters of minijinja make it: its shortest form is what it means.
        Decimal::from_str(&value.to_string()).ok().map(Number::Decimal)
    }

    pub fn decimal(self) -> Option<Decimal> {
        match self {
            Number::Int(i) => Decimal::try_from_i128_with_scale(i, 0).ok(),
            Number::Decimal(d) => Some(d),
        }
    }

    pub fn order(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => Some(a.decimal()?.cmp(&b.decimal()?)),
        }
    }
}

/// Whether a value is a number, also one too long to calculate with.
pub fn is_number(value: &Value) -> bool {
    value.kind() == ValueKind::Number || value.downcast_object_ref::<Exact>().is_some()
}

/// A calculated number as a template value.
pub fn decimal_value(decimal: Decimal) -> Value {
    Value::from_object(Exact { text: decimal.to_string(), value: Some(decimal) })
}

/// Compares as numbers where both are, otherwise as minijinja does; for sorting.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (Number::of(a), Number::of(b)) {
        (Some(x), Some(y)) => x.order(y).unwrap_or_else(|| a.cmp(b)),
        _ => a.cmp(b),
    }
}

/// JSON as a template sees it: integers are plain, every other number is exact.
pub fn to_template(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => items.iter().map(to_template).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), to_template(v))).collect::<BTreeMap<_, _>>().into()
        }
        Json::Number(n) => {
            let text = n.to_string();
            match text.parse::<i64>() {
                Ok(i) => Value::from(i),
                Err(_) => Value::from_object(Exact::new(text)),
            }
        }
    }
}

/// A template's value as JSON, numbers digit for digit.
pub fn to_json(value: &Value) -> Result<Json, minijinja::Error> {
    let refuse = |what: String| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, format!("{what} has no JSON form"))
    };
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        return number_json(&exact.text).ok_or_else(|| refuse(exact.text.clone()));
    }
    if let Some(unknown) = value.downcast_object_ref::<Unknown>() {
        return Ok(Json::String(unknown.to_string()));
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(minijinja::Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => number_json(&value.to_string()).ok_or_else(|| refuse(value.to_string()))?,
        ValueKind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq | ValueKind::Iterable => {
            Json::Array(value.try_iter()?.map(|item| to_json(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let pairs = value.try_iter()?.map(|key| {
                let item = value.get_item(&key)?;
                Ok::<_, minijinja::Error>((key.to_string(), to_json(&item)?))
            });
            Json::Object(pairs.collect::<Result<_, _>>()?)
        }
        kind => return Err(refuse(format!("a value of type {kind}"))),
    })
}

fn number_json(text: &str) -> Option<Json> {
    serde_json::Number::from_str(text).ok().map(Json::Number)
}
