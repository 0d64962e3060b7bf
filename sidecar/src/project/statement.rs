//! The statements of a rule file, and which of them a file may hold.
//!
//! A project's files say what there shall be; so each statement must be one that can be repeated, and that makes something of
//! the project's. The server's own parser reads them (`tradeflow._statements`).

use serde_json::Value as Json;
use tokio_postgres::Transaction;

use super::problem::{position, Place, Problem};
use super::source::File;
use super::table::DEFINITIONS;
use super::Error;

/// One allowed statement of a file.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Bytes of the file, from its first word on.
    pub at: usize,
    pub end: usize,
    pub what: What,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Rows of a table of definitions, or of a decision table: `schema.name`.
    Rows(Insert),
    /// `create or replace view …`, …: a kind of object and its name.
    Object { kind: &'static str, name: String },
    /// Watches a table, comments, grants, adds a column: repeatable, and nothing to be named.
    Other,
}

/// An insert, to be sent elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// None: the project's schema.
    pub schema: Option<String>,
    pub table: String,
    /// Where the table's name begins and ends, in bytes of the file.
    pub name_at: usize,
    pub name_end: usize,
    pub aliased: bool,
    /// A row that is there stays as it is.
    pub seed: bool,
}

const REPEATABLE: &str = "a rule file says what there shall be, so that it can be applied again: insert into tradeflow.rules, actions, … or a decision table … on conflict …; create or replace view, function; create table, index if not exists; \
alter table … add column if not exists; comment; grant; select tradeflow.watch(…)";

/// Reads a file; what is not allowed becomes problems.
pub async fn read(
    transaction: &Transaction<'_>,
    file: &File,
    schema: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Statement>, Error> {
    let row = transaction.query_one("select tradeflow._statements($1)::jsonb", &[&file.text]).await?;
    let said: Json = row.try_get(0)?;
    if let Some(error) = said.get("error") {
        let at = error["position"].as_u64().unwrap_or(0) as usize;
        let at = file.text.char_indices().nth(at.saturating_sub(1)).map_or(file.text.len(), |(at, _)| at);
        let mut problem = Problem::at(file.place(at), error["message"].as_str().unwrap_or("syntax error"));
        problem.hint = error["hint"].as_str().map(str::to_owned);
        problems.push(problem);
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for about in said["statements"].as_array().into_iter().flatten() {
        let (at, end) = (offset(about, "at"), offset(about, "end"));
        let at = first_word(&file.text, at);
        match judge(about, file, schema) {
            Ok(what) => all.push(Statement { at, end, what }),
            Err((message, hint)) => {
                let problem = Problem::at(file.place(at), message);
                problems.push(Problem { hint, ..problem });
            }
        }
    }
    Ok(all)
}

/// What a statement is, or why it is not allowed and, where the reason does not say it, what to write instead.
fn judge(about: &Json, file: &File, schema: &str) -> Result<What, (String, Option<String>)> {
    let text = |key: &str| about.get(key).and_then(Json::as_str).map(str::to_owned);
    let yes = |key: &str| about.get(key) == Some(&Json::Bool(true));
    let tag = text("tag").unwrap_or_default();
    let ours = |given: &Option<String>| given.as_deref().is_none_or(|given| given == schema);
    let command = tag.to_lowercase();
    let refuse = |why: &str| (format!("{command} is not allowed here: {why}"), None);
    let (in_schema, name) = (text("schema"), text("name").unwrap_or_default());
    let elsewhere = || {
        refuse(&format!(
            "it is about schema {}, and the project's is {schema}",
            in_schema.as_deref().unwrap_or("?")
        ))
    };
    match tag.as_str() {
        "INSERT" => {
            let definitions = in_schema.as_deref() == Some("tradeflow");
            if definitions && !DEFINITIONS.iter().any(|d| d.name == name) {
                let all: Vec<&str> = DEFINITIONS.iter().map(|d| d.name).collect();
                return Err((
                    format!("insert into tradeflow.{name} is not allowed here: it is no definition"),
                    Some(format!("definitions are in tradeflow.{}", all.join(", "))),
                ));
            } else if !definitions && !ours(&in_schema) {
                return Err(elsewhere());
            } else if yes("writes_elsewhere") {
                return Err(refuse("a part of its WITH writes"));
            }
            let seed = match text("conflict").as_deref() {
                Some("nothing") => true,
                Some(_) => false,
                None => {
                    return Err((
                        "insert without on conflict: it could not be applied twice".into(),
                        Some("add `on conflict (…) do update set …`; or `do nothing`, then what the database has stays as it is".into()),
                    ))
                }
            };
            let name_at = offset(about, "table_at");
            let name_end = name_end(&file.text, name_at);
            Ok(What::Rows(Insert { schema: in_schema, table: name, name_at, name_end, aliased: yes("aliased"), seed }))
        }
        "CREATE VIEW" | "CREATE FUNCTION" => {
            let kind = if tag == "CREATE VIEW" { "view" } else { "function" };
            if !ours(&in_schema) || yes("temporary") {
                Err(elsewhere())
            } else if !yes("replace") {
                Err(refuse(&format!("write create or replace {kind}, so that it can be applied again")))
            } else {
                Ok(What::Object { kind, name })
            }
        }
        "CREATE TABLE" | "CREATE INDEX" | "ALTER TABLE" => {
            if !ours(&in_schema) || yes("temporary") {
                Err(elsewhere())
            } else if !yes("if_not_exists") && tag == "ALTER TABLE" {
                Err(refuse("of its forms only `add column if not exists` and defaults"))
            } else if !yes("if_not_exists") {
                Err(refuse(&format!("write {command} if not exists, so that it can be applied again")))
            } else if tag == "CREATE TABLE" {
                Ok(What::Object { kind: "table", name })
            } else {
                Ok(What::Other)
            }
        }
        "CREATE SCHEMA" if in_schema.as_deref() == Some(schema) && yes("if_not_exists") => Ok(What::Other),
        "COMMENT" if ours(&in_schema) => Ok(What::Other),
        "GRANT" => {
            let schemas = about["schemas"].as_array();
            let all = schemas.is_some_and(|s| s.iter().all(|s| s.is_null() || s.as_str() == Some(schema)));
            if all { Ok(What::Other) } else { Err(refuse("it is about something outside of the project's schema")) }
        }
        "SELECT" => {
            let calls = about["calls"].as_array();
            let watches = calls.is_some_and(|c| {
                !c.is_empty() && c.iter().all(|c| c["schema"] == "tradeflow" && c["name"] == "watch")
            });
            if watches { Ok(What::Other) } else { Err(refuse("of all calls only select tradeflow.watch(…)")) }
        }
        "COMMENT" => Err(elsewhere()),
        "DELETE" | "UPDATE" | "TRUNCATE TABLE" | "MERGE" | "DROP TABLE" | "DROP VIEW" | "DROP FUNCTION" => Err((
            format!("{command} is not allowed here"),
            Some("change or take away what the file says; `tradeflow apply --prune` then removes what no file says any more".into()),
        )),
        _ => Err((format!("{command} is none of the statements a rule file may hold"), Some(REPEATABLE.to_owned()))),
    }
}

fn offset(about: &Json, key: &str) -> usize {
    about[key].as_u64().unwrap_or(0) as usize
}

/// The first byte from here on that is neither space nor comment.
fn first_word(text: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("--") {
            at += trimmed.find('\n').map_or(trimmed.len(), |n| n + 1);
        } else if trimmed.starts_with("/*") {
            at += block_comment(trimmed);
        } else {
            return at;
        }
    }
}

/// The length of a comment, with those it holds.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Where a table's name ends: `tradeflow.rules`, `"tradeflow" . rules`.
fn name_end(text: &str, at: usize) -> usize {
    let mut end = at + identifier(&text[at..]);
    loop {
        let dot = end + (text[end..].len() - text[end..].trim_start().len());
        if !text[dot..].starts_with('.') {
            return end;
        }
        let next = dot + 1 + (text[dot + 1..].len() - text[dot + 1..].trim_start().len());
        end = next + identifier(&text[next..]);
    }
}

fn identifier(text: &str) -> usize {
    if !text.starts_with('"') {
        return text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
    }
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Runs a statement's text; an error becomes a problem at its place in the file. `moved` says how the text that is sent
/// differs from the file's: from this byte of it on, so many bytes were put in.
pub async fn run(
    transaction: &Transaction<'_>,
    file: &File,
    statement: &Statement,
    sent: &str,
    moved: (usize, isize),
) -> Result<(), Error> {
    let Err(error) = transaction.batch_execute(sent).await else { return Ok(()) };
    let Some(server) = error.as_db_error() else { return Err(error.into()) };
    let place = match position(server, sent) {
        (Some(at), None) => {
            let back = if at >= moved.0 { at as isize - moved.1 } else { at as isize };
            file.place(statement.at + back.max(0) as usize)
        }
        (Some(at), Some(inner)) => place_within(file, statement.at, statement.end, &inner, at),
        _ => file.place(statement.at),
    };
    Err(Error::Problems(vec![Problem::of_server(place, server)]))
}

/// The place of a byte of a text that stands somewhere in a file (a condition), or the beginning of where it is looked for.
pub fn place_within(file: &File, from: usize, to: usize, text: &str, at: usize) -> Place {
    let region = &file.text[from..to];
    let quoted = text.replace('\'', "''");
    match (region.find(text), region.find(&quoted)) {
        (Some(found), _) => file.place(from + found + at),
        // Each quote before it is written twice in the file.
        (None, Some(found)) => {
            file.place(from + found + at + text[..at.min(text.len())].matches('\'').count())
        }
        (None, None) => {
            let mut place = file.place(from);
            let begin = text[..at.min(text.len())].rfind('\n').map_or(0, |n| n + 1);
            place.excerpt = text[begin..].lines().next().unwrap_or_default().to_owned();
            place.column = 1 + text[begin..at.min(text.len())].chars().count();
            place
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(text: &str) -> File {
        File { name: "rules/a.sql".into(), text: text.into() }
    }

    #[test]
    fn comments_before_a_statement_are_not_its_place() {
        let text = " -- why\n/* a /* nested */ one */\n  insert";
        assert_eq!(&text[first_word(text, 0)..], "insert");
    }

    #[test]
    fn a_name_ends_after_its_last_part() {
        for (text, length) in
            [("tradeflow.rules (", 15), ("\"a\"\"b\" . c x", 10), ("rules as r", 5), ("x", 1)]
        {
            assert_eq!(name_end(text, 0), length, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_repeated_is_refused() {
        let say = |about: Json| judge(&about, &file("insert into x"), "rules").map_err(|(why, _)| why);
        assert!(say(json!({"tag": "INSERT", "schema": "tradeflow", "name": "rules", "conflict": "update", "table_at": 12})).is_ok());
        for about in [
            json!({"tag": "INSERT", "schema": "tradeflow", "name": "rules", "conflict": null, "table_at": 12}),
            json!({"tag": "INSERT", "schema": "tradeflow", "name": "outbox", "conflict": "update", "table_at": 12}),
            json!({"tag": "INSERT", "schema": "store", "name": "quotes", "conflict": "update", "table_at": 12}),
            json!({"tag": "INSERT", "schema": "tradeflow", "name": "rules", "conflict": "update", "writes_elsewhere": true, "table_at": 12}),
            json!({"tag": "CREATE VIEW", "name": "v", "replace": false}),
            json!({"tag": "CREATE VIEW", "schema": "store", "name": "v", "replace": true}),
            json!({"tag": "CREATE TABLE", "name": "t", "if_not_exists": false}),
            json!({"tag": "SELECT", "calls": null}),
            json!({"tag": "SELECT", "calls": [{"schema": "tradeflow", "name": "unwatch"}]}),
            json!({"tag": "GRANT", "schemas": ["store"]}),
            json!({"tag": "DO"}),
            json!({"tag": "DROP TABLE"}),
        ] {
            assert!(say(about.clone()).is_err(), "{about}");
        }
    }
}
