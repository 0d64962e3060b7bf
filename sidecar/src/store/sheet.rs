//! Rows of spreadsheets.

use serde_json::{Map, Value};

use super::entity::Parts;
use super::record::Record;
use super::scalar::{text, Expected};

/// Reads a row as the sync of sheets hands it over: `{spreadsheet, tab, key, row, cells: {heading: value}, values: […]}`.
/// Cells stay what they are: a text that looks like a formula is a text.
pub fn read(sheet_row: &mut Record<'_>) -> Parts {
    let number = sheet_row.key(&["row"]);
    let mut row = Map::new();
    sheet_row.set(&mut row, "spreadsheet_id", &["spreadsheet"], text);
    sheet_row.set(&mut row, "tab", &["tab"], text);
    sheet_row.set(&mut row, "row_key", &["key"], text);
    sheet_row.set(&mut row, "cells", &["cells"], |cells| match cells {
        Value::Object(_) => Ok(cells.clone()),
        _ => Err(Expected {
            what: "the cells by their headings".into(),
            mend: "send {\"heading\": value}".into(),
        }),
    });
    sheet_row.known(&["values"]);
    let number = number?;
    row.insert("row_number".into(), number.into());
    Some((number, row, None))
}
