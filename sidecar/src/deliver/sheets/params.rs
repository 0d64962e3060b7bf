//! Parameters of the kinds `sheets.*`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::grid::Change;
use super::Place;
use crate::deliver::params::{read, Filled, Flag};
use crate::deliver::Failure;
use crate::google::text;

/// A kind's parameters.
pub trait Read: Send + Sync + 'static {
    /// Where, and what.
    fn read(params: &Json) -> Result<(Place, Change), Failure>;
}

type Row = BTreeMap<String, Json>;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn all(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

fn names(given: Json) -> Result<Vec<String>, Failure> {
    let list = match given {
        Json::Array(list) => list,
        one => vec![one],
    };
    let names: Vec<String> = list.iter().filter_map(|n| n.as_str()).map(|n| n.trim().to_owned()).collect();
    match names.is_empty() || names.iter().any(String::is_empty) || names.len() != list.len() {
        true => Err(Failure::dead("params.key: the name of a column, or a list of them")),
        false => Ok(names),
    }
}

/// `sheets.upsert_rows`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsert {
    spreadsheet: Filled,
    sheet: Filled,
    key: Json,
    rows: OneOrMany<Row>,
    add_columns: Option<Flag>,
    create: Option<Flag>,
}

impl Read for Upsert {
    fn read(params: &Json) -> Result<(Place, Change), Failure> {
        let params: Upsert = read(params)?;
        let key = names(params.key)?;
        let rows = params.rows.all();
        for (place, row) in rows.iter().enumerate() {
            if let Some(name) = key.iter().find(|name| row.get(*name).is_none_or(|v| text(v).is_empty())) {
                return Err(Failure::dead(format!(
                    "params.rows[{place}]: it has no value for the key column \"{name}\""
                )));
            }
        }
        let create = params.create.is_some_and(|flag| flag.0);
        let place = Place { spreadsheet: params.spreadsheet.0, tab: params.sheet.0, create };
        let add_columns = create || params.add_columns.is_some_and(|flag| flag.0);
        Ok((place, Change::Upsert { key, rows, add_columns }))
    }
}

/// `sheets.delete_rows`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    spreadsheet: Filled,
    sheet: Filled,
    #[serde(rename = "where")]
    among: Row,
    key: Option<Filled>,
    keep: Option<Vec<Json>>,
}

impl Read for Delete {
    fn read(params: &Json) -> Result<(Place, Change), Failure> {
        let params: Delete = read(params)?;
        // An empty fact must not become "all rows whose cell is empty".
        let empty = params.among.iter().find(|(_, value)| text(value).is_empty());
        if params.among.is_empty() || empty.is_some() {
            return Err(Failure::dead("params.where: names of columns, each with a value that is not empty"));
        }
        if params.key.is_some() != params.keep.is_some() {
            return Err(Failure::dead(
                "params: key and keep belong together: rows whose key is in keep stay",
            ));
        }
        let keep = params.keep.map(|list| list.iter().map(text).collect());
        let place = Place { spreadsheet: params.spreadsheet.0, tab: params.sheet.0, create: false };
        Ok((place, Change::Delete { among: params.among, keep: params.key.map(|k| k.0).zip(keep) }))
    }
}

/// `sheets.write_back`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteBack {
    spreadsheet: Filled,
    sheet: Filled,
    key: Filled,
    value: Json,
    set: Row,
    add_columns: Option<Flag>,
}

impl Read for WriteBack {
    fn read(params: &Json) -> Result<(Place, Change), Failure> {
        let params: WriteBack = read(params)?;
        if text(&params.value).is_empty() {
            return Err(Failure::dead("params.value: it is empty; which row is meant?"));
        }
        let place = Place { spreadsheet: params.spreadsheet.0, tab: params.sheet.0, create: false };
        let add_columns = params.add_columns.is_some_and(|flag| flag.0);
        Ok((
            place,
            Change::WriteBack { key: params.key.0, value: params.value, set: params.set, add_columns },
        ))
    }
}
