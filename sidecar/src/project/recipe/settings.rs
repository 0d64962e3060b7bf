//! Settings as rule files write them: a row a line, with a comment that says what the value must be.
//!
//! ```sql
//! insert into tradeflow.settings (name, value, description) values
//!   ('reminder_days', '7,3,1', 'How many days before its expiry a quote is reminded of'),   -- integers
//!   ('max_discount', '20', 'From this percentage on …')                                     -- numeric 0..100
//! on conflict (name) do update set value = excluded.value, description = excluded.description;
//! ```
//! The comment is checked here, when a recipe is added and at plan; a line without one is not.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::project::problem::Problem;
use crate::project::source::File;

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub description: String,
    #[serde(rename = "type", serialize_with = "as_written")]
    pub kind: Kind,
    /// Where the value stands in the file, in bytes.
    #[serde(skip)]
    at: usize,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Text,
    Numeric(Option<(Decimal, Decimal)>),
    Integer(Option<(Decimal, Decimal)>),
    /// With commas.
    Integers,
    Boolean,
    Email,
    Url,
    TimeZone,
    /// Postgres' own, in whole units: 3 days.
    Interval,
    Json,
    OneOf(Vec<String>),
    /// There is no comment, or none that is known.
    Unknown,
}

impl Kind {
    fn of(comment: &str) -> Kind {
        let comment = comment.trim();
        let (word, rest) = comment.split_once(' ').unwrap_or((comment, ""));
        let range = || {
            let (from, to) = rest.trim().split_once("..")?;
            Some((Decimal::from_str(from).ok()?, Decimal::from_str(to).ok()?))
        };
        match word {
            "text" => Kind::Text,
            "numeric" => Kind::Numeric(range()),
            "integer" => Kind::Integer(range()),
            "integers" => Kind::Integers,
            "boolean" => Kind::Boolean,
            "email" => Kind::Email,
            "url" => Kind::Url,
            "time" if rest.starts_with("zone") => Kind::TimeZone,
            "interval" => Kind::Interval,
            "json" => Kind::Json,
            "one" if rest.starts_with("of ") => {
                Kind::OneOf(rest[3..].split(',').map(|w| w.trim().to_owned()).collect())
            }
            _ => Kind::Unknown,
        }
    }

    fn name(&self) -> String {
        let within =
            |range: &Option<(Decimal, Decimal)>| range.map(|(a, b)| format!(" {a}..{b}")).unwrap_or_default();
        match self {
            Kind::Text => "text".into(),
            Kind::Numeric(range) => format!("numeric{}", within(range)),
            Kind::Integer(range) => format!("integer{}", within(range)),
            Kind::Integers => "integers".into(),
            Kind::Boolean => "boolean".into(),
            Kind::Email => "email".into(),
            Kind::Url => "url".into(),
            Kind::TimeZone => "time zone".into(),
            Kind::Interval => "interval".into(),
            Kind::Json => "json".into(),
            Kind::OneOf(all) => format!("one of {}", all.join(", ")),
            Kind::Unknown => "unknown".into(),
        }
    }
}

fn as_written<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&kind.name())
}

impl Setting {
    /// What is wrong with a value; none: nothing.
    pub fn problem(&self, value: &str) -> Option<String> {
        let number = Decimal::from_str_exact(value.trim()).ok();
        let within = |range: &Option<(Decimal, Decimal)>| {
            let (number, (from, to)) = (number?, (*range)?);
            (number < from || number > to).then(|| format!("{number} is not between {from} and {to}"))
        };
        let wrong =
            |what: &str, example: &str| Some(format!("\"{value}\" is no {what} (one looks like {example})"));
        match &self.kind {
            Kind::Numeric(range) => {
                if number.is_none() {
                    wrong("number", "20 or 0.5")
                } else {
                    within(range)
                }
            }
            Kind::Integer(range) => match number.filter(|n| n.is_integer()) {
                None => wrong("whole number", "7"),
                Some(_) => within(range),
            },
            Kind::Integers => {
                let all = value.split(',').all(|n| n.trim().parse::<i64>().is_ok());
                if all {
                    None
                } else {
                    wrong("list of whole numbers", "7,3,1")
                }
            }
            Kind::Boolean => {
                let known =
                    ["true", "false", "on", "off", "yes", "no"].contains(&value.to_lowercase().as_str());
                if known {
                    None
                } else {
                    wrong("truth value", "true or false")
                }
            }
            Kind::Email => lettre::Address::from_str(value.trim())
                .err()
                .and_then(|_| wrong("mail address", "owner@example.com")),
            Kind::Url => url::Url::parse(value).err().and_then(|_| wrong("URL", "https://shop.example.com")),
            Kind::TimeZone => {
                chrono_tz::Tz::from_str(value).err().and_then(|_| wrong("time zone", "Europe/Berlin"))
            }
            Kind::Interval => {
                let words: Vec<&str> = value.split_whitespace().collect();
                let unit = |w: &str| {
                    ["second", "minute", "hour", "day", "week", "month", "year"]
                        .contains(&w.trim_end_matches('s'))
                };
                let pairs = !words.is_empty()
                    && words.chunks(2).all(|p| p.len() == 2 && p[0].parse::<i64>().is_ok() && unit(p[1]));
                if pairs {
                    None
                } else {
                    wrong("duration", "3 days or 12 hours")
                }
            }
            Kind::Json => {
                serde_json::from_str::<serde_json::Value>(value).err().map(|e| format!("it is no JSON: {e}"))
            }
            Kind::OneOf(all) => (!all.iter().any(|one| one == value))
                .then(|| format!("\"{value}\" is none of {}", all.join(", "))),
            Kind::Text | Kind::Unknown => None,
        }
    }
}

/// Where the settings of a file stand: from `insert into tradeflow.settings` to its semicolon.
fn statement(text: &str) -> Option<(usize, usize)> {
    let begin = text.find("insert into tradeflow.settings")?;
    let lines = text[begin..].split_inclusive('\n');
    let mut end = begin;
    for line in lines {
        end += line.len();
        // The rows' texts may hold one, and then the line does not end with it.
        if line.trim_end().ends_with(';') {
            break;
        }
    }
    Some((begin, end))
}

/// One row of the statement: `('name', 'value', 'description'),  -- type`.
fn row(line: &str, at: usize) -> Option<Setting> {
    let open = line.find('(').filter(|open| line[..*open].trim().is_empty())?;
    let mut rest = open + 1;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let quote = rest + line[rest..].find('\'')?;
        if !line[rest..quote].trim().trim_start_matches(',').trim().is_empty() {
            return None;
        }
        let mut text = String::new();
        let mut chars = line[quote + 1..].char_indices().peekable();
        let end = loop {
            match chars.next()? {
                (_, '\'') if chars.peek().is_some_and(|(_, c)| *c == '\'') => {
                    chars.next();
                    text.push('\'');
                }
                (n, '\'') => break quote + 1 + n,
                (_, c) => text.push(c),
            }
        };
        texts.push((text, quote));
        rest = end + 1;
    }
    let comment = line[rest..].split_once("--").map_or("", |(_, comment)| comment);
    let [(name, _), (value, value_at), (description, _)] = <[_; 3]>::try_from(texts).ok()?;
    Some(Setting { name, value, description, kind: Kind::of(comment), at: at + value_at })
}

/// The settings of a file, as far as they are written a row a line.
pub fn of(file: &File) -> Vec<Setting> {
    let Some((begin, end)) = statement(&file.text) else { return Vec::new() };
    let mut at = begin;
    let mut all = Vec::new();
    for line in file.text[begin..end].split_inclusive('\n') {
        all.extend(row(line, at));
        at += line.len();
    }
    all
}

/// Values that are not what their comment says.
pub fn check(file: &File) -> Vec<Problem> {
    let wrong = of(file)
        .into_iter()
        .filter_map(|s| Some((s.at, s.name.clone(), s.problem(&s.value)?, s.kind.name())));
    wrong
        .map(|(at, name, problem, kind)| {
            Problem::at(file.place(at), format!("setting \"{name}\": {problem}"))
                .hint(format!("its line says that it is {kind}"))
        })
        .collect()
}

/// The text with these values, and without the rows of these names.
pub fn rewrite(text: &str, set: &[(String, String)], leave_out: &[String]) -> String {
    let Some((begin, end)) = statement(text) else { return text.to_owned() };
    let lines: Vec<&str> = text[begin..end].split_inclusive('\n').collect();
    let is_row: Vec<Option<Setting>> = lines.iter().map(|line| row(line, 0)).collect();
    let kept: Vec<usize> = (0..lines.len())
        .filter(|n| is_row[*n].as_ref().is_some_and(|s| !leave_out.contains(&s.name)))
        .collect();
    if kept.is_empty() {
        // What remains of the paragraph is its end.
        return format!("{}{}", &text[..begin], text[end..].trim_start_matches('\n'));
    }
    let mut new = text[..begin].to_owned();
    for (n, line) in lines.iter().enumerate() {
        let Some(setting) = &is_row[n] else {
            new.push_str(line);
            continue;
        };
        if !kept.contains(&n) {
            continue;
        }
        let value =
            set.iter().find(|(key, _)| *key == setting.name).map_or(&setting.value, |(_, value)| value);
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let comma = if kept.last() == Some(&n) { "" } else { "," };
        let row = format!(
            "  ({}, {}, {}){comma}",
            quoted(&setting.name),
            quoted(value),
            quoted(&setting.description)
        );
        let comment = line.rsplit_once("--").map(|(_, c)| format!("-- {}", c.trim())).unwrap_or_default();
        new.push_str(format!("{row:108}{comment}").trim_end());
        new.push('\n');
    }
    new + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- x\ninsert into tradeflow.settings (name, value, description) values\n  ('days', '7,3', 'It''s when; then'),  -- integers\n  ('who', 'buyer', 'Who')  -- one of buyer, rep\non conflict (name) do update set value = excluded.value;\n\nselect 1;\n";

    fn file(text: &str) -> File {
        File { name: "rules/a.sql".into(), text: text.into() }
    }

    #[test]
    fn rows_are_read_with_their_types() {
        let all = of(&file(TEXT));
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].name.as_str(), all[0].value.as_str(), all[0].description.as_str()),
            ("days", "7,3", "It's when; then")
        );
        assert_eq!(all[1].kind, Kind::OneOf(vec!["buyer".into(), "rep".into()]));
    }

    #[test]
    fn values_and_rows_are_replaced() {
        let new = rewrite(TEXT, &[("who".into(), "rep".into())], &["days".into()]);
        let all = of(&file(&new));
        assert_eq!(
            all.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect::<Vec<_>>(),
            [("who", "rep")]
        );
        assert!(new.contains("'Who')") && !new.contains("'Who'),"), "{new}");
        assert_eq!(rewrite(TEXT, &[], &["days".into(), "who".into()]), "-- x\nselect 1;\n");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_found_with_its_place() {
        let problems = check(&file(&TEXT.replace("7,3", "7;3")));
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0]
                .to_string()
                .starts_with("rules/a.sql:3:12: setting \"days\": \"7;3\" is no list of whole numbers"),
            "{}",
            problems[0]
        );
        for (kind, good, bad) in [
            ("numeric 0..100", "20.5", "120"),
            ("integer", "7", "7.5"),
            ("boolean", "yes", "maybe"),
            ("email", "a@b.example", "a b"),
            ("url", "https://x.example", "x"),
            ("time zone", "Europe/Berlin", "Mars"),
            ("interval", "3 days", "3"),
            ("json", "{}", "{"),
        ] {
            let setting = Setting {
                name: "x".into(),
                value: String::new(),
                description: String::new(),
                kind: Kind::of(kind),
                at: 0,
            };
            assert_eq!(setting.problem(good), None, "{kind}");
            assert!(setting.problem(bad).is_some(), "{kind}");
        }
    }
}
