//! Values: read, updated, appended.
//!
//! The traps of the real `append`: without `insertDataOption=INSERT_ROWS` it overwrites what stands below the table it found,
//! which is the block of rows around the range, up to the first empty one. Neither it nor anything else knows a repeat.

use serde_json::{json, Value};

use super::range::{self, Range};
use super::{empty, error, Spreadsheet, Tab};
use crate::reply::Reply;
use crate::request::Request;

fn parsed(spreadsheet: &Spreadsheet, text: &str) -> Result<(usize, Range), Reply> {
    range::parse(spreadsheet, text)
        .ok_or_else(|| error(400, "INVALID_ARGUMENT", &format!("Unable to parse range: {text}")))
}

/// The values of a range; empty ends are left out.
fn read(tab: &Tab, range: &Range) -> Vec<Vec<Value>> {
    let rows = range.rows.1.unwrap_or(tab.rows).min(tab.cells.len());
    let mut values: Vec<Vec<Value>> = (range.rows.0..rows.max(range.rows.0))
        .map(|row| {
            let width = tab.cells[row].len();
            let end = range.columns.1.unwrap_or(width).min(width);
            let mut cells: Vec<Value> = (range.columns.0..end.max(range.columns.0))
                .map(|column| match tab.cell(row, column) {
                    Value::Null => json!(""),
                    // What a formula shows.
                    Value::Object(_) => json!("#FORMULA"),
                    other => other,
                })
                .collect();
            while cells.last().is_some_and(empty) {
                cells.pop();
            }
            cells
        })
        .collect();
    while values.last().is_some_and(Vec::is_empty) {
        values.pop();
    }
    values
}

fn shown(tab: &Tab, range: &Range) -> Value {
    let values = read(tab, range);
    let rows = (range.rows.0, range.rows.1.unwrap_or(tab.rows));
    let columns = (range.columns.0, range.columns.1.unwrap_or(tab.columns));
    let mut body = json!({"range": range::shown(tab, rows, columns), "majorDimension": "ROWS"});
    if !values.is_empty() {
        body["values"] = json!(values);
    }
    body
}

/// GET …/values/{range}
pub fn get(spreadsheet: &Spreadsheet, text: &str) -> Reply {
    match parsed(spreadsheet, text) {
        Ok((place, range)) => Reply::json(200, shown(&spreadsheet.tabs[place], &range)),
        Err(refused) => refused,
    }
}

/// GET …/values:batchGet?ranges=…
pub fn batch_get(id: &str, spreadsheet: &Spreadsheet, request: &Request) -> Reply {
    let mut ranges = Vec::new();
    for (_, text) in request.query.iter().filter(|(key, _)| key == "ranges") {
        match parsed(spreadsheet, text) {
            Ok((place, range)) => ranges.push(shown(&spreadsheet.tabs[place], &range)),
            Err(refused) => return refused,
        }
    }
    Reply::json(200, json!({"spreadsheetId": id, "valueRanges": ranges}))
}

/// How values are understood: as they are, or as if typed in, which runs formulas and loses leading zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Raw,
    Typed,
}

fn input(option: Option<&str>) -> Result<Input, Reply> {
    match option {
        Some("RAW") => Ok(Input::Raw),
        Some("USER_ENTERED") => Ok(Input::Typed),
        _ => Err(error(400, "INVALID_ARGUMENT", "'valueInputOption' is required but not specified")),
    }
}

fn entered(value: &Value, input: Input) -> Value {
    match value {
        Value::String(text) if input == Input::Typed => {
            if text.starts_with('=') || text.starts_with('+') {
                return json!({"formula": text});
            }
            text.parse::<f64>().map_or_else(|_| value.clone(), |number| json!(number))
        }
        other => other.clone(),
    }
}

fn write(tab: &mut Tab, at: (usize, usize), values: &Value, input: Input) -> Result<usize, Reply> {
    let Some(rows) = values.as_array() else {
        return Err(error(400, "INVALID_ARGUMENT", "Invalid value at 'data.values'"));
    };
    let mut cells = 0;
    for (r, row) in rows.iter().enumerate() {
        let Some(row) = row.as_array() else {
            return Err(error(400, "INVALID_ARGUMENT", "Invalid values: a row must be a list"));
        };
        for (c, value) in row.iter().enumerate() {
            let (r, c) = (at.0 + r, at.1 + c);
            if r >= tab.rows || c >= tab.columns {
                let message = format!(
                    "Range ({}) exceeds grid limits. Max rows: {}, max columns: {}",
                    tab.title, tab.rows, tab.columns
                );
                return Err(error(400, "INVALID_ARGUMENT", &message));
            }
            if value.is_object() || value.is_array() {
                return Err(error(400, "INVALID_ARGUMENT", "Invalid values: a cell must be a scalar"));
            }
            // Null leaves a cell as it is.
            if !value.is_null() {
                tab.put(r, c, entered(value, input));
                cells += 1;
            }
        }
    }
    Ok(cells)
}

/// PUT …/values/{range}?valueInputOption=
pub fn update(spreadsheet: &mut Spreadsheet, text: &str, request: &Request) -> Reply {
    let done = input(request.param("valueInputOption")).and_then(|input| {
        let (place, range) = parsed(spreadsheet, text)?;
        let tab = &mut spreadsheet.tabs[place];
        write(tab, (range.rows.0, range.columns.0), &request.json()["values"], input)
    });
    match done {
        Ok(cells) => {
            spreadsheet.version += 1;
            Reply::json(200, json!({"updatedRange": text, "updatedCells": cells}))
        }
        Err(refused) => refused,
    }
}

/// POST …/values:batchUpdate
pub fn batch_update(id: &str, spreadsheet: &mut Spreadsheet, request: &Request) -> Reply {
    let body = request.json();
    let before = spreadsheet.tabs.clone();
    let done = input(body["valueInputOption"].as_str()).and_then(|input| {
        let mut cells = 0;
        for data in body["data"].as_array().into_iter().flatten() {
            let (place, range) = parsed(spreadsheet, data["range"].as_str().unwrap_or_default())?;
            cells +=
                write(&mut spreadsheet.tabs[place], (range.rows.0, range.columns.0), &data["values"], input)?;
        }
        Ok(cells)
    });
    match done {
        Ok(cells) => {
            spreadsheet.version += 1;
            Reply::json(200, json!({"spreadsheetId": id, "totalUpdatedCells": cells}))
        }
        Err(refused) => {
            spreadsheet.tabs = before;
            refused
        }
    }
}

/// POST …/values/{range}:append
pub fn append(spreadsheet: &mut Spreadsheet, text: &str, request: &Request) -> Reply {
    let done = input(request.param("valueInputOption")).and_then(|input| {
        let (place, range) = parsed(spreadsheet, text)?;
        let tab = &mut spreadsheet.tabs[place];
        let filled = |tab: &Tab, row: usize| tab.cells.get(row).is_some_and(|r| r.iter().any(|c| !empty(c)));
        let mut end = range.rows.0;
        while filled(tab, end) {
            end += 1;
        }
        let values = request.json()["values"].clone();
        let count = values.as_array().map_or(0, Vec::len);
        if request.param("insertDataOption") == Some("INSERT_ROWS") {
            for _ in 0..count {
                let at = end.min(tab.cells.len());
                tab.cells.insert(at, Vec::new());
                tab.rows += 1;
            }
        }
        while tab.rows < end + count {
            tab.rows += 1;
        }
        let cells = write(tab, (end, range.columns.0), &values, input)?;
        Ok(json!({"tableRange": text, "updates": {"updatedRange": range::shown(tab, (end, end + count), (range.columns.0, range.columns.0 + 1)), "updatedRows": count, "updatedCells": cells}}))
    });
    match done {
        Ok(body) => {
            spreadsheet.version += 1;
            Reply::json(200, body)
        }
        Err(refused) => refused,
    }
}
