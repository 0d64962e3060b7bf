//! `/_fake/…`: what people do with a spreadsheet, over HTTP, for the demo and for people with curl.
//!
//! | call | does |
//! |---|---|
//! | `GET /_fake/spreadsheets/demo/Quotes` | the cells of a tab, as they see them |
//! | `PUT /_fake/spreadsheets/demo/Quotes [[…], …]` | makes a tab of a spreadsheet that is shared with the service account, or replaces its cells |
//! | `POST /_fake/spreadsheets/demo/Quotes […]` | writes a row below the last one |

use serde_json::{json, Value};

use super::State;
use crate::reply::Reply;
use crate::request::Request;

/// Answers a request below `/_fake`.
pub(super) fn answer(state: &mut State, request: &Request, path: &[&str]) -> Reply {
    let (["spreadsheets", id, title], body) = (path, request.json()) else {
        return Reply::json(404, json!({"error": "there is no such control"}));
    };
    let made = request.method == "PUT";
    if made {
        state.spreadsheets.entry((*id).to_owned()).or_default().shared = true;
    }
    let Some(spreadsheet) = state.spreadsheets.get_mut(*id) else {
        return Reply::json(404, json!({"error": "there is no such spreadsheet"}));
    };
    if made && !spreadsheet.tabs.iter().any(|tab| tab.title == *title) {
        spreadsheet.add(title, json!([]));
    }
    spreadsheet.version += u64::from(request.method != "GET");
    let Some(tab) = spreadsheet.tabs.iter_mut().find(|tab| tab.title == *title) else {
        return Reply::json(404, json!({"error": "there is no such tab"}));
    };
    match (request.method.as_str(), &body) {
        ("GET", _) => Reply::json(200, json!(tab.cells)),
        ("PUT", Value::Array(rows)) if rows.iter().all(Value::is_array) => {
            tab.cells = rows.iter().filter_map(|row| row.as_array().cloned()).collect();
            Reply::empty(204)
        }
        ("POST", Value::Array(row)) => {
            let below = tab.used();
            for (column, value) in row.iter().enumerate() {
                tab.put(below, column, value.clone());
            }
            Reply::empty(204)
        }
        _ => Reply::json(422, json!({"error": "cells are a list of rows, a row is a list of values"})),
    }
}
