//! Ranges as people write them: `Tab`, `'Bob''s tab'!A1:C3`, `Tab!1:1`, `Tab!A:C`.

use super::{Spreadsheet, Tab};

/// Rows and columns from 0; the ends are exclusive, none is the grid's.
#[derive(Debug, PartialEq, Eq)]
pub struct Range {
    pub rows: (usize, Option<usize>),
    pub columns: (usize, Option<usize>),
}

/// The tab's place and the range; none when it cannot be parsed.
pub fn parse(spreadsheet: &Spreadsheet, text: &str) -> Option<(usize, Range)> {
    let (tab, part) = match text.rsplit_once('!') {
        Some((tab, part)) => (tab, part),
        None if spreadsheet.tabs.iter().any(|t| t.title == unquoted(text)) => (text, ""),
        None => (spreadsheet.tabs.first()?.title.as_str(), text),
    };
    let place = spreadsheet.tabs.iter().position(|t| t.title == unquoted(tab))?;
    if part.is_empty() {
        return Some((place, Range { rows: (0, None), columns: (0, None) }));
    }
    let (from, to) = part.split_once(':').unwrap_or((part, part));
    let ((row_from, column_from), (row_to, column_to)) = (cell(from)?, cell(to)?);
    Some((
        place,
        Range {
            rows: (row_from.unwrap_or(0), row_to.map(|r| r + 1)),
            columns: (column_from.unwrap_or(0), column_to.map(|c| c + 1)),
        },
    ))
}

fn unquoted(tab: &str) -> String {
    match tab.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'"),
        None => tab.to_owned(),
    }
}

/// `B3`, `B` or `3`.
fn cell(text: &str) -> Option<(Option<usize>, Option<usize>)> {
    let text = text.replace('$', "");
    let split = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (letters, digits) = text.split_at(split);
    let mut column = None;
    for letter in letters.chars() {
        let value = letter.to_ascii_uppercase() as usize;
        if !(65..91).contains(&value) {
            return None;
        }
        column = Some(column.map_or(0, |c: usize| (c + 1) * 26) + value - 65);
    }
    let row = match digits {
        "" => None,
        digits => Some(digits.parse::<usize>().ok()?.checked_sub(1)?),
    };
    (row.is_some() || column.is_some()).then_some((row, column))
}

/// A column's letters.
pub fn letters(mut column: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, (b'A' + (column % 26) as u8) as char);
        if column < 26 {
            return name;
        }
        column = column / 26 - 1;
    }
}

/// The range as Google writes it back.
pub fn shown(tab: &Tab, rows: (usize, usize), columns: (usize, usize)) -> String {
    let end = format!("{}{}", letters(columns.1.max(1) - 1), rows.1);
    format!("'{}'!{}{}:{end}", tab.title.replace('\'', "''"), letters(columns.0), rows.0 + 1)
}
