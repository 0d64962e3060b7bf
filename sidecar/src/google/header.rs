//! The first row of a tab: it names the columns. People move columns, so a column is known by its name and by nothing else.

use serde_json::Value as Json;

use crate::bigcommerce::value::decimal;

/// The names of a tab's columns.
#[derive(Debug)]
pub struct Header<'a> {
    tab: &'a str,
    names: Vec<String>,
}

/// Why a column cannot be told by its name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("tab \"{tab}\" has no header: its first row must name the columns")]
    Missing { tab: String },
    #[error("tab \"{tab}\" has no column \"{name}\"; it has {known}")]
    Absent { tab: String, name: String, known: String },
    #[error("tab \"{tab}\" has the column \"{name}\" more than once ({places}): rename one")]
    Twice { tab: String, name: String, places: String },
}

impl<'a> Header<'a> {
    /// The header of a tab whose first row this is; none: the tab is empty.
    pub fn of(tab: &'a str, first_row: Option<&Vec<Json>>) -> Header<'a> {
        Header { tab, names: first_row.into_iter().flatten().map(text).collect() }
    }

    /// Where a column is, from 0.
    pub fn place(&self, name: &str) -> Result<usize, Unfit> {
        let name = name.trim();
        let places: Vec<usize> = (0..self.names.len()).filter(|place| self.names[*place] == name).collect();
        let tab = self.tab.to_owned();
        match places.as_slice() {
            _ if self.is_empty() => Err(Unfit::Missing { tab }),
            [one] => Ok(*one),
            [] => {
                let known: Vec<&str> = self.columns().map(|(_, name)| name).collect();
                Err(Unfit::Absent { tab, name: name.to_owned(), known: known.join(", ") })
            }
            several => {
                let places: Vec<String> = several.iter().map(|place| letters(*place)).collect();
                Err(Unfit::Twice { tab, name: name.to_owned(), places: places.join(", ") })
            }
        }
    }

    /// Whether every column can be told by its name.
    pub fn check(&self) -> Result<(), Unfit> {
        self.columns().try_for_each(|(_, name)| self.place(name).map(|_| ()))
    }

    /// The columns that have a name.
    pub fn columns(&self) -> impl Iterator<Item = (usize, &str)> {
        self.names.iter().map(String::as_str).enumerate().filter(|(_, name)| !name.is_empty())
    }

    /// Where a column would be added.
    pub fn end(&self) -> usize {
        self.columns().last().map_or(0, |(place, _)| place + 1)
    }

    fn is_empty(&self) -> bool {
        self.columns().next().is_none()
    }
}

/// A cell as keys compare it: numbers without the zeros behind them.
pub fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.trim().to_owned(),
        Json::Number(_) => decimal(value).map_or_else(|| value.to_string(), |d| d.normalize().to_string()),
        other => other.to_string(),
    }
}

/// A column's letters: A, B, … Z, AA.
fn letters(mut column: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, (b'A' + (column % 26) as u8) as char);
        if column < 26 {
            return name;
        }
        column = column / 26 - 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_are_checked() {
        let row = |row: Json| row.as_array().unwrap().clone();
        let error = |first: Json, name: &str| {
            Header::of("Quotes", Some(&row(first))).place(name).unwrap_err().to_string()
        };
        assert!(Header::of("Quotes", None).place("id").unwrap_err().to_string().contains("no header"));
        assert!(error(json!(["", ""]), "id").contains("no header"));
        assert!(error(json!(["id", "x", "id"]), "id").contains("more than once (A, C)"));
        assert!(error(json!(["id", "total"]), "sum").contains("it has id, total"));
        let first = row(json!([" id ", "", 2026, "x", ""]));
        let header = Header::of("Quotes", Some(&first));
        assert_eq!((header.place("id"), header.place("2026"), header.end()), (Ok(0), Ok(2), 4));
        assert_eq!(header.check(), Ok(()));
        let first = row(json!(["a", "b", "b"]));
        assert!(matches!(Header::of("Quotes", Some(&first)).check(), Err(Unfit::Twice { .. })));
    }

    #[test]
    fn columns_have_letters() {
        assert_eq!(
            (letters(0), letters(25), letters(26), letters(701)),
            ("A".into(), "Z".into(), "AA".into(), "ZZ".into())
        );
    }
}
