//! A tab in memory: what is there, what is to change, and the requests that change it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{json, Value as Json};

use super::cell::{entered, shows};
use crate::deliver::Failure;
use crate::google::{text, Header, Tab, Unfit};

/// What an action wants of a tab.
#[derive(Debug, Clone)]
pub enum Change {
    Upsert {
        key: Vec<String>,
        rows: Vec<BTreeMap<String, Json>>,
        add_columns: bool,
    },
    /// Rows with these values go, but for those whose key is among the kept.
    Delete {
        among: BTreeMap<String, Json>,
        keep: Option<(String, Vec<String>)>,
    },
    WriteBack {
        key: String,
        value: Json,
        set: BTreeMap<String, Json>,
        add_columns: bool,
    },
}

/// A tab's values; the first row is the header.
pub struct Grid {
    tab: Tab,
    rows: Vec<Vec<Json>>,
    /// So many rows were there when it was read.
    read: usize,
    changed: BTreeSet<(usize, usize)>,
    deleted: BTreeSet<usize>,
    /// Rows by their keys, for the key columns asked for so far.
    indexes: HashMap<Vec<usize>, HashMap<Vec<String>, usize>>,
}

impl Grid {
    /// With the values that were read.
    pub fn new(tab: Tab, rows: Vec<Vec<Json>>) -> Grid {
        let read = rows.len();
        Grid { tab, rows, read, changed: BTreeSet::new(), deleted: BTreeSet::new(), indexes: HashMap::new() }
    }

    /// Applies a change; its result.
    pub fn apply(&mut self, change: &Change) -> Result<Json, Failure> {
        match change {
            Change::Upsert { key, rows, add_columns } => self.upsert(key, rows, *add_columns),
            Change::Delete { among, keep } => self.delete(among, keep.as_ref()),
            Change::WriteBack { key, value, set, add_columns } => {
                let column = self.column(key, false)?;
                let Some(row) = self.find(&[column], &[text(value)]) else {
                    return Err(Failure::dead(format!(
                        "tab \"{}\" has no row whose \"{key}\" is {}",
                        self.tab.title,
                        text(value)
                    )));
                };
                let columns = self.columns(set.keys(), *add_columns)?;
                let changed = self.set(row, set, &columns);
                Ok(json!({"row": row + 1, "changed": changed}))
            }
        }
    }

    fn upsert(
        &mut self,
        key: &[String],
        rows: &[BTreeMap<String, Json>],
        add_columns: bool,
    ) -> Result<Json, Failure> {
        // Everything that can be wrong is found before anything changes.
        let key_columns: Vec<usize> =
            key.iter().map(|name| self.column(name, add_columns)).collect::<Result<_, _>>()?;
        let columns = self.columns(rows.iter().flat_map(|row| row.keys()), add_columns)?;
        let (mut created, mut changed, mut places) = (0, 0, Vec::new());
        for values in rows {
            let wanted: Vec<String> =
                key.iter().map(|name| text(values.get(name).unwrap_or(&Json::Null))).collect();
            match self.find(&key_columns, &wanted) {
                Some(row) => {
                    // The key stays as it stands there, be it a number or the text of one.
                    let mut others = values.clone();
                    others.retain(|name, _| !key.iter().any(|k| k == name.trim()));
                    changed += self.set(row, &others, &columns);
                    places.push(row + 1);
                }
                None => {
                    created += 1;
                    let row = self.add(&key_columns, wanted);
                    changed += self.set(row, values, &columns);
                    places.push(row + 1);
                }
            }
        }
        Ok(json!({"rows": places, "created": created, "changed": changed}))
    }

    fn delete(
        &mut self,
        among: &BTreeMap<String, Json>,
        keep: Option<&(String, Vec<String>)>,
    ) -> Result<Json, Failure> {
        let columns = self.columns(among.keys(), false)?;
        let keep =
            keep.map(|(name, keys)| Ok::<_, Failure>((self.column(name, false)?, keys))).transpose()?;
        let mut gone = 0;
        for row in 1..self.rows.len() {
            let matches =
                among.iter().all(|(name, value)| text(self.cell(row, columns[name])) == text(value));
            let kept =
                keep.as_ref().is_some_and(|(column, keys)| keys.contains(&text(self.cell(row, *column))));
            if matches && !kept && self.deleted.insert(row) {
                gone += 1;
            }
        }
        self.indexes.clear();
        Ok(json!({"deleted": gone}))
    }

    fn cell(&self, row: usize, column: usize) -> &Json {
        self.rows[row].get(column).unwrap_or(&Json::Null)
    }

    /// The column under a name of the header; added to the right of it when that is asked for.
    fn column(&mut self, name: &str, add: bool) -> Result<usize, Failure> {
        let header = Header::of(&self.tab.title, self.rows.first());
        match header.place(name) {
            Ok(place) => Ok(place),
            Err(Unfit::Missing { .. } | Unfit::Absent { .. }) if add => {
                let place = header.end();
                if self.rows.is_empty() {
                    self.rows.push(Vec::new());
                }
                self.put(0, place, Json::String(name.trim().to_owned()));
                Ok(place)
            }
            Err(unfit) => Err(Failure::dead(unfit.to_string())),
        }
    }

    fn columns<'a>(
        &mut self,
        names: impl Iterator<Item = &'a String>,
        add: bool,
    ) -> Result<BTreeMap<String, usize>, Failure> {
        names.map(|name| Ok((name.clone(), self.column(name, add)?))).collect()
    }

    /// The first row with this key.
    fn find(&mut self, columns: &[usize], wanted: &[String]) -> Option<usize> {
        if !self.indexes.contains_key(columns) {
            let mut index = HashMap::new();
            for row in 1..self.rows.len() {
                if !self.deleted.contains(&row) {
                    let key: Vec<String> = columns.iter().map(|c| text(self.cell(row, *c))).collect();
                    index.entry(key).or_insert(row);
                }
            }
            self.indexes.insert(columns.to_vec(), index);
        }
        self.indexes.get(columns)?.get(wanted).copied()
    }

    /// A new row below the last one.
    fn add(&mut self, columns: &[usize], key: Vec<String>) -> usize {
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        self.rows.push(Vec::new());
        let row = self.rows.len() - 1;
        if let Some(index) = self.indexes.get_mut(columns) {
            index.insert(key, row);
        }
        self.indexes.retain(|known, _| known == columns);
        row
    }

    /// Sets cells; null leaves one as it is. How many differed.
    fn set(
        &mut self,
        row: usize,
        values: &BTreeMap<String, Json>,
        columns: &BTreeMap<String, usize>,
    ) -> usize {
        let mut changed = 0;
        for (name, value) in values.iter().filter(|(_, value)| !value.is_null()) {
            let column = columns[name];
            if !shows(self.cell(row, column), value) {
                self.put(row, column, value.clone());
                changed += 1;
            }
        }
        changed
    }

    fn put(&mut self, row: usize, column: usize, value: Json) {
        let cells = &mut self.rows[row];
        if cells.len() <= column {
            cells.resize(column + 1, Json::Null);
        }
        cells[column] = value;
        self.changed.insert((row, column));
    }

    /// What changes the sheet: cells that are there, rows below, rows away from the bottom up.
    pub fn requests(&self) -> Vec<Json> {
        let id = self.tab.id;
        let mut requests = Vec::new();
        let width = self.changed.iter().map(|(_, column)| *column as i64 + 1).max().unwrap_or(0);
        if width > self.tab.columns {
            requests.push(json!({"appendDimension": {"sheetId": id, "dimension": "COLUMNS", "length": width - self.tab.columns}}));
        }
        let mut cells =
            self.changed.iter().filter(|(row, _)| *row < self.read && !self.deleted.contains(row)).peekable();
        while let Some((row, column)) = cells.next() {
            let mut run = vec![entered(self.cell(*row, *column))];
            while cells.peek().is_some_and(|(r, c)| r == row && *c == column + run.len()) {
                run.extend(cells.next().map(|(r, c)| entered(self.cell(*r, *c))));
            }
            requests.push(
                json!({"updateCells": {"start": {"sheetId": id, "rowIndex": row, "columnIndex": column},
                "rows": [{"values": run}], "fields": "userEnteredValue"}}),
            );
        }
        let added: Vec<Json> = (self.read..self.rows.len())
            .filter(|row| !self.deleted.contains(row))
            .map(|row| json!({"values": self.rows[row].iter().map(entered).collect::<Vec<_>>()}))
            .collect();
        if !added.is_empty() {
            // Below the last row that has anything, in a row of its own, whatever the table around it looks like.
            requests
                .push(json!({"appendCells": {"sheetId": id, "rows": added, "fields": "userEnteredValue"}}));
        }
        for row in self.deleted.iter().rev().filter(|row| **row < self.read) {
            let range = json!({"sheetId": id, "dimension": "ROWS", "startIndex": row, "endIndex": row + 1});
            requests.push(json!({"deleteDimension": {"range": range}}));
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: Json) -> Grid {
        let tab = Tab { id: 7, title: "Quotes".into(), columns: 26 };
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect();
        Grid::new(tab, rows)
    }

    fn upsert(rows: Json) -> Change {
        let rows = serde_json::from_value(rows).unwrap();
        Change::Upsert { key: vec!["id".into()], rows, add_columns: false }
    }

    #[test]
    fn rows_are_found_by_key_and_only_differences_are_written() {
        let mut grid = grid(json!([["note", "id", "total"], ["mine", 2, 5], ["", "1"]]));
        let result = grid
            .apply(&upsert(
                json!([{"id": 1, "total": "=1+1"}, {"id": "2", "total": 5.0}, {"id": 3, "total": true}]),
            ))
            .unwrap();
        assert_eq!(result, json!({"rows": [3, 2, 4], "created": 1, "changed": 3}));
        let requests = grid.requests();
        assert_eq!(
            requests[0]["updateCells"]["start"],
            json!({"sheetId": 7, "rowIndex": 2, "columnIndex": 2})
        );
        let text = json!(requests).to_string();
        assert!(text.contains(r#""stringValue":"=1+1""#), "a formula stays text: {text}");
        assert!(
            text.contains("appendCells") && !text.contains("\"mine\""),
            "people's cells are not touched: {text}"
        );
    }

    #[test]
    fn the_second_of_a_batch_sees_what_the_first_did() {
        let mut grid = grid(json!([["id", "n"]]));
        grid.apply(&upsert(json!([{"id": 1, "n": 1}]))).unwrap();
        let second = grid.apply(&upsert(json!([{"id": 1, "n": 2}]))).unwrap();
        assert_eq!((second["created"].clone(), second["rows"].clone()), (json!(0), json!([2])));
        let requests = grid.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0]["appendCells"]["rows"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn rows_go_but_for_the_kept() {
        let mut grid = grid(json!([["quote", "line"], [1, "a"], [1, "b"], [2, "a"], [1, "c"]]));
        let among = BTreeMap::from([("quote".to_owned(), json!("1"))]);
        let delete = Change::Delete { among, keep: Some(("line".into(), vec!["b".into()])) };
        assert_eq!(grid.apply(&delete).unwrap(), json!({"deleted": 2}));
        let starts: Vec<_> =
            grid.requests().iter().map(|r| r["deleteDimension"]["range"]["startIndex"].clone()).collect();
        assert_eq!(starts, [json!(4), json!(1)], "from the bottom up");
    }
}
