//! Rows of spreadsheets that people edit: a tab is read whole when its file has changed, which one question to Drive tells.
//!
//! A row is known by its key column, so people may sort, insert and move rows and columns. Rows that are gone are deleted.
//! What is wrong with a sheet (no header, a column twice, a key twice) is its own matter: people are told, nothing of it is
//! deleted, and the other sheets go on. A sheet is read for the first time in silence, whenever it is added.

use std::collections::HashMap;

use serde_json::{json, Map, Value};
use tracing::{info, warn};

use super::fetch::Batch;
use super::run::{silence, Env};
use super::state::{self, State};
use super::write::Writing;
use super::{sweep, Error};
use crate::api::{self, Clients};
use crate::config::{Config, FirstLoad, Sheet};
use crate::google::{range, text, Google, Header};
use crate::secret::Secrets;
use crate::store::record::Problem;
use crate::store::{Kind, Origin};
use crate::tls;

/// Rows written between two looks at the progress.
const CHUNK: usize = 1000;

/// The sheets that the configuration names, and the account that reads them.
pub struct Source {
    google: Google,
    sheets: Vec<Sheet>,
}

/// A tab's rows as they are stored.
#[derive(Debug, Default)]
struct Rows {
    payloads: Vec<Value>,
    /// All keys that the sheet has, also of rows that are not stored.
    keys: Vec<String>,
    /// What is wrong with single rows.
    problems: Vec<Problem>,
}

impl Source {
    /// Reads the account's key.
    pub fn new(config: &Config) -> Result<Source, Error> {
        let settings = &config.sheets;
        if settings.synced.is_empty() {
            return Err(Error::NoSheets);
        }
        let wrong = |key: &'static str| move |problem: String| Error::Sheets { key, problem };
        let key = Secrets::new(&config.secrets).read(&settings.account)?;
        let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref());
        let tls = roots.and_then(tls::client_config).map_err(|e| wrong("base_url")(e.to_string()))?;
        let clients = Clients::new(tls).map_err(|e| wrong("base_url")(e.to_string()))?;
        // The address is the operator's own, wherever it leads.
        let client = clients.of(true).clone();
        let google = Google::new(&settings.base_url, &key, client, settings.timeout, true);
        Ok(Source { google: google.map_err(wrong("account"))?, sheets: settings.synced.clone() })
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> u64 {
        self.google.requests()
    }

    /// The sheets, each with what keeps it from being synced.
    pub async fn check(&self) -> Result<Vec<(&Sheet, Option<String>)>, Error> {
        let mut all = Vec::new();
        for sheet in &self.sheets {
            let problem = match self.values(sheet, "1:1").await? {
                Ok(values) => header(sheet, &values).err(),
                Err(problem) => Some(problem),
            };
            all.push((
                sheet,
                problem.map(|p| format!("{} expected, found {}: {}", p.expected, p.found, p.mend)),
            ));
        }
        Ok(all)
    }

    /// The values of a tab, or what is wrong with it alone.
    async fn values(&self, sheet: &Sheet, part: &str) -> Result<Result<Vec<Vec<Value>>, Problem>, Error> {
        let refused = match self.google.values(&sheet.spreadsheet, &range(&sheet.tab, part)).await {
            Ok(values) => return Ok(Ok(values)),
            Err(error) => error,
        };
        let (expected, mend) = match refused.kind {
            api::Kind::Refused(400) => (
                format!("a tab \"{}\"", sheet.tab),
                "write the tab's name as it stands in the spreadsheet".to_owned(),
            ),
            api::Kind::Refused(403 | 404) => (
                "a spreadsheet that may be read".to_owned(),
                format!(
                    "share the spreadsheet with {}, or mend its id in sheets.synced",
                    self.google.email()
                ),
            ),
            _ => return Err(refused.into()),
        };
        Ok(Err(Problem { pointer: String::new(), expected, found: refused.message, mend }))
    }

    /// The file's version. `None`: the account may not ask Drive, so the sheet is read each time.
    async fn version(&self, spreadsheet: &str) -> Result<Option<String>, Error> {
        match self.google.version(spreadsheet).await {
            Ok(version) => Ok(Some(version).filter(|version| !version.is_empty())),
            Err(api::Error { kind: api::Kind::Refused(_), message, .. }) => {
                info!(
                    spreadsheet,
                    message, "Drive does not tell whether the file changed; the sheet is read"
                );
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads the sheets whose files have changed.
pub(super) async fn read(
    source: &Source,
    env: &Env,
    state: &State,
    mut writing: Writing<'_>,
) -> Result<(), Error> {
    let mut versions: HashMap<&str, Option<String>> = HashMap::new();
    let mut silent = writing.outcome.silent;
    for sheet in &source.sheets {
        // Asked for before the values: what changes in between is read again.
        let version = match versions.get(sheet.spreadsheet.as_str()) {
            Some(version) => version.clone(),
            None => source.version(&sheet.spreadsheet).await?,
        };
        versions.insert(&sheet.spreadsheet, version.clone());
        let place = sheet.to_string();
        let known = state.position.get(&place);
        let whole = writing.sweep || writing.options.since.is_some();
        if !whole && version.is_some() && known.and_then(Value::as_str) == version.as_deref() {
            continue;
        }
        let rows = source.values(sheet, "").await?.and_then(|values| rows(sheet, &values));
        let rows = match rows {
            Ok(rows) => rows,
            Err(problem) => {
                writing.refuse(origin(sheet), problem).await?;
                continue;
            }
        };
        let first = known.is_none() && env.first_load == FirstLoad::Silent;
        let be_silent = writing.options.silent.unwrap_or(first);
        match (be_silent, silent) {
            (true, false) => silence(writing.writer.client()).await?,
            (false, true) => writing.writer.client().batch_execute("reset tradeflow.mode").await?,
            _ => {}
        }
        silent = be_silent;
        writing.outcome.silent |= be_silent;
        write(&mut writing, env, sheet, rows).await?;
        if writing.counts() {
            let position = json!({ place: version });
            state::advance(writing.writer.client(), writing.resource, None, Some(&position)).await?;
        }
    }
    Ok(())
}

async fn write(writing: &mut Writing<'_>, env: &Env, sheet: &Sheet, rows: Rows) -> Result<(), Error> {
    let Rows { mut payloads, keys, problems } = rows;
    let total = payloads.len() as u64;
    while !payloads.is_empty() {
        let rest = payloads.split_off(payloads.len().min(CHUNK));
        let batch = Batch {
            rows: payloads.into_iter().map(|payload| (Kind::SheetRows, payload)).collect(),
            origin: origin(sheet).file.into(),
            total: Some(writing.bar.position() + total),
            ..Batch::default()
        };
        writing.write(batch).await?;
        payloads = rest;
    }
    for problem in problems {
        writing.refuse(origin(sheet), problem).await?;
    }
    let client = writing.writer.client();
    let among: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&sheet.spreadsheet, &sheet.tab, &keys];
    let row = client.query_one(include_str!("sql/gone_sheet_rows.sql"), &among).await?;
    let (missing, all): (i64, i64) = (row.try_get("missing")?, row.try_get("all")?);
    let of = format!("sheet {}/{}", sheet.spreadsheet, sheet.tab);
    if missing > 0 && !sweep::hold(client, writing.resource, &of, missing, all, env.sweep_max_deleted).await?
    {
        writing.outcome.deleted += client.execute(include_str!("sql/delete_sheet_rows.sql"), &among).await?;
    }
    Ok(())
}

fn origin(sheet: &Sheet) -> Origin {
    let file = format!("/v4/spreadsheets/{}/values/{}", sheet.spreadsheet, range(&sheet.tab, ""));
    Origin { file, line: None, pointer: String::new() }
}

/// The header and the place of the key column.
fn header<'a>(sheet: &'a Sheet, values: &'a [Vec<Value>]) -> Result<(Header<'a>, usize), Problem> {
    let header = Header::of(&sheet.tab, values.first());
    let place = header.check().and_then(|()| header.place(&sheet.key));
    match place {
        Ok(place) => Ok((header, place)),
        Err(unfit) => Err(Problem {
            pointer: "/0".to_owned(),
            expected: format!("a first row that names each column once, \"{}\" among them", sheet.key),
            found: unfit.to_string(),
            mend: "mend the first row of the sheet, or the key column in sheets.synced".to_owned(),
        }),
    }
}

/// The rows of a tab by their keys. Cells that are empty, and cells under no heading, are left out.
fn rows(sheet: &Sheet, values: &[Vec<Value>]) -> Result<Rows, Problem> {
    let (header, key_place) = header(sheet, values)?;
    let columns: Vec<(usize, &str)> = header.columns().collect();
    let mut rows = Rows::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, values) in values.iter().enumerate().skip(1) {
        let number = place + 1;
        let cells: Map<String, Value> = columns
            .iter()
            .filter_map(|(column, name)| Some(((*name).to_owned(), values.get(*column)?.clone())))
            .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
            .collect();
        let key = values.get(key_place).map(text).unwrap_or_default();
        if key.is_empty() {
            // Perhaps it is being written: its change comes with its key.
            if !cells.is_empty() {
                warn!(sheet = %sheet, row = number, "a row without a key is not stored");
            }
            continue;
        }
        if let Some(first) = places.get(&key) {
            rows.problems.push(Problem {
                pointer: format!("/{place}"),
                expected: format!("one row for each \"{}\"", sheet.key),
                found: format!("\"{key}\" in rows {first} and {number}"),
                mend: format!("give row {number} a key of its own; row {first} is stored"),
            });
            continue;
        }
        places.insert(key.clone(), number);
        rows.keys.push(key.clone());
        rows.payloads
            .push(json!({"spreadsheet": sheet.spreadsheet, "tab": sheet.tab, "key": key, "row": number,
            "cells": cells, "values": values}));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: Value) -> Result<Rows, Problem> {
        let sheet = Sheet { spreadsheet: "s1".into(), tab: "Companies".into(), key: "Email".into() };
        let values: Vec<Vec<Value>> = serde_json::from_value(values).unwrap();
        rows(&sheet, &values)
    }

    #[test]
    fn rows_are_objects_by_heading() {
        let found = read(json!([
            ["Name", "", " Email ", "Since"],
            ["=HYPERLINK(\"x\")", "no heading", "a@b.c", 45000.5],
            ["", "", "d@e.f"],
            ["half written"],
            []
        ]))
        .unwrap();
        assert_eq!(found.keys, ["a@b.c", "d@e.f"]);
        assert_eq!(
            found.payloads[0]["cells"],
            json!({"Name": "=HYPERLINK(\"x\")", "Email": "a@b.c", "Since": 45000.5})
        );
        assert_eq!(
            (&found.payloads[1]["cells"], &found.payloads[1]["row"]),
            (&json!({"Email": "d@e.f"}), &json!(3))
        );
    }

    #[test]
    fn a_key_twice_is_stored_once_and_told() {
        let found = read(json!([["Email", "n"], ["x", 1], ["y", 2], ["x", 3]])).unwrap();
        assert_eq!(found.keys, ["x", "y"]);
        assert_eq!(found.problems[0].found, "\"x\" in rows 2 and 4");
    }

    #[test]
    fn a_sheet_without_its_columns_has_no_rows() {
        for (values, said) in [
            (json!([]), "no header"),
            (json!([["", ""], ["x", "y"]]), "no header"),
            (json!([["Name"], ["x"]]), "no column \"Email\"; it has Name"),
            (json!([["Email", "n", "n"]]), "\"n\" more than once (B, C)"),
        ] {
            let problem = read(values).unwrap_err();
            assert!(problem.found.contains(said), "{said}: {problem:?}");
        }
    }
}
