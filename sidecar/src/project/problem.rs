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
                write!(f, "{place}: {}", self.message)?;
                if !place.excerpt.trim().is_empty() {
                    let number = place.line.to_string();
                    // Tabs stay tabs, so that the caret is below its letter.
                    let before = place.excerpt.chars().take(place.column - 1);
                    let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                    write!(f, "\n {number} | {}\n {:width$} | {indent}^", place.excerpt, "", width = number.len())?;
                }
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
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
        Some(ErrorPosition::Internal { position, query }) => (Some(byte(query, *position)), Some(query.clone())),
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
}
