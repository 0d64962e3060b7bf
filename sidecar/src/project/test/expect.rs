//! Expected against actual: pairs are found, and what differs is said.

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

use crate::project::diff::show;

/// What is wrong, for each expectation and thing that find no partner; empty: all match. `differences` says how a thing differs
/// from an expectation, `shown` what it is.
pub fn pairs<E, A>(
    what: &str,
    expected: &[E],
    actual: &[A],
    differences: impl Fn(&E, &A) -> Vec<String>,
    shown_expected: impl Fn(&E) -> String,
    shown: impl Fn(&A) -> String,
) -> Vec<String> {
    let mut left: Vec<&A> = actual.iter().collect();
    let mut unmet = Vec::new();
    for one in expected {
        match left.iter().position(|thing| differences(one, thing).is_empty()) {
            Some(found) => {
                left.remove(found);
            }
            None => unmet.push(one),
        }
    }
    let mut problems = Vec::new();
    for one in unmet {
        // The one that is most like it is what was meant, most likely.
        let nearest =
            left.iter().enumerate().min_by_key(|(_, thing)| differences(one, thing).len()).map(|(n, _)| n);
        match nearest {
            Some(n) => {
                let thing = left.remove(n);
                problems.push(format!(
                    "{what} {} differs:\n  {}",
                    shown_expected(one),
                    differences(one, thing).join("\n  ")
                ));
            }
            None => problems.push(format!("{what} {} did not come", shown_expected(one))),
        }
    }
    problems.extend(left.into_iter().map(|thing| format!("{what} {} was not expected", shown(thing))));
    problems
}

/// How the actual value differs from an expected one: of objects only the expected keys are looked at.
pub fn differences(path: &str, expected: &Json, actual: &Json) -> Vec<String> {
    match (expected, actual) {
        (Json::Object(wanted), Json::Object(_)) => object(path, wanted, actual),
        (Json::Array(wanted), Json::Array(given)) if wanted.len() == given.len() => wanted
            .iter()
            .zip(given)
            .enumerate()
            .flat_map(|(n, (w, g))| differences(&format!("{path}[{n}]"), w, g))
            .collect(),
        _ if same(expected, actual) => Vec::new(),
        _ => vec![format!("{path}: expected {}, is {}", show(expected), show(actual))],
    }
}

/// The same for an object's expected keys.
pub fn object(path: &str, expected: &Map<String, Json>, actual: &Json) -> Vec<String> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    expected
        .iter()
        .flat_map(|(key, wanted)| match actual.get(key) {
            Some(given) => differences(&below(key), wanted, given),
            None if wanted.is_null() => Vec::new(),
            None => vec![format!("{}: expected {}, is missing", below(key), show(wanted))],
        })
        .collect()
}

/// A text that must be the whole.
pub fn whole(name: &str, expected: &Option<String>, actual: &str) -> Vec<String> {
    match expected {
        Some(expected) if expected.trim() != actual.trim() => {
            vec![format!(
                "{name}: expected \"{}\"\n  {:width$}  is       \"{}\"",
                expected.trim(),
                "",
                actual.trim(),
                width = name.len() - 1
            )]
        }
        _ => Vec::new(),
    }
}

/// A scalar as the text that the database has.
pub fn scalar(name: &str, expected: &Option<Json>, actual: &str) -> Vec<String> {
    let text = expected.as_ref().map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned));
    whole(name, &text, actual)
}

/// Parts that a text must hold; spaces and line ends count as one space.
pub fn parts(name: &str, expected: &[String], actual: &str) -> Vec<String> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let given = plain(actual);
    expected
        .iter()
        .filter(|part| !given.contains(&plain(part)))
        .map(|part| {
            format!(
                "{name}: expected \"{}\" in\n      {}",
                part.trim(),
                actual.trim().replace('\n', "\n      ")
            )
        })
        .collect()
}

/// Numbers are equal by value, however they are written.
fn same(a: &Json, b: &Json) -> bool {
    let number = |value: &Json| match value {
        Json::Number(n) => {
            Decimal::from_str_exact(&n.to_string()).or_else(|_| Decimal::from_scientific(&n.to_string())).ok()
        }
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value_and_objects_by_the_expected_keys() {
        assert!(differences(
            "facts",
            &json!({"percent": 25, "a": {"b": null}}),
            &json!({"percent": 25.0, "other": 1, "a": {}})
        )
        .is_empty());
        assert_eq!(differences("facts", &json!({"x": 1}), &json!({"x": 2})), ["facts.x: expected 1, is 2"]);
        assert_eq!(differences("facts", &json!({"x": 1}), &json!({})), ["facts.x: expected 1, is missing"]);
        assert_eq!(differences("l", &json!([1]), &json!([1, 2])).len(), 1);
    }

    #[test]
    fn each_expectation_needs_a_partner_of_its_own() {
        let run = |expected: &[i32], actual: &[i32]| {
            pairs(
                "number",
                expected,
                actual,
                |e, a| if e == a { vec![] } else { vec![format!("{e} is {a}")] },
                i32::to_string,
                i32::to_string,
            )
        };
        assert!(run(&[1, 2], &[2, 1]).is_empty());
        assert_eq!(run(&[1, 1], &[1]), ["number 1 did not come"]);
        assert_eq!(run(&[1], &[1, 1]), ["number 1 was not expected"]);
        assert_eq!(run(&[1], &[2]), ["number 1 differs:\n  1 is 2"]);
    }
}
