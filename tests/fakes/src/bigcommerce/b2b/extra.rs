//! Extra fields: addressed by name, values are strings.

use serde_json::{json, Value};

use crate::bigcommerce::state::{ExtraField, Fields};

/// The configuration as the API lists it.
pub fn config(fields: &[ExtraField]) -> Vec<Value> {
    fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            json!({"id": place + 1, "fieldName": field.name, "labelName": field.name, "fieldType": field.kind.to_string(),
                "isRequired": if field.required { "1" } else { "0" }, "configType": 2, "listOfValue": field.options})
        })
        .collect()
}

/// Reads `[{fieldName, fieldValue}]`: what is wrong, or the pairs. All required fields must be there.
pub fn read(fields: &[ExtraField], value: &Value) -> Result<Vec<(String, String)>, Vec<String>> {
    let Some(items) = value.as_array() else { return Err(vec!["Expected a list of items.".to_owned()]) };
    let (mut pairs, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        let name = item.get("fieldName").and_then(Value::as_str).unwrap_or_default();
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            wrong.push(format!("Extra field \"{name}\" does not exist."));
            continue;
        };
        let Some(text) = item.get("fieldValue").and_then(Value::as_str) else {
            wrong.push(format!("The value of extra field \"{name}\" must be a string."));
            continue;
        };
        if field.kind == 2 && !text.is_empty() && text.parse::<f64>().is_err() {
            wrong.push(format!("The value of extra field \"{name}\" must be a number."));
        }
        if field.kind == 3 && !field.options.iter().any(|option| option == text) {
            wrong.push(format!("\"{text}\" is no option of extra field \"{name}\"."));
        }
        pairs.push((name.to_owned(), text.to_owned()));
    }
    for field in fields.iter().filter(|field| field.required) {
        if !pairs.iter().any(|(name, text)| *name == field.name && !text.is_empty()) {
            wrong.push(format!("Extra field \"{}\" is required.", field.name));
        }
    }
    if wrong.is_empty() {
        Ok(pairs)
    } else {
        Err(wrong)
    }
}

/// Writes pairs into `extraFields` of a payload; fields not named stay.
pub fn merge(data: &mut Fields, pairs: Vec<(String, String)>) {
    let list = data.entry("extraFields").or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    for (name, text) in pairs {
        let pair = json!({"fieldName": name, "fieldValue": text});
        match list.iter_mut().find(|item| item["fieldName"] == pair["fieldName"]) {
            Some(found) => *found = pair,
            None => list.push(pair),
        }
    }
}

/// The value of a field.
pub fn value<'a>(data: &'a Fields, name: &str) -> Option<&'a str> {
    let list = data.get("extraFields")?.as_array()?;
    list.iter().find(|item| item["fieldName"] == name)?.get("fieldValue")?.as_str()
}
