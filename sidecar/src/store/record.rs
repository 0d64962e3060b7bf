//! Reading one JSON object of a payload into the columns of a row, noting on the way what was wrong and what was new.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::scalar::{self, Read};

/// One thing wrong in a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer of the value, from the top of the file or line.
    pub pointer: String,
    pub expected: String,
    pub found: String,
    pub mend: String,
}

/// What reading an entity brought to light.
#[derive(Debug, Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    /// Keys this version does not know, with array places as `*`, and how often.
    pub unknown: BTreeMap<String, u64>,
}

/// A JSON object being read. Keys that are absent leave their column out of the row, so that a list payload
/// cannot blank what a detail payload brought.
pub struct Record<'a> {
    fields: &'a Map<String, Value>,
    /// Pointer of the object from the top of the file.
    at: String,
    /// How much of it leads to the entity.
    top: usize,
    /// The same from the top of the entity, array places as `*`.
    inside: String,
    used: BTreeSet<&'static str>,
    partly: bool,
    findings: &'a mut Findings,
}

impl<'a> Record<'a> {
    /// Starts on an entity's own object.
    pub fn new(fields: &'a Map<String, Value>, at: &str, findings: &'a mut Findings) -> Record<'a> {
        Record {
            fields,
            at: at.to_owned(),
            top: at.len(),
            inside: String::new(),
            used: BTreeSet::new(),
            partly: false,
            findings,
        }
    }

    /// Whether any of the keys is there.
    pub fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.fields.contains_key(*key))
    }

    /// The value under a key, which counts as known from here on.
    pub fn peek(&mut self, key: &'static str) -> Option<&'a Value> {
        self.used.insert(key);
        self.fields.get(key)
    }

    /// Where the object stands in its entity: `products/0`. SQL takes it from there, so that it need not be sent twice.
    pub fn place(&self) -> Value {
        self.at[self.top..].trim_start_matches('/').into()
    }

    /// Marks keys that are known but have no column.
    pub fn known(&mut self, keys: &[&'static str]) {
        self.used.extend(keys);
    }

    /// Takes every further key as known: the object is read only in part.
    pub fn ignore_rest(&mut self) {
        self.partly = true;
    }

    /// Reads the first of `keys` that holds something. `None`: no such key, or a problem was noted.
    pub fn read(&mut self, keys: &[&'static str], reader: impl Fn(&Value) -> Read) -> Option<Value> {
        let mut result = None;
        for key in keys {
            self.used.insert(key);
            let Some(value) = self.fields.get(*key) else { continue };
            if result.as_ref().is_some_and(|r: &Value| !r.is_null()) {
                continue;
            }
            match reader(value) {
                Ok(read) => result = Some(read),
                Err(e) => self.problem(key, e, shown(value)),
            }
        }
        result
    }

    /// Reads into a column of `row`.
    pub fn set(
        &mut self,
        row: &mut Map<String, Value>,
        column: &str,
        keys: &[&'static str],
        reader: impl Fn(&Value) -> Read,
    ) {
        if let Some(value) = self.read(keys, reader) {
            row.insert(column.to_owned(), value);
        }
    }

    /// Reads the entity's own id, without which there is no row.
    pub fn key(&mut self, keys: &[&'static str]) -> Option<i64> {
        let before = self.findings.problems.len();
        let read = self.read(keys, scalar::id);
        if let Some(id) = read.as_ref().and_then(Value::as_i64) {
            return Some(id);
        }
        if self.findings.problems.len() == before {
            let found = if read.is_some() { "an empty id" } else { "no such key" };
            let mend = format!("add \"{}\": the id by which the API knows it", keys[0]);
            let what = format!("an id under \"{}\"", keys.join("\" or \""));
            self.problem(keys[0], scalar::Expected { what, mend }, found.to_owned());
        }
        None
    }

    /// The object under a key, to be read in its turn; null and [] count as absent.
    pub fn object(&mut self, key: &'static str) -> Option<Record<'_>> {
        self.used.insert(key);
        let value = self.fields.get(key)?;
        match value {
            Value::Object(fields) => Some(Record {
                fields,
                at: format!("{}/{}", self.at, escaped(key)),
                top: self.top,
                inside: format!("{}/{}", self.inside, escaped(key)),
                used: BTreeSet::new(),
                partly: false,
                findings: self.findings,
            }),
            Value::Null => None,
            Value::Array(items) if items.is_empty() => None,
            Value::String(text) if text.is_empty() => None,
            _ => {
                let what = scalar::Expected {
                    what: "an object".into(),
                    mend: "send {…}, or null for none".into(),
                };
                self.problem(key, what, shown(value));
                None
            }
        }
    }

    /// Every object of the list under a key, read by `each`. `None`: no such key.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        mut each: impl FnMut(&mut Record<'_>, &'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.used.insert(key);
        let value = self.fields.get(key)?;
        let Value::Array(items) = value else {
            if !value.is_null() {
                let what =
                    scalar::Expected { what: "a list".into(), mend: "send […], or [] for none".into() };
                self.problem(key, what, shown(value));
            }
            return None;
        };
        let mut read = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let Value::Object(fields) = item else {
                let what =
                    scalar::Expected { what: "an object".into(), mend: "send {…} for each element".into() };
                self.problem_at(&format!("{}/{place}", escaped(key)), what, shown(item));
                continue;
            };
            let mut record = Record {
                fields,
                at: format!("{}/{}/{place}", self.at, escaped(key)),
                top: self.top,
                inside: format!("{}/{}/*", self.inside, escaped(key)),
                used: BTreeSet::new(),
                partly: false,
                findings: self.findings,
            };
            read.extend(each(&mut record, item));
            record.finish();
        }
        Some(read)
    }

    /// Notes a problem with the value under a key of this object.
    pub fn problem(&mut self, key: &str, expected: scalar::Expected, found: String) {
        self.problem_at(&escaped(key), expected, found);
    }

    fn problem_at(&mut self, tail: &str, expected: scalar::Expected, found: String) {
        let pointer = format!("{}/{tail}", self.at);
        self.findings.problems.push(Problem { pointer, expected: expected.what, found, mend: expected.mend });
    }

    /// Ends the reading: keys that nothing asked for are unknown to this version.
    pub fn finish(self) {
        if self.partly {
            return;
        }
        for key in self.fields.keys().filter(|key| !self.used.contains(key.as_str())) {
            *self.findings.unknown.entry(format!("{}/{}", self.inside, escaped(key))).or_default() += 1;
        }
    }
}

/// Finds what Postgres cannot store anywhere, so that it costs one entity and not its batch.
pub fn check_storable(value: &Value, at: &str, problems: &mut Vec<Problem>) {
    if !is_storable(value) {
        find_unstorable(value, at, problems);
    }
}

/// Almost everything is, and to know that needs no places.
fn is_storable(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Number(number) => scalar::storable(number),
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(fields) => fields.iter().all(|(key, item)| !key.contains('\0') && is_storable(item)),
        Value::Null | Value::Bool(_) => true,
    }
}

fn find_unstorable(value: &Value, at: &str, problems: &mut Vec<Problem>) {
    let mut refuse = |expected: &str, found: String, mend: &str| {
        problems.push(Problem {
            pointer: at.to_owned(),
            expected: expected.into(),
            found,
            mend: mend.into(),
        });
    };
    match value {
        Value::String(text) if text.contains('\0') => {
            refuse(
                "text without the character U+0000",
                shown(value),
                "remove \\u0000: Postgres cannot store it",
            );
        }
        Value::Number(number) if !scalar::storable(number) => {
            refuse("a number of at most 1000 digits", shown(value), "write a smaller number, or a string");
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                find_unstorable(item, &format!("{at}/{place}"), problems);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let here = format!("{at}/{}", escaped(key));
                if key.contains('\0') {
                    let mend = "remove \\u0000: Postgres cannot store it";
                    let expected = "a key without the character U+0000".to_owned();
                    problems.push(Problem {
                        pointer: here.replace('\0', "\\u0000"),
                        expected,
                        found: "such a key".into(),
                        mend: mend.into(),
                    });
                    continue;
                }
                find_unstorable(item, &here, problems);
            }
        }
        _ => {}
    }
}

/// A value as messages show it: short, on one line.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => return format!("a list of {}", items.len()),
        Value::Object(_) => return "an object".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A key as a part of a JSON pointer.
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
