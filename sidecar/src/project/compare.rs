//! Three states of each object: what the files say (made real), what the database had, what the last apply left.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value as Json;

use super::declare::{place, Declaration, Declared};
use super::diff::{fields, Field};
use super::problem::Problem;
use super::snapshot::{Entry, Recorded, Snapshot};
use super::{Error, Project};

/// What apply does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Added,
    Changed,
    Removed,
    /// No file says it any more; it stays until apply --prune.
    Left,
}

/// One object that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    pub what: What,
    pub kind: String,
    pub name: String,
    pub file: Option<String>,
    /// What differs; of what is added, its columns.
    pub fields: Vec<Field>,
    pub notes: Vec<String>,
}

/// An object that somebody changed in the database since the last apply.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    pub kind: String,
    pub name: String,
    pub file: String,
    /// It is not there any more.
    pub gone: bool,
    /// From what apply left to what there is.
    pub fields: Vec<Field>,
    pub applied_at: DateTime<Utc>,
    pub applied_by: String,
}

/// Everything that follows from comparing.
pub struct Comparison<'a> {
    pub changes: Vec<Change>,
    pub drift: Vec<Drift>,
    /// To be taken away.
    pub gone: Vec<(&'a (String, String), &'a Entry)>,
    /// To be remembered of this apply: kind and name, file, definition.
    pub record: Vec<((String, String), String, Json)>,
    /// To be forgotten.
    pub forget: Vec<(String, String)>,
}

type Objects<'a> = BTreeMap<(String, String), &'a Declared>;

/// The declared objects under the names that the database knows them by.
fn named<'a>(declaration: &'a Declaration, after: &Snapshot) -> Objects<'a> {
    let mut named = Objects::new();
    for object in &declaration.objects {
        if object.kind == "function" {
            let begin = format!("{}(", object.name);
            let all = after.keys().filter(|(kind, name)| kind == "function" && name.starts_with(&begin));
            named.extend(all.map(|key| (key.clone(), object)));
        } else {
            named.insert((object.kind.clone(), object.name.clone()), object);
        }
    }
    named
}

/// Refuses what belongs to another project.
pub fn refuse_foreign(
    project: &Project,
    declaration: &Declaration,
    before: &Snapshot,
    recorded: &BTreeMap<(String, String), Recorded>,
) -> Result<(), Error> {
    let mut problems = Vec::new();
    for object in &declaration.objects {
        let key = (object.kind.clone(), object.name.clone());
        let foreign = match (recorded.get(&key), before.get(&key)) {
            (Some(recorded), _) if recorded.project != project.name => {
                Some(format!("\"{}\" ({})", recorded.project, recorded.file))
            }
            (_, Some(entry)) if object.kind == "rule" => {
                let of = entry.definition["project"].as_str().filter(|of| *of != project.name);
                of.map(|of| format!("\"{of}\""))
            }
            _ => None,
        };
        if let Some(foreign) = foreign {
            let message = format!("{} \"{}\" belongs to project {foreign}", object.kind, object.name);
            problems.push(
                Problem::at(place(object), message).hint("give it another name, or leave it to that project"),
            );
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Problems(problems))
    }
}

/// Compares.
pub fn compare<'a>(
    project: &Project,
    declaration: &Declaration,
    before: &'a Snapshot,
    after: &Snapshot,
    recorded: &BTreeMap<(String, String), Recorded>,
    prune: bool,
) -> Comparison<'a> {
    let declared = named(declaration, after);
    let mut found = Comparison {
        changes: Vec::new(),
        drift: Vec::new(),
        gone: Vec::new(),
        record: Vec::new(),
        forget: Vec::new(),
    };
    for (key, now) in after {
        let was = before.get(key);
        let object = declared.get(key);
        // What is watched is said by a call; the rest counts when a file defines it.
        if (object.is_some() || key.0 == "watch") && was.is_none_or(|was| was.definition != now.definition) {
            let what = if was.is_some() { What::Changed } else { What::Added };
            let fields = fields(was.map_or(&Json::Null, |w| &w.definition), &now.definition);
            let file = object.map(|o| changed_file(&key.0, &o.file.name, &fields));
            found.changes.push(change(what, key, file, fields));
        }
        if let Some(object) = object {
            let known =
                recorded.get(key).filter(|r| r.file == object.file.name && r.definition == now.definition);
            if known.is_none() {
                found.record.push((key.clone(), object.file.name.clone(), now.definition.clone()));
            }
        }
    }
    let rules: BTreeSet<&str> =
        declared.keys().filter(|(kind, _)| kind == "rule").map(|(_, name)| name.as_str()).collect();
    for (key, was) in before {
        if declared.contains_key(key) {
            continue;
        }
        let ours = recorded.get(key).is_some_and(|r| r.project == project.name)
            || (key.0 == "rule" && was.definition["project"] == project.name.as_str());
        let part = (key.0 == "action" || key.0 == "input").then(|| was.key.first()).flatten();
        // A step that its rule's files do not have is a change of the rule, and needs no --prune.
        let of_declared = part.is_some_and(|rule| rules.contains(rule.as_str()));
        if !ours && !of_declared {
            continue;
        }
        let removed = (prune || of_declared) && was.removal.is_some();
        if removed {
            found.gone.push((key, was));
            found.forget.push(key.clone());
        }
        let file = recorded.get(key).map(|r| r.file.clone());
        let mut change = change(if removed { What::Removed } else { What::Left }, key, file, Vec::new());
        if was.removal.is_none() {
            change.notes.push(
                "a table is never dropped by apply: it may hold what only people know; drop it yourself"
                    .into(),
            );
        }
        // Its actions and inputs go with a rule.
        let with_rule = part.is_some_and(|rule| !rules.contains(rule.as_str()));
        if !with_rule {
            found.changes.push(change);
        }
    }
    found.drift = drift(project, &declared, before, recorded);
    found.forget.extend(
        recorded
            .iter()
            .filter(|(key, r)| {
                r.project == project.name && !declared.contains_key(key) && !before.contains_key(key)
            })
            .map(|(key, _)| key.clone()),
    );
    found.changes.sort_by_key(|c| (c.what == What::Left, rank(&c.kind), c.kind.clone(), c.name.clone()));
    found
}

/// The file to look into: a mail has one for each of its parts.
fn changed_file(kind: &str, file: &str, fields: &[Field]) -> String {
    let part = fields.iter().find_map(|field| match field.name.as_str() {
        "subject" | "text" => Some(format!("{}.txt", field.name)),
        "html" => Some("html.html".to_owned()),
        _ => None,
    });
    match (kind, file.rsplit_once('/'), part) {
        ("template", Some((folder, _)), Some(part)) => format!("{folder}/{part}"),
        _ => file.to_owned(),
    }
}

fn change(what: What, key: &(String, String), file: Option<String>, fields: Vec<Field>) -> Change {
    Change { what, kind: key.0.clone(), name: key.1.clone(), file, fields, notes: Vec::new() }
}

/// Rules first: they are what a reader looks for.
fn rank(kind: &str) -> usize {
    let order = [
        "watch", "rule", "input", "action", "template", "setting", "target", "view", "function", "table",
        "row",
    ];
    order.iter().position(|k| *k == kind).unwrap_or(order.len())
}

fn drift(
    project: &Project,
    declared: &Objects<'_>,
    before: &Snapshot,
    recorded: &BTreeMap<(String, String), Recorded>,
) -> Vec<Drift> {
    let mut all = Vec::new();
    for (key, left) in recorded.iter().filter(|(_, r)| r.project == project.name) {
        // What the files only begin with is the database's.
        let seed = declared.get(key).and_then(|o| o.row.as_ref()).is_some_and(|row| row.seed);
        if seed {
            continue;
        }
        let now = before.get(key);
        let mut fields = now.map_or_else(Vec::new, |now| fields(&left.definition, &now.definition));
        // A column that came with a later version of the extension was not there to be left.
        fields.retain(|f| left.definition.get(&f.name).is_some());
        if now.is_none() || !fields.is_empty() {
            all.push(Drift {
                kind: key.0.clone(),
                name: key.1.clone(),
                file: left.file.clone(),
                gone: now.is_none(),
                fields,
                applied_at: left.applied_at,
                applied_by: left.applied_by.clone(),
            });
        }
    }
    all
}
