//! Records: created, changed, read, associated.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate};
use serde_json::{json, Value};

use super::{error, Crm, Record};
use crate::reply::Reply;
use crate::request::Request;

/// Properties of a request: known names, texts as values, stages that exist.
fn properties(crm: &Crm, object: &str, given: &Value) -> Result<BTreeMap<String, String>, String> {
    let Some(map) = given.as_object() else { return Err("properties must be an object".into()) };
    let mut read = BTreeMap::new();
    for (name, value) in map {
        if name == "hs_object_id" || !crm.properties[object].contains_key(name) {
            return Err(format!("Property \"{name}\" does not exist or is read-only"));
        }
        match value {
            Value::String(text) => drop(read.insert(name.clone(), text.clone())),
            Value::Null => drop(read.insert(name.clone(), String::new())),
            _ => return Err(format!("Property \"{name}\" must be a string")),
        }
    }
    if let Some(amount) = read.get("amount").filter(|a| !a.is_empty()) {
        if amount.parse::<f64>().is_err() {
            return Err(format!("{amount} was not a valid number"));
        }
    }
    // A moment, as ISO 8601 or in milliseconds.
    if let Some(at) = read.get("closedate").filter(|at| !at.is_empty()) {
        let day = NaiveDate::parse_from_str(at, "%Y-%m-%d").is_ok();
        if !day && DateTime::parse_from_rfc3339(at).is_err() && at.parse::<i64>().is_err() {
            return Err(format!("{at} was not a valid date"));
        }
    }
    if let Some(stage) = read.get("dealstage").filter(|s| !s.is_empty()) {
        let known = crm.pipelines.as_array().into_iter().flatten().any(|p| {
            p["stages"].as_array().into_iter().flatten().any(|s| s["id"] == **stage)
                && read.get("pipeline").is_none_or(|id| p["id"] == **id)
        });
        if !known {
            return Err(format!("{stage} is not a valid deal stage of the pipeline"));
        }
    }
    if let Some(owner) = read.get("hubspot_owner_id").filter(|o| !o.is_empty()) {
        if !crm.owners.iter().any(|(id, _)| id == owner) {
            return Err(format!("Owner {owner} does not exist"));
        }
    }
    Ok(read)
}

/// A value that belongs to one record only is another's.
fn taken(crm: &Crm, object: &str, own: Option<&str>, given: &BTreeMap<String, String>) -> Option<String> {
    let unique = |name: &String| crm.properties[object].get(name) == Some(&true);
    given.iter().filter(|(name, value)| unique(name) && !value.is_empty()).find_map(|(name, value)| {
        let (id, _) = crm.records[object]
            .iter()
            .find(|(id, r)| Some(id.as_str()) != own && r.properties.get(name) == Some(value))?;
        Some(id.clone())
    })
}

fn shown(id: &str, record: &Record, wanted: Option<&[String]>) -> Value {
    let mut properties: BTreeMap<&str, Value> = BTreeMap::new();
    match wanted {
        // Missing ones are absent or null.
        Some(wanted) => {
            for name in wanted {
                let value = record.properties.get(name).filter(|v| !v.is_empty());
                properties.insert(name, value.map_or(Value::Null, |v| v.clone().into()));
            }
        }
        None => properties.extend(record.properties.iter().map(|(k, v)| (k.as_str(), json!(v)))),
    }
    properties.insert("hs_object_id", id.into());
    json!({"id": id, "properties": properties, "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z", "archived": false})
}

fn change(crm: &mut Crm, object: &str, id: &str, given: BTreeMap<String, String>) {
    crm.clock += 1;
    let clock = crm.clock;
    if let Some(record) = crm.records.get_mut(object).and_then(|all| all.get_mut(id)) {
        record.properties.extend(given);
        record.updated = clock;
    }
}

/// POST …/{type}
pub fn create(crm: &mut Crm, object: &str, body: &Value) -> Reply {
    let given = match properties(crm, object, &body["properties"]) {
        Ok(given) => given,
        Err(wrong) => return error(400, "VALIDATION_ERROR", &wrong),
    };
    if let Some(id) = taken(crm, object, None, &given) {
        return error(409, "CONFLICT", &format!("Record already exists. Existing ID: {id}"));
    }
    let id = crm.add(object, &[]);
    change(crm, object, &id, given);
    Reply::json(201, shown(&id, &crm.records[object][&id], None))
}

/// POST …/{type}/batch/upsert: the unique property stands in each input. What is wrong with one rejects all.
pub fn upsert(crm: &mut Crm, object: &str, body: &Value, half: bool) -> Reply {
    let Some(inputs) = body["inputs"].as_array() else {
        return error(400, "VALIDATION_ERROR", "inputs is required");
    };
    if inputs.len() > 100 || inputs.is_empty() {
        return error(
            400,
            "VALIDATION_ERROR",
            &format!("The maximum number of inputs is 100, found {}", inputs.len()),
        );
    }
    let mut seen = BTreeSet::new();
    let mut prepared = Vec::new();
    for input in inputs {
        let (Some(property), Some(key)) = (input["idProperty"].as_str(), input["id"].as_str()) else {
            return error(400, "VALIDATION_ERROR", "idProperty and id are required, as strings");
        };
        if !input["associations"].is_null() {
            return error(400, "VALIDATION_ERROR", "associations are not supported here");
        }
        if crm.properties[object].get(property) != Some(&true) || property == "email" {
            return error(400, "VALIDATION_ERROR", &format!("{property} cannot be used as idProperty here"));
        }
        if !seen.insert((property.to_owned(), key.to_owned())) {
            return error(400, "VALIDATION_ERROR", &format!("Duplicate inputs for {property} {key}"));
        }
        let mut given = match properties(crm, object, &input["properties"]) {
            Ok(given) => given,
            Err(wrong) => return error(400, "VALIDATION_ERROR", &format!("{key}: {wrong}")),
        };
        given.insert(property.to_owned(), key.to_owned());
        let own = crm.find(object, property, key).map(|(id, _)| id.clone());
        if let Some(id) = taken(crm, object, own.as_deref(), &given) {
            return error(
                409,
                "CONFLICT",
                &format!("{key}: another record has a value that must be unique. Existing ID: {id}"),
            );
        }
        prepared.push((own, given));
    }
    let all = prepared.len();
    let mut results = Vec::new();
    for (own, given) in prepared.into_iter().take(if half { all / 2 } else { all }) {
        let new = own.is_none();
        let id = own.unwrap_or_else(|| crm.add(object, &[]));
        change(crm, object, &id, given);
        let mut row = shown(&id, &crm.records[object][&id], None);
        row["new"] = new.into();
        results.push(row);
    }
    // Their order is not promised.
    results.reverse();
    Reply::json(200, json!({"status": "COMPLETE", "results": results}))
}

/// The properties that a body asks to be shown.
fn asked(body: &Value) -> Vec<String> {
    body["properties"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| p.as_str().map(str::to_owned))
        .collect()
}

/// POST …/{type}/batch/read: idProperty once, at the top.
pub fn read(crm: &Crm, object: &str, body: &Value) -> Reply {
    let Some(inputs) = body["inputs"].as_array().filter(|i| i.len() <= 100) else {
        return error(400, "VALIDATION_ERROR", "inputs is required, at most 100");
    };
    let wanted = asked(body);
    let property = body["idProperty"].as_str();
    if let Some(property) = property {
        if crm.properties[object].get(property) != Some(&true) {
            return error(400, "VALIDATION_ERROR", &format!("{property} is not a unique property"));
        }
    }
    let mut results = Vec::new();
    let mut missing = 0;
    for input in inputs {
        let Some(key) = input["id"].as_str() else {
            return error(400, "VALIDATION_ERROR", "id must be a string");
        };
        let found = match property {
            Some(property) => crm.find(object, property, key),
            None => crm.records[object].get_key_value(key),
        };
        match found {
            Some((id, record)) => results.push(shown(id, record, Some(&wanted))),
            None => missing += 1,
        }
    }
    let status = if missing > 0 { 207 } else { 200 };
    let mut answer = json!({"status": "COMPLETE", "results": results});
    if missing > 0 {
        answer["numErrors"] = missing.into();
        answer["errors"] = json!([{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects", "context": {}}]);
    }
    Reply::json(status, answer)
}

/// POST …/{type}/search: all filters of one group, of up to five groups with 18 filters together; 200 a page.
pub fn search(crm: &Crm, object: &str, body: &Value) -> Reply {
    let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
    let filters: Vec<Vec<Value>> =
        groups.iter().map(|g| g["filters"].as_array().cloned().unwrap_or_default()).collect();
    if filters.is_empty() || filters.len() > 5 || filters.iter().map(Vec::len).sum::<usize>() > 18 {
        return error(400, "VALIDATION_ERROR", "There must be 1 to 5 filterGroups with at most 18 filters");
    }
    let limit = body["limit"].as_u64().unwrap_or(10);
    if limit > 200 {
        return error(400, "VALIDATION_ERROR", "limit may not exceed 200");
    }
    // What the specification demands, in its types.
    let from = body["after"].as_str().and_then(|after| after.parse::<usize>().ok());
    let sorts = body["sorts"].as_array().filter(|sorts| sorts.iter().all(Value::is_string));
    let (Some(from), Some(_), Some(_)) = (from, sorts, body["properties"].as_array()) else {
        return error(400, "VALIDATION_ERROR", "after, sorts and properties are required");
    };
    if from + limit as usize > 10_000 {
        return error(400, "VALIDATION_ERROR", "The paging exceeds 10000 results");
    }
    for filter in filters.iter().flatten() {
        let name = filter["propertyName"].as_str().unwrap_or_default();
        if !crm.properties[object].contains_key(name) {
            return error(
                400,
                "VALIDATION_ERROR",
                &format!("There was a problem with the request: property {name} does not exist"),
            );
        }
        // Texts of an IN must be written small, or nothing is found; so the fake refuses others.
        let small = |v: &Value| v.as_str().is_some_and(|text| text == text.to_lowercase());
        if filter["operator"] != "IN" || !filter["values"].as_array().is_some_and(|v| v.iter().all(small)) {
            return error(400, "VALIDATION_ERROR", "only IN with texts written small is played here");
        }
    }
    let has = |record: &Record, filter: &Value| {
        let value = record.properties.get(filter["propertyName"].as_str().unwrap_or_default());
        let values = filter["values"].as_array().into_iter().flatten();
        value.is_some_and(|v| values.into_iter().any(|one| one.as_str() == Some(v.to_lowercase().as_str())))
    };
    let passes = |record: &Record| filters.iter().any(|group| group.iter().all(|filter| has(record, filter)));
    let wanted = asked(body);
    let found: Vec<Value> = crm.records[object]
        .iter()
        .filter(|(_, record)| passes(record))
        .map(|(id, record)| shown(id, record, Some(&wanted)))
        .collect();
    let total = found.len();
    let results: Vec<Value> = found.into_iter().skip(from).take(limit as usize).collect();
    let next = from + results.len();
    let mut page = json!({"total": total, "results": results});
    if next < total {
        page["paging"] = json!({"next": {"after": next.to_string()}});
    }
    Reply::json(200, page)
}

fn id_of(crm: &Crm, object: &str, id: &str, request: &Request) -> Result<String, Reply> {
    let missing = || error(404, "OBJECT_NOT_FOUND", "Object not found");
    match request.param("idProperty") {
        Some(property) if crm.properties[object].get(property) != Some(&true) => {
            Err(error(400, "VALIDATION_ERROR", &format!("{property} is not a unique property")))
        }
        Some(property) => crm.find(object, property, id).map(|(id, _)| id.clone()).ok_or_else(missing),
        None => crm.records[object].get_key_value(id).map(|(id, _)| id.clone()).ok_or_else(missing),
    }
}

/// GET …/{type}/{id}
pub fn one(crm: &Crm, object: &str, id: &str, request: &Request) -> Reply {
    let wanted: Vec<String> = request
        .param("properties")
        .unwrap_or_default()
        .split(',')
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
        .collect();
    match id_of(crm, object, id, request) {
        Ok(id) => Reply::json(200, shown(&id, &crm.records[object][&id], Some(&wanted))),
        Err(refused) => refused,
    }
}

/// GET …/{type}: a page of records; ten unless `limit` says, 100 at most.
pub fn all(crm: &Crm, object: &str, request: &Request) -> Reply {
    let limit = request.param("limit").and_then(|l| l.parse().ok()).unwrap_or(10).min(100);
    let rows = crm.records[object].iter().take(limit).map(|(id, record)| shown(id, record, None));
    Reply::json(200, json!({"results": rows.collect::<Vec<_>>()}))
}

/// PATCH …/{type}/{id}
pub fn update(crm: &mut Crm, object: &str, id: &str, request: &Request) -> Reply {
    let id = match id_of(crm, object, id, request) {
        Ok(id) => id,
        Err(refused) => return refused,
    };
    match properties(crm, object, &request.json()["properties"]) {
        Ok(given) => {
            if let Some(other) = taken(crm, object, Some(&id), &given) {
                return error(409, "CONFLICT", &format!("Existing ID: {other}"));
            }
            change(crm, object, &id, given);
            Reply::json(200, shown(&id, &crm.records[object][&id], None))
        }
        Err(wrong) => error(400, "VALIDATION_ERROR", &wrong),
    }
}

/// PUT …/{from}/{id}/associations/default/{to}/{other}: may be repeated.
pub fn associate(crm: &mut Crm, from: (&str, &str), to: (&str, &str)) -> Reply {
    let there = |(object, id): (&str, &str)| crm.records.get(object).is_some_and(|all| all.contains_key(id));
    if !there(from) || !there(to) {
        return error(404, "OBJECT_NOT_FOUND", "One of the records does not exist");
    }
    for (one, other) in [(from, to), (to, from)] {
        if let Some(record) = crm.records.get_mut(one.0).and_then(|all| all.get_mut(one.1)) {
            record.associated.insert((other.0.to_owned(), other.1.to_owned()));
        }
    }
    Reply::json(200, json!({"status": "COMPLETE", "results": []}))
}
