//! What is wrong in a project's files: where, what, how to mend it.

use std::fmt;

use serde::Serialize;
use tokio_postgres::error::{DbError, ErrorPosition};

/// A place in a file, with its line to point at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    #[serde(skip)]
    pub excerpt: String,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn at(place: Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place), message: message.into(), hint: None }
    }

    pub fn general(message: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// What the server said about something at this place.
    pub fn of_server(place: Place, error: &DbError) -> Problem {
        let mut message = format!("{} (SQLSTATE {})", error.message(), error.code().code());
        if let Some(detail) = error.detail() {
            message.push_str(&format!("\ndetail: {detail}"));
        }
        Problem { place: Some(place), message, hint: error.hint().map(str::to_owned) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}", self.message)?,
            Some(place) => {
                // What the message adds in further lines comes below the excerpt.
                let (first, more) = self
                    .message
                    .split_once('\n')
                    .map_or((self.message.as_str(), None), |(a, b)| (a, Some(b)));
                write!(f, "{place}: {first}")?;
                if !place.excerpt.trim().is_empty() {
                    let (line, column) = window(&place.excerpt, place.column);
                    let number = place.line.to_string();
                    // Tabs stay tabs, so that the caret is below its letter.
                    let indent: String =
                        line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                    write!(f, "\n {number} | {line}\n {:width$} | {indent}^", "", width = number.len())?;
                }
                if let Some(more) = more {
                    write!(f, "\n{more}")?;
                }
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// How much of a line is shown, in characters.
const WIDTH: usize = 110;

/// A line, or what of a long one is around its column.
fn window(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= WIDTH {
        return (line.to_owned(), column);
    }
    let from = column.saturating_sub(WIDTH / 2).min(length - WIDTH);
    let shown: String = line.chars().skip(from).take(WIDTH).collect();
    let (before, after) = (if from > 0 { "…" } else { "" }, if from + WIDTH < length { "…" } else { "" });
    (format!("{before}{shown}{after}"), column - from + before.chars().count())
}

/// All of them, for people.
pub fn list(problems: &[Problem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match all.len() {
        1 => all.concat(),
        n => format!("{n} problems in the project's files\n\n{}", all.join("\n\n")),
    }
}

/// Where in the text that was sent the server points to, in bytes; and, when it points into a text of its own (a rule's
/// condition), that text.
pub fn position(error: &DbError, sent: &str) -> (Option<usize>, Option<String>) {
    let byte = |text: &str, position: u32| {
        text.char_indices().nth((position as usize).saturating_sub(1)).map_or(text.len(), |(at, _)| at)
    };
    match error.position() {
        Some(ErrorPosition::Original(position)) => (Some(byte(sent, *position)), None),
        Some(ErrorPosition::Internal { position, query }) => {
            (Some(byte(query, *position)), Some(query.clone()))
        }
        None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_is_below_its_letter() {
        let place = Place { file: "rules/a.sql".into(), line: 12, column: 3, excerpt: "\tä frm x".into() };
        let text = Problem::at(place, "syntax error").hint("write from").to_string();
        assert_eq!(text, "rules/a.sql:12:3: syntax error\n 12 | \tä frm x\n    | \t ^\nhint: write from");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_column_is_shown() {
        let line = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let (shown, column) = window(&line, 301);
        assert_eq!(shown.chars().nth(column - 1), Some('X'));
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.chars().count() == WIDTH + 2);
    }
}
