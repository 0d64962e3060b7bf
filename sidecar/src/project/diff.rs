//! Differences for people.

use serde_json::Value as Json;
use similar::{ChangeTag, TextDiff};

/// One column that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Field {
    pub name: String,
    pub before: Json,
    pub after: Json,
}

/// The columns of two objects that differ; a column that only one of them knows counts as null in the other.
pub fn fields(before: &Json, after: &Json) -> Vec<Field> {
    let none = serde_json::Map::new();
    // What is added had no columns before.
    let before_columns = if before.is_null() { Some(&none) } else { before.as_object() };
    let (Some(a), Some(b)) = (before_columns, after.as_object()) else {
        return match before == after {
            true => Vec::new(),
            false => vec![Field { name: "definition".into(), before: before.clone(), after: after.clone() }],
        };
    };
    let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))).collect();
    names.sort();
    let of = |map: &serde_json::Map<String, Json>, name: &str| map.get(name).cloned().unwrap_or(Json::Null);
    names
        .into_iter()
        .map(|name| Field { name: name.clone(), before: of(a, name), after: of(b, name) })
        .filter(|f| f.before != f.after)
        .collect()
}

impl Field {
    /// Lines: short values side by side, long ones as a difference of lines.
    pub fn lines(&self, indent: &str) -> Vec<String> {
        let long = |value: &Json| value.as_str().is_some_and(|s| s.trim().contains('\n') || s.len() > 100);
        if !long(&self.before) && !long(&self.after) {
            return vec![format!("{indent}{}: {} → {}", self.name, show(&self.before), show(&self.after))];
        }
        let mut lines = vec![format!("{indent}{}:", self.name)];
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.extend(
            lines_of(&text(&self.before), &text(&self.after)).into_iter().map(|l| format!("{indent}  {l}")),
        );
        lines
    }
}

/// The differing lines of two texts, each with a line around it.
pub fn lines_of(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (format!("{}\n", before.trim_end()), format!("{}\n", after.trim_end()));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for (n, group) in diff.grouped_ops(1).iter().enumerate() {
        if n > 0 {
            lines.push("…".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign} {}", change.value().trim_end()));
        }
    }
    lines
}

/// A value on one line.
pub fn show(value: &Json) -> String {
    match value {
        Json::Null => "none".into(),
        Json::String(text) => format!("\"{}\"", text.trim().replace('\n', "⏎")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_values_stand_side_by_side_and_long_ones_line_by_line() {
        let before = json!({"mode": "live", "condition": "new.a\nand new.b", "same": 1});
        let after = json!({"mode": "shadow", "condition": "new.a\nand new.c", "same": 1});
        let lines: Vec<String> = fields(&before, &after).iter().flat_map(|f| f.lines("  ")).collect();
        assert_eq!(
            lines,
            [
                "  condition:",
                "      new.a",
                "    - and new.b",
                "    + and new.c",
                "  mode: \"live\" → \"shadow\""
            ]
        );
    }
}
