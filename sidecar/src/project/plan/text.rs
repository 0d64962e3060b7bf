//! A plan in plain words.

use serde_json::Value as Json;

use super::{affected, Plan, Waiting};
use crate::project::compare::{Change, What};
use crate::project::diff::show;

/// The columns of a new object that say what it is; the rest is in the file.
fn telling(kind: &str) -> &'static [&'static str] {
    match kind {
        "rule" => &["source", "view", "schedule", "mode"],
        "input" => &["subject"],
        "action" => &["kind", "target"],
        "setting" => &["value"],
        "target" => &["base_url"],
        "watch" => &["key"],
        _ => &[],
    }
}

impl Plan {
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("project {} (schema {}), {}", self.project, self.schema, self.database),
            String::new(),
        ];
        if !self.drift.is_empty() {
            lines.push(match self.applied {
                true => "Changed in the database since the apply before:".into(),
                false => {
                    "Changed in the database since the last apply (apply makes it again what the files say):"
                        .into()
                }
            });
            for drift in &self.drift {
                let when = drift.applied_at.format("%Y-%m-%d %H:%M UTC");
                let gone = if drift.gone { ", is gone" } else { "" };
                lines.push(format!(
                    "  ! {} {}{gone}   {}, applied {when} by {}",
                    drift.kind, drift.name, drift.file, drift.applied_by
                ));
                lines.extend(drift.fields.iter().flat_map(|f| f.lines("      ")));
            }
            lines.push(String::new());
        }
        let left: Vec<&Change> = self.changes.iter().filter(|c| c.what == What::Left).collect();
        for change in self.changes.iter().filter(|c| c.what != What::Left) {
            self.change(change, &mut lines);
        }
        let (tables, left): (Vec<&Change>, Vec<&Change>) = left.into_iter().partition(|c| c.kind == "table");
        if !left.is_empty() {
            lines.extend([
                String::new(),
                "In no file any more, left as it is (apply --prune removes it):".into(),
            ]);
            left.into_iter().for_each(|change| self.change(change, &mut lines));
        }
        if !tables.is_empty() {
            lines.push(String::new());
            lines.push("Tables that no file makes any more. They may hold what only people know, so apply drops none; drop them yourself:".into());
            lines.extend(tables.iter().map(|table| format!("  · {}", table.name)));
        }
        if !self.waiting.is_empty() {
            lines.extend([String::new(), "Actions that exist already:".into()]);
            for waiting in &self.waiting {
                let Waiting { rule, state, actions, effect } = waiting;
                lines.push(format!("  {actions} {state} of rule {rule}: {effect}"));
            }
        }
        if !self.warnings.is_empty() {
            lines.push(String::new());
            lines.extend(self.warnings.iter().map(|w| format!("warning: {w}")));
        }
        if self.matches.iter().any(affected::Match::passes_over) {
            lines.push(String::new());
            lines.push("Rows that are there already fire nothing by themselves: select tradeflow.backfill('rule', 'where …') does.".into());
        }
        if !self.to_set.is_empty() {
            lines.push(String::new());
            lines.push("Examples and empty places that are for you to fill before anything is sent:".into());
            lines.extend(
                self.to_set.iter().flat_map(|x| {
                    [format!("  {} {}: {}", x.kind, x.name, x.value), format!("      {}", x.how)]
                }),
            );
        }
        lines.push(String::new());
        lines.push(self.sum());
        lines.join("\n").replace("\n\n\n", "\n\n")
    }

    fn change(&self, change: &Change, lines: &mut Vec<String>) {
        let sign = match change.what {
            What::Added => '+',
            What::Changed => '~',
            What::Removed => '-',
            What::Left => '·',
        };
        let file = change.file.as_deref().map(|f| format!("   {f}")).unwrap_or_default();
        let mut head = format!("  {sign} {} {}", change.kind, change.name);
        if change.what == What::Added {
            let names = telling(&change.kind);
            let telling =
                change.fields.iter().filter(|f| names.contains(&f.name.as_str()) && f.after != Json::Null);
            let telling: Vec<String> = telling
                .filter(|f| f.after != "live")
                .map(|f| format!("{} {}", f.name, show(&f.after)))
                .collect();
            if !telling.is_empty() {
                head.push_str(&format!(": {}", telling.join(", ")));
            }
        }
        lines.push(head + &file);
        if change.what == What::Changed {
            lines.extend(change.fields.iter().flat_map(|f| f.lines("      ")));
        }
        lines.extend(change.notes.iter().map(|n| format!("      {n}")));
        if change.kind == "rule" {
            let counted = self.matches.iter().filter(|m| m.rule == change.name);
            lines.extend(counted.map(|m| format!("      {}", m.text())));
        }
    }

    fn sum(&self) -> String {
        if self.is_empty() {
            return "nothing to change: the database is what the files say".into();
        }
        let count = |what| self.changes.iter().filter(|c| c.what == what).count();
        let counts = format!(
            "{} added, {} changed, {} removed",
            count(What::Added),
            count(What::Changed),
            count(What::Removed)
        );
        let new = self.changes.iter().filter(|c| affected::is_new(c) && c.what == What::Added).count();
        match (self.applied, new) {
            (true, _) => format!("applied: {counts}"),
            (false, 0) => format!("to apply: {counts}; `tradeflow apply` does it"),
            (false, _) => {
                format!("to apply: {counts}; `tradeflow apply` does it, `tradeflow test` tries it first")
            }
        }
    }
}
