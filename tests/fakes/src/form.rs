//! Reading a request's JSON strictly: wrong types are errors, counted per field.

use std::collections::BTreeMap;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};

/// An object of a request being read.
pub struct Form<'a> {
    fields: &'a Map<String, Value>,
    /// What is wrong, per field.
    pub errors: BTreeMap<String, Vec<String>>,
}

impl<'a> Form<'a> {
    /// Reads an object; anything else has no fields.
    pub fn new(body: &'a Value) -> Form<'a> {
        static NONE: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
        let fields = body.as_object().unwrap_or_else(|| NONE.get_or_init(Map::new));
        Form { fields, errors: BTreeMap::new() }
    }

    /// Whether the key is there, with whatever value.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// The value under a key, as it is.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Notes an error.
    pub fn wrong(&mut self, key: &str, message: &str) {
        self.errors.entry(key.to_owned()).or_default().push(message.to_owned());
    }

    /// Notes every key that is missing, null or an empty text.
    pub fn require(&mut self, keys: &[&str]) {
        for key in keys {
            let empty = match self.fields.get(*key) {
                None | Some(Value::Null) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(_) => false,
            };
            if empty {
                self.wrong(key, "This field is required.");
            }
        }
    }

    /// A text.
    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.fields.get(key)? {
            Value::String(text) => Some(text),
            _ => {
                self.wrong(key, "Not a valid string.");
                None
            }
        }
    }

    /// A whole number.
    pub fn int(&mut self, key: &str) -> Option<i64> {
        let found = self.fields.get(key)?;
        if found.as_i64().is_none() {
            self.wrong(key, "A valid integer is required.");
        }
        found.as_i64()
    }

    /// True or false.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let found = self.fields.get(key)?;
        if found.as_bool().is_none() {
            self.wrong(key, "Must be a valid boolean.");
        }
        found.as_bool()
    }

    /// A JSON number, exactly as it was written.
    pub fn amount(&mut self, key: &str) -> Option<Decimal> {
        let found = self.fields.get(key)?;
        let amount = found.is_number().then(|| decimal(found)).flatten();
        if amount.is_none() {
            self.wrong(key, "A valid number is required.");
        }
        amount
    }

    /// A list.
    pub fn list(&mut self, key: &str) -> Option<&'a Vec<Value>> {
        let found = self.fields.get(key)?;
        if found.as_array().is_none() {
            self.wrong(key, "Expected a list of items.");
        }
        found.as_array()
    }

    /// The errors as the APIs write them, if there are any.
    pub fn failed(&self) -> Option<Value> {
        (!self.errors.is_empty()).then(|| serde_json::to_value(&self.errors).unwrap_or_default())
    }
}

/// The number behind a JSON number or a text of digits.
pub fn decimal(value: &Value) -> Option<Decimal> {
    let token = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    Decimal::from_str(&token).or_else(|_| Decimal::from_scientific(&token)).ok()
}

/// A decimal as a JSON number, digit for digit.
pub fn number(amount: Decimal) -> Value {
    Number::from_str(&amount.to_string()).map(Value::Number).unwrap_or_default()
}

/// The whole number behind a JSON number or a text of digits; 0 for anything else.
pub fn int(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or_default(),
        Some(Value::String(text)) => text.trim().parse().unwrap_or_default(),
        _ => 0,
    }
}
