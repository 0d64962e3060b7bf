//! Tables that fit the terminal.

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column is never made narrower than this.
const NARROWEST: usize = 8;

/// Rows under headings.
pub struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Headings; one that begins with `>` stands over numbers, which are aligned to the right.
    pub fn new(heads: &[&'static str]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// As text for this terminal.
    pub fn text(&self) -> String {
        self.fitted(width())
    }

    fn fitted(&self, width: Option<usize>) -> String {
        let heads: Vec<String> = self.heads.iter().map(|h| h.trim_start_matches('>').to_owned()).collect();
        let mut widths: Vec<usize> = (0..heads.len())
            .map(|i| {
                let cells = self.rows.iter().map(|row| row.get(i).map_or(0, |cell| cell.width()));
                cells.max().unwrap_or(0).max(heads[i].width())
            })
            .collect();
        let mut over = (widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1))
            .saturating_sub(width.unwrap_or(usize::MAX));
        while over > 0 {
            let Some(widest) = widths.iter_mut().max().filter(|w| **w > NARROWEST) else { break };
            *widest -= 1;
            over -= 1;
        }
        let line = |cells: &[String]| {
            let mut text = String::new();
            for (i, cell) in cells.iter().enumerate() {
                let cell = shortened(cell, widths[i]);
                let gap = " ".repeat(widths[i] - cell.width());
                match self.heads[i].starts_with('>') {
                    true => text.push_str(&format!("{gap}{cell}  ")),
                    false => text.push_str(&format!("{cell}{gap}  ")),
                }
            }
            text.truncate(text.trim_end().len());
            text
        };
        std::iter::once(&heads).chain(&self.rows).map(|cells| line(cells)).collect::<Vec<_>>().join("\n")
    }
}

/// The terminal's width: none when standard output is no terminal and COLUMNS is not set.
fn width() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    set.or_else(|| std::io::stdout().is_terminal().then(of_terminal).flatten())
}

/// One line without control characters: what comes from elsewhere must not steer the terminal.
pub fn printable(text: &str) -> String {
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[">ID", "RULE", "ERROR"]);
        table.row(["7".into(), "big_quote".into(), "the server\nsaid \u{1b}[31mno".into()]);
        table.row(["1234".into(), "x".into(), String::new()]);
        table
    }

    #[test]
    fn cells_are_aligned_and_cannot_steer_the_terminal() {
        let expected = "  ID  RULE       ERROR\n   7  big_quote  the server said \u{fffd}[31mno\n1234  x";
        assert_eq!(table().fitted(None), expected);
    }

    #[test]
    fn the_widest_column_is_shortened_to_fit() {
        let expected = "  ID  RULE       ERROR\n   7  big_quote  the server s…\n1234  x";
        assert_eq!(table().fitted(Some(30)), expected);
        assert!(table().fitted(Some(3)).lines().all(|line| line.width() <= 4 + 2 * (2 + NARROWEST)));
    }
}
