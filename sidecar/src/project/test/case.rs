//! What a YAML file of tests says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::project::problem::Problem;
use crate::project::source::File;
use crate::project::Error;

/// A file: what all its tests begin with, and the tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// The test clock at the beginning.
    clock: Option<String>,
    /// Rows that are there already: nothing fires for them.
    given: Option<String>,
    /// The rules it is about: the others are off meanwhile. None: all are on.
    #[serde(default, deserialize_with = "one_or_many")]
    rules: Vec<String>,
    #[serde(default)]
    answers: BTreeMap<String, Json>,
    tests: Vec<Case>,
}

/// One test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub clock: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub given: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub rules: Vec<String>,
    /// What targets return, by name: the result that later steps read.
    #[serde(default)]
    pub answers: BTreeMap<String, Json>,
    pub steps: Vec<Step>,
}

/// Something happens, and something must follow. What is not asked for is not looked at, except incidents: there must be none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The clock moves on.
    pub at: Option<String>,
    /// Statements that change rows.
    pub run: Option<String>,
    /// Exactly these fired, in any order.
    pub firings: Option<Vec<Firing>>,
    /// Exactly these mails went out, in any order.
    pub mails: Option<Vec<Mail>>,
    /// Exactly these other actions were executed, in any order.
    pub requests: Option<Vec<Request>>,
    /// Parts of the messages of the incidents that arose.
    #[serde(default)]
    pub incidents: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firing {
    pub rule: String,
    pub subject: Option<Json>,
    pub occurrence: Option<Json>,
    pub edge: Option<String>,
    pub event: Option<String>,
    /// Before anything of it is executed: ready, waiting, held, shadow, done (no actions).
    pub state: Option<String>,
    pub run_at: Option<String>,
    /// These facts, and any others.
    #[serde(default)]
    pub facts: Map<String, Json>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub rule: Option<String>,
    /// An address that it goes to.
    pub to: Option<String>,
    pub cc: Option<String>,
    pub from: Option<String>,
    /// The whole subject.
    pub subject: Option<String>,
    /// A part of the text, or a list of parts.
    #[serde(default, deserialize_with = "one_or_many")]
    pub text: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub html: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub rule: Option<String>,
    pub kind: Option<String>,
    pub target: Option<String>,
    pub step: Option<Json>,
    /// These keys of the request (for http: method, url, headers, body), and any others.
    #[serde(default)]
    pub request: Map<String, Json>,
}

/// Reads a file.
pub fn read(file: &File) -> Result<Vec<Case>, Error> {
    let suite: Suite = serde_saphyr::from_str(&file.text).map_err(|error| {
        let problem = match error.location() {
            Some(at) => {
                let before: usize = file
                    .text
                    .split_inclusive('\n')
                    .take((at.line() as usize).saturating_sub(1))
                    .map(str::len)
                    .sum();
                let mut place = file.place(before);
                place.column = at.column() as usize;
                Problem::at(place, error.without_snippet().to_string())
            }
            None => Problem::general(format!("{}: {}", file.name, error.without_snippet())),
        };
        Error::Problems(vec![problem.hint("docs/guide/testing.md has the form of test files")])
    })?;
    let Suite { clock, given, rules, answers, tests } = suite;
    Ok(tests
        .into_iter()
        .map(|mut case| {
            case.clock = case.clock.or_else(|| clock.clone());
            case.given.splice(0..0, given.clone());
            case.rules.splice(0..0, rules.clone());
            for (target, answer) in &answers {
                case.answers.entry(target.clone()).or_insert_with(|| answer.clone());
            }
            case
        })
        .collect())
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = |value: &Json| match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!(
            "a text or a list of texts, not {other} (words such as yes need quotes)"
        ))),
    };
    match Json::deserialize(deserializer)? {
        Json::Array(many) => many.iter().map(text).collect(),
        one => Ok(vec![text(&one)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { name: "tests/a.yaml".into(), text: text.into() }
    }

    #[test]
    fn what_all_tests_begin_with_is_each_tests() {
        let cases = read(&file(
            "clock: 2026-03-01 09:00Z\nrules: one\ngiven: select 1\ntests:\n  - name: a\n    given: select 2\n    steps:\n      - at: 2026-03-02\n        mails:\n          - {subject: x, text: 7}\n",
        ))
        .unwrap();
        assert_eq!(cases[0].clock.as_deref(), Some("2026-03-01 09:00Z"));
        assert_eq!(cases[0].given, ["select 1", "select 2"]);
        assert_eq!(cases[0].rules, ["one"]);
        assert_eq!(cases[0].steps[0].at.as_deref(), Some("2026-03-02"));
        assert_eq!(cases[0].steps[0].mails.as_ref().unwrap()[0].text, ["7"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error =
            read(&file("tests:\n  - name: a\n    steps:\n      - mail: []\n")).unwrap_err().to_string();
        assert!(error.starts_with("tests/a.yaml:4:"), "{error}");
        assert!(error.contains("mail"), "{error}");
    }
}
