//! The stable key of a quote line. What it is made of, and why, stands in `sql/store/22_quote_items.sql`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

type Line = Map<String, Value>;

/// Gives each line its `line_key` and its `position`.
pub fn assign(mut lines: Vec<Line>) -> Vec<Line> {
    let mut twins: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, line) in lines.iter_mut().enumerate() {
        line.insert("position".into(), (place + 1).into());
        twins.entry(base(line)).or_default().push(place);
    }
    for (base, mut places) in twins {
        places.sort_by(|a, b| order(&lines[*a], &lines[*b]));
        for (n, place) in places.into_iter().enumerate() {
            let key = if n == 0 { base.clone() } else { format!("{base}#{}", n + 1) };
            lines[place].insert("line_key".into(), key.into());
        }
    }
    lines
}

fn base(line: &Line) -> String {
    let part = |column: &str| match line.get(column) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let item = [("variant_id", 'v'), ("product_id", 'p'), ("sku", 's'), ("product_name", 'n')]
        .into_iter()
        .find_map(|(column, letter)| Some(format!("{letter}{}", part(column)?)))
        .unwrap_or_else(|| "n".to_owned());
    match options_hash(line.get("options")) {
        Some(hash) => format!("{item}-{hash}"),
        None => item,
    }
}

/// Twelve hex digits over the chosen options; nothing when there are none.
fn options_hash(options: Option<&Value>) -> Option<String> {
    let mut chosen: Vec<String> = options?
        .as_array()?
        .iter()
        .map(|option| format!("{}={}", plain(option.get("optionId")), plain(option.get("optionValue"))))
        .collect();
    if chosen.is_empty() {
        return None;
    }
    chosen.sort();
    let digest = Sha256::digest(chosen.join("\n"));
    Some(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

/// An id or value as text, whether it came as a number or as a string.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Twins are told apart by what they contain, so that their order in the list does not matter.
fn order(a: &Line, b: &Line) -> Ordering {
    let number = |line: &Line, column: &str| Decimal::from_str(&plain(line.get(column))).ok();
    ["base_price", "offered_price", "quantity"]
        .into_iter()
        .map(|column| number(a, column).cmp(&number(b, column)))
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| canonical(a.get("raw")).cmp(&canonical(b.get("raw"))))
}

/// JSON text that does not depend on the order of keys.
fn canonical(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::Object(fields)) => {
            let mut parts: Vec<String> =
                fields.iter().map(|(key, inner)| format!("{key:?}:{}", canonical(Some(inner)))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        Some(Value::Array(items)) => {
            let parts: Vec<String> = items.iter().map(|item| canonical(Some(item))).collect();
            format!("[{}]", parts.join(","))
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
