//! `spreadsheets.batchUpdate`: all of its requests, or none.

use serde_json::{json, Value};

use super::{error, Spreadsheet, Tab};
use crate::reply::Reply;

/// The most characters of a cell.
const LONGEST: usize = 50_000;

/// GET /v4/spreadsheets/{id}
pub fn properties(id: &str, spreadsheet: &Spreadsheet) -> Reply {
    let sheet = |(index, tab): (usize, &Tab)| {
        json!({"properties": {"sheetId": tab.id, "title": tab.title, "index": index, "sheetType": "GRID",
            "gridProperties": {"rowCount": tab.rows, "columnCount": tab.columns}}})
    };
    let sheets: Vec<Value> = spreadsheet.tabs.iter().enumerate().map(sheet).collect();
    Reply::json(200, json!({"spreadsheetId": id, "sheets": sheets}))
}

/// POST /v4/spreadsheets/{id}:batchUpdate
pub fn update(id: &str, spreadsheet: &mut Spreadsheet, body: &Value) -> Reply {
    let Some(requests) = body["requests"].as_array().filter(|r| !r.is_empty()) else {
        return error(400, "INVALID_ARGUMENT", "Must specify at least one request.");
    };
    let before = spreadsheet.clone();
    let mut replies = Vec::new();
    for (place, request) in requests.iter().enumerate() {
        match apply(spreadsheet, request) {
            Ok(reply) => replies.push(reply),
            Err(what) => {
                *spreadsheet = before;
                return error(400, "INVALID_ARGUMENT", &format!("Invalid requests[{place}]: {what}"));
            }
        }
    }
    spreadsheet.version += 1;
    Reply::json(200, json!({"spreadsheetId": id, "replies": replies}))
}

fn apply(spreadsheet: &mut Spreadsheet, request: &Value) -> Result<Value, String> {
    let Some((name, what)) = request.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next())
    else {
        return Err("exactly one kind of request is expected".into());
    };
    match name.as_str() {
        "addSheet" => {
            let title = what["properties"]["title"].as_str().unwrap_or("Sheet").to_owned();
            if spreadsheet.tabs.iter().any(|t| t.title == title) {
                return Err(format!("addSheet: A sheet with the name \"{title}\" already exists."));
            }
            let id = spreadsheet.add(&title, json!([]));
            Ok(json!({"addSheet": {"properties": {"sheetId": id, "title": title}}}))
        }
        "updateCells" => {
            let start = &what["start"];
            let tab = tab(spreadsheet, &start["sheetId"])?;
            let at = (index(&start["rowIndex"])?, index(&start["columnIndex"])?);
            write(tab, at, what)?;
            Ok(json!({}))
        }
        "appendCells" => {
            let tab = tab(spreadsheet, &what["sheetId"])?;
            let at = tab.used();
            let count = what["rows"].as_array().map_or(0, Vec::len);
            tab.rows = tab.rows.max(at + count);
            write(tab, (at, 0), what)?;
            Ok(json!({}))
        }
        "appendDimension" => {
            let tab = tab(spreadsheet, &what["sheetId"])?;
            let length = what["length"].as_u64().ok_or("length is required")? as usize;
            match what["dimension"].as_str() {
                Some("ROWS") => tab.rows += length,
                Some("COLUMNS") => tab.columns += length,
                _ => return Err("dimension is required".into()),
            }
            Ok(json!({}))
        }
        "deleteDimension" => {
            let range = &what["range"];
            let tab = tab(spreadsheet, &range["sheetId"])?;
            if range["dimension"] != "ROWS" {
                return Err("the fake deletes rows only".into());
            }
            let (from, to) = (index(&range["startIndex"])?, index(&range["endIndex"])?);
            if from >= to || to > tab.rows {
                return Err("deleteDimension: out of bounds".into());
            }
            let (from_there, to_there) = (from.min(tab.cells.len()), to.min(tab.cells.len()));
            tab.cells.drain(from_there..to_there);
            tab.rows -= to - from;
            Ok(json!({}))
        }
        other => Err(format!("the fake does not know {other}")),
    }
}

fn tab<'a>(spreadsheet: &'a mut Spreadsheet, id: &Value) -> Result<&'a mut Tab, String> {
    let wanted = id.as_i64().ok_or("sheetId is required")?;
    spreadsheet.tabs.iter_mut().find(|t| t.id == wanted).ok_or_else(|| format!("No grid with id: {wanted}"))
}

fn index(value: &Value) -> Result<usize, String> {
    value.as_u64().map(|n| n as usize).ok_or_else(|| "an index is required".to_owned())
}

fn write(tab: &mut Tab, at: (usize, usize), what: &Value) -> Result<(), String> {
    if what["fields"] != "userEnteredValue" {
        return Err("fields must be listed; the fake knows userEnteredValue".into());
    }
    for (r, row) in what["rows"].as_array().ok_or("rows are required")?.iter().enumerate() {
        for (c, cell) in row["values"].as_array().into_iter().flatten().enumerate() {
            let (r, c) = (at.0 + r, at.1 + c);
            if r >= tab.rows || c >= tab.columns {
                return Err(format!(
                    "Attempting to write column: {c}, beyond the grid's {} columns",
                    tab.columns
                ));
            }
            let value = &cell["userEnteredValue"];
            let entered = match value.as_object() {
                None => Value::Null,
                Some(one) if one.len() == 1 => match one.iter().next() {
                    Some((key, v)) if key == "stringValue" && v.is_string() => v.clone(),
                    Some((key, v)) if key == "numberValue" && v.is_number() => v.clone(),
                    Some((key, v)) if key == "boolValue" && v.is_boolean() => v.clone(),
                    Some((key, v)) if key == "formulaValue" && v.is_string() => json!({"formula": v}),
                    _ => return Err(format!("Invalid value at 'userEnteredValue': {value}")),
                },
                Some(_) => return Err("userEnteredValue is one value".into()),
            };
            if entered.as_str().is_some_and(|text| text.chars().count() > LONGEST) {
                return Err(
                    "Your input contains more than the maximum of 50000 characters in a single cell.".into(),
                );
            }
            tab.put(r, c, entered);
        }
    }
    Ok(())
}
