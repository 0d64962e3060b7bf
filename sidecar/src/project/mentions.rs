//! What templates mention must be there: facts, settings, steps, other templates. Found at plan, not when a mail is due.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value as Json;
use tokio_postgres::Transaction;

use super::declare::{place, Declaration, Declared};
use super::problem::Problem;
use super::snapshot::Snapshot;
use super::source::{File, Mail};
use super::{did_you_mean, Error};

/// What templates read besides facts, steps and settings: what the sidecar gives them, and what the language has.
const OTHERS: [&str; 19] = [
    "rule",
    "source",
    "event",
    "subject",
    "occurrence",
    "action",
    "idempotency_key",
    "range",
    "dict",
    "namespace",
    "debug",
    "loop",
    "self",
    "super",
    "caller",
    "true",
    "false",
    "none",
    "lipsum",
];

/// What the templates of one rule may mention.
struct Scope<'a> {
    rule: &'a str,
    /// None: the columns could not be found out.
    facts: Option<BTreeSet<String>>,
    steps: BTreeSet<String>,
    settings: &'a BTreeSet<String>,
}

/// Checks the parameters of the declared actions, and the mails they name.
pub async fn check(
    transaction: &Transaction<'_>,
    declaration: &Declaration,
    after: &Snapshot,
) -> Result<(), Error> {
    let settings: BTreeSet<String> =
        after.keys().filter(|(kind, _)| kind == "setting").map(|(_, name)| name.clone()).collect();
    let mut facts: HashMap<&str, Option<BTreeSet<String>>> = HashMap::new();
    let mut problems = Vec::new();
    for ((kind, name), entry) in after.iter().filter(|((kind, _), _)| kind == "action") {
        let Some(action) = declaration.find(kind, name) else { continue };
        let Some(rule) = entry.key.first() else { continue };
        if !facts.contains_key(rule.as_str()) {
            let found = match after.get(&("rule".to_owned(), rule.clone())) {
                Some(definition) => facts_of(transaction, &definition.definition).await?,
                None => None,
            };
            facts.insert(rule, found);
        }
        let facts = facts.get(rule.as_str()).cloned().flatten();
        let scope = Scope { rule, facts, steps: steps(after, entry), settings: &settings };
        let params = &entry.definition["params"];
        let region = (&*action.file, action.at, action.end);
        strings(params, &mut |text| {
            for problem in scope.problems(text) {
                problems.push(Problem::at(find(region, &problem.0, action), problem.1));
            }
        });
        if let Some(name) = params["template"].as_str().filter(|name| !name.contains('{')) {
            mail(name, &scope, declaration, after, action, &mut problems);
        }
    }
    let mut seen = BTreeSet::new();
    problems.retain(|p: &Problem| seen.insert(p.to_string()));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Problems(problems))
    }
}

/// The mail that an action names, and those it includes.
fn mail(
    name: &str,
    scope: &Scope<'_>,
    declaration: &Declaration,
    after: &Snapshot,
    action: &Declared,
    problems: &mut Vec<Problem>,
) {
    let mut open = vec![name.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(row) = after.get(&("template".to_owned(), name.clone())) else {
            let names = after.keys().filter(|(kind, _)| kind == "template").map(|(_, name)| name.clone());
            let message = format!("there is no template \"{name}\"{}", did_you_mean(&name, names));
            let at = find((&*action.file, action.at, action.end), &name, action);
            problems.push(
                Problem::at(at, message)
                    .hint(format!("a mail is a folder: templates/{name}/subject.txt, text.txt, html.html")),
            );
            continue;
        };
        for part in ["subject", "text", "html"] {
            let Some(text) = row.definition[part].as_str() else { continue };
            open.extend(included(text));
            let files = declaration.mails.iter().find(|m| m.name == name);
            for (mention, message) in scope.problems(text) {
                problems.push(match files.and_then(|m| file_of(m, part)) {
                    Some(file) => {
                        Problem::at(file.place(mentioned(&file.text, &mention).unwrap_or(0)), message)
                    }
                    None => Problem::at(place(action), format!("template \"{name}\", {part}: {message}")),
                });
            }
        }
    }
}

fn file_of<'a>(mail: &'a Mail, part: &str) -> Option<&'a File> {
    match part {
        "subject" => mail.subject.as_ref(),
        "text" => mail.text.as_ref(),
        _ => mail.html.as_ref(),
    }
}

impl Scope<'_> {
    /// The mentions that lead nowhere, each with what is wrong.
    fn problems(&self, text: &str) -> Vec<(String, String)> {
        if !text.contains('{') {
            return Vec::new();
        }
        let environment = minijinja::Environment::new();
        // One that does not compile is refused by the database.
        let Ok(template) = environment.template_from_str(text) else { return Vec::new() };
        let mut found = Vec::new();
        let mentions: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
        for mention in mentions {
            let mut parts = mention.splitn(3, '.');
            let (first, second) = (parts.next().unwrap_or_default(), parts.next());
            let problem = match (first, second) {
                ("facts", Some(fact)) => self.fact(fact),
                ("settings", Some(setting)) => self.setting(setting),
                ("steps", Some(step)) => self.step(step),
                ("facts" | "settings" | "steps", None) => None,
                (other, _) if OTHERS.contains(&other) => None,
                (other, _) => Some(format!(
                    "there is no `{other}`; templates read facts, steps, settings, {}",
                    OTHERS[..7].join(", ")
                )),
            };
            let name = second.map_or(first.to_owned(), |second| format!("{first}.{second}"));
            if let Some(problem) = problem.filter(|_| !asked_first(text, &name)) {
                found.push((name, problem));
            }
        }
        found
    }

    fn fact(&self, fact: &str) -> Option<String> {
        let facts = self.facts.as_ref().filter(|facts| !facts.contains(fact))?;
        let suggestion = did_you_mean(fact, facts.iter().cloned());
        let all: Vec<&str> = facts.iter().map(String::as_str).collect();
        Some(format!("rule \"{}\" has no fact `{fact}`{suggestion}\nfacts: {}", self.rule, all.join(", ")))
    }

    fn setting(&self, setting: &str) -> Option<String> {
        let inside = format!("{setting}.");
        let there = self.settings.iter().any(|s| s == setting || s.starts_with(&inside));
        (!there).then(|| {
            format!("there is no setting `{setting}`{}", did_you_mean(setting, self.settings.iter().cloned()))
        })
    }

    fn step(&self, step: &str) -> Option<String> {
        if self.steps.contains(step) {
            return None;
        }
        let all: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        Some(match all.is_empty() {
            true => format!("`steps.{step}`: no step of rule \"{}\" comes before this one", self.rule),
            false => {
                format!("rule \"{}\" has no earlier step `{step}`; there is {}", self.rule, all.join(", "))
            }
        })
    }
}

/// Whether the template asks for a name before it needs it: `facts.x is defined`, `facts.x|default(…)`.
fn asked_first(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let rest = text[at + name.len()..].trim_start();
        let filter = rest.strip_prefix('|').map(str::trim_start);
        let default = filter.is_some_and(|f| f.starts_with("default") || f.starts_with("d("));
        let test = rest.strip_prefix("is ").map(str::trim_start);
        default
            || test.is_some_and(|t| ["defined", "undefined", "not defined"].iter().any(|w| t.starts_with(w)))
    })
}

/// The names of templates that one includes or extends.
fn included(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for word in ["include", "extends"] {
        for (at, _) in text.match_indices(word) {
            let before = text[..at].trim_end().trim_end_matches(['-', '+']);
            let after = text[at + word.len()..].trim_start();
            let Some(quote) = after.chars().next().filter(|c| *c == '"' || *c == '\'') else { continue };
            if let (true, Some(end)) = (before.ends_with("{%"), after[1..].find(quote)) {
                names.push(after[1..=end].to_owned());
            }
        }
    }
    names
}

/// The results that an action can read: of the steps before it, by number and by name.
fn steps(after: &Snapshot, action: &super::snapshot::Entry) -> BTreeSet<String> {
    let number = |key: &[String]| key.get(2).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
    let earlier = after.iter().filter(|((kind, _), entry)| {
        kind == "action" && entry.key[..2] == action.key[..2] && number(&entry.key) < number(&action.key)
    });
    earlier
        .flat_map(|(_, e)| [Some(e.key[2].clone()), e.definition["name"].as_str().map(str::to_owned)])
        .flatten()
        .collect()
}

/// The columns that a rule's firings have as facts.
async fn facts_of(transaction: &Transaction<'_>, rule: &Json) -> Result<Option<BTreeSet<String>>, Error> {
    let text = |key: &str| rule[key].as_str();
    let sql = match (text("source"), text("query"), text("view")) {
        (Some(source), Some(query), _) => format!(
            "select answer.* from {source} as new cross join lateral (select (null::{source}).*) as old cross join lateral (\n{}\n) as answer",
            query.trim_end().trim_end_matches(';')
        ),
        (None, Some(query), _) => format!("select answer.* from (\n{}\n) as answer", query.trim_end().trim_end_matches(';')),
        (Some(of), None, _) | (None, None, Some(of)) => format!("select * from {of}"),
        (None, None, None) => return Ok(None),
    };
    transaction.batch_execute("savepoint tradeflow_facts").await?;
    let prepared = transaction.prepare(&sql).await;
    transaction.batch_execute("rollback to savepoint tradeflow_facts").await?;
    let Ok(statement) = prepared else { return Ok(None) };
    let reserved: &[&str] = match (text("view"), text("query")) {
        (Some(_), _) => &["subject", "occurrence", "fire_at", "recheck_at"],
        (None, Some(_)) => &["subject", "occurrence", "fire_at"],
        (None, None) => &[],
    };
    let names = statement.columns().iter().map(|c| c.name().to_owned());
    Ok(Some(names.filter(|n| !reserved.contains(&n.as_str())).collect()))
}

fn strings(json: &Json, each: &mut impl FnMut(&str)) {
    match json {
        Json::String(text) => each(text),
        Json::Array(items) => items.iter().for_each(|item| strings(item, each)),
        Json::Object(map) => map.values().for_each(|item| strings(item, each)),
        _ => {}
    }
}

/// Where a name stands as a whole.
fn mentioned(text: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .map(|(at, _)| at)
        .find(|at| !text[..*at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

fn find(region: (&File, usize, usize), name: &str, action: &Declared) -> super::Place {
    let (file, from, to) = region;
    match mentioned(&file.text[from..to], name) {
        Some(at) => file.place(from + at),
        None => place(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(settings: &BTreeSet<String>) -> Scope<'_> {
        let facts = ["quote_number", "percent"].map(str::to_owned).into();
        Scope { rule: "r", facts: Some(facts), steps: ["1".to_owned(), "deal".to_owned()].into(), settings }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is_like_it() {
        let settings = BTreeSet::from(["owner_email".to_owned()]);
        let say = |text: &str| {
            scope(&settings).problems(text).into_iter().map(|(n, m)| format!("{n}: {m}")).collect::<Vec<_>>()
        };
        assert!(say("{{ facts.quote_number }} {{ settings.owner_email }} {{ steps.deal.id }} {{ steps.1.id }} {{ rule.name }}").is_empty());
        assert_eq!(say("{{ facts.qoute_number }}").len(), 1);
        assert!(say("{{ facts.qoute_number }}")[0].contains("did you mean \"quote_number\"?"));
        assert!(say("{{ settings.owner_mail }}")[0].contains("did you mean \"owner_email\"?"));
        assert!(say("{{ steps.invoice.id }}")[0].contains("there is 1, deal"));
        assert!(say("{{ quote_number }}")[0].contains("there is no `quote_number`"));
    }

    #[test]
    fn a_name_that_is_asked_for_first_may_be_missing() {
        let settings = BTreeSet::new();
        for text in [
            "{% if facts.x is defined %}{{ facts.x }}{% endif %}",
            "{{ facts.x | default('-') }}",
            "{% for l in facts.percent %}{{ l.y }}{{ loop.index }}{% endfor %}",
        ] {
            assert!(scope(&settings).problems(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn included_templates_are_found() {
        assert_eq!(
            included("{% extends \"base\" %}{%- include 'footer' -%} include \"x\""),
            ["footer", "base"]
        );
    }
}
