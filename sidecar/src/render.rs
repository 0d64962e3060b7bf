//! Templates: parameters and mails become what is sent.
//!
//! Names that templates read: `facts`, `steps`, `settings`, `rule.name`, `rule.version`, `source`, `event`,
//! `subject`, `occurrence`, `action`, `idempotency_key`. A name that is not there is an error. Values are escaped in
//! html templates only. Null prints nothing.
//!
//! Numbers are exact: what the database wrote arrives digit for digit, `+ - * / // % **` and comparisons are decimal
//! (28 significant digits), `round` and `money` round half away from zero.

use std::fmt;
use std::sync::{Arc, RwLock};

use minijinja::value::{Value, ValueKind};
use minijinja::{escape_formatter, AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value as Json;

pub(crate) mod arithmetic;
mod filters;
pub mod number;
mod operators;
pub mod unknown;

/// The parameter of every kind that says whether its step is wanted at all.
pub const WHEN: &str = "when";

/// Work one template may do: far more than a mail needs, and an end to one that loops.
const FUEL: u64 = 5_000_000;

/// Parameter templates kept compiled before the cache is emptied.
const KEPT: usize = 20_000;

/// Names a parameter's template, whose source is the rest of the name; the second one's values are escaped.
const PARAMETER: &str = "params:";
const HTML_PARAMETER: &str = "html-params:";

/// A template that could not be rendered. It will fail again until somebody mends it.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// Which template: a parameter's path, or a part of a mail template.
    pub place: String,
    pub line: Option<usize>,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A mail template as the database has it.
#[derive(Debug, Clone)]
pub struct MailTemplate {
    pub name: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// What a mail template became.
#[derive(Debug, PartialEq, Eq)]
pub struct Mail {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// Renders; cheap to share. Mail templates can be replaced at any time.
pub struct Renderer {
    state: RwLock<Arc<Loaded>>,
}

struct Loaded {
    env: Environment<'static>,
    templates: Arc<Vec<MailTemplate>>,
    compiled: Arc<std::sync::atomic::AtomicUsize>,
}

impl Renderer {
    /// A renderer with these mail templates.
    pub fn new(templates: Vec<MailTemplate>) -> Renderer {
        Renderer { state: RwLock::new(Arc::new(Loaded::new(Arc::new(templates)))) }
    }

    /// Replaces the mail templates.
    pub fn replace_templates(&self, templates: Vec<MailTemplate>) {
        self.replace(Arc::new(Loaded::new(Arc::new(templates))));
    }

    fn replace(&self, loaded: Arc<Loaded>) {
        *self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = loaded;
    }

    fn loaded(&self) -> Arc<Loaded> {
        let loaded = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if loaded.compiled.load(std::sync::atomic::Ordering::Relaxed) < KEPT {
            return loaded;
        }
        let fresh = Arc::new(Loaded::new(loaded.templates.clone()));
        self.replace(fresh.clone());
        fresh
    }

    /// Renders the strings of parameters. One that is exactly one `{{ expression }}` keeps its JSON type. `html` names
    /// the parameters that are templates of HTML.
    pub fn params(&self, params: &Json, html: &[&str], context: &Value) -> Result<Json, Error> {
        let loaded = self.loaded();
        let Json::Object(map) = params else { return loaded.json(params, "params", context) };
        let rendered = map.iter().map(|(key, value)| {
            let place = format!("params.{key}");
            let value = match value {
                Json::String(text) if html.contains(&key.as_str()) => {
                    let text = loaded.text(&format!("{HTML_PARAMETER}{text}"), context);
                    Json::String(text.map_err(|e| loaded.explain(e, place, context))?)
                }
                other => loaded.json(other, &place, context)?,
            };
            Ok((key.clone(), value))
        });
        rendered.collect::<Result<_, _>>().map(Json::Object)
    }

    /// The parameters of a step, without `when`; `None` when that says that the step is not wanted. It is rendered
    /// first: where it says no, the others may speak of what is not there.
    pub fn step(&self, params: &Json, html: &[&str], context: &Value) -> Result<Option<Json>, Error> {
        let Some(Json::Object(map)) = Some(params).filter(|params| params.get(WHEN).is_some()) else {
            return self.params(params, html, context).map(Some);
        };
        let mut others = map.clone();
        let condition = others.remove(WHEN).unwrap_or_default();
        let place = format!("params.{WHEN}");
        let wanted = match self.loaded().json(&condition, &place, context)? {
            Json::Bool(wanted) => wanted,
            Json::Null => false,
            Json::String(word) if word == "true" || word == "false" => word == "true",
            other => {
                let message = format!("true or false is needed, not {other}");
                return Err(Error { place, line: None, message });
            }
        };
        wanted.then(|| self.params(&Json::Object(others), html, context)).transpose()
    }

    /// Renders a mail template; `None` when there is none of this name.
    pub fn mail(&self, name: &str, context: &Value) -> Result<Option<Mail>, Error> {
        let loaded = self.loaded();
        let Some(template) = loaded.templates.iter().find(|t| t.name == name) else { return Ok(None) };
        let part = |part: &str| {
            let text = loaded.text(&format!("{name}.{part}"), context);
            text.map_err(|e| loaded.explain(e, format!("template \"{name}\", {part}"), context))
        };
        let html = template.html.is_some().then(|| part("html")).transpose()?;
        Ok(Some(Mail { subject: part("subject")?, text: part("text")?, html }))
    }
}

impl Loaded {
    fn new(templates: Arc<Vec<MailTemplate>>) -> Loaded {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_debug(true);
        env.set_auto_escape_callback(|name| match name {
            name if name.starts_with(HTML_PARAMETER) => AutoEscape::Html,
            name if !name.starts_with(PARAMETER) && name.ends_with(".html") => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        // `{% include "footer" %}` means the same part of the other template.
        env.set_path_join_callback(|name, parent| {
            let part = match parent.rsplit_once('.') {
                _ if parent.starts_with(HTML_PARAMETER) => "html",
                Some((_, part @ ("html" | "subject"))) if !parent.starts_with(PARAMETER) => part,
                _ => "text",
            };
            format!("{name}.{part}").into()
        });
        env.set_formatter(|out, state, value| match value {
            null if null.is_none() => Ok(()),
            // As SQL and JSON write it, not as Python does.
            truth if truth.kind() == ValueKind::Bool => {
                out.write_str(if truth.is_true() { "true" } else { "false" }).map_err(minijinja::Error::from)
            }
            text if matches!(state.auto_escape(), AutoEscape::Html) && !text.is_undefined() => {
                out.write_str(&filters::escaped(text).to_string()).map_err(minijinja::Error::from)
            }
            other => escape_formatter(out, state, other),
        });
        arithmetic::register(&mut env);
        filters::register(&mut env);
        let compiled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (sources, counter) = (templates.clone(), compiled.clone());
        env.set_loader(move |name| Ok(source(&sources, name, &counter)));
        Loaded { env, templates, compiled }
    }

    fn json(&self, json: &Json, place: &str, context: &Value) -> Result<Json, Error> {
        match json {
            Json::String(text) => {
                self.string(text, context).map_err(|e| self.explain(e, place.to_owned(), context))
            }
            Json::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(i, item)| self.json(item, &format!("{place}[{i}]"), context)).collect()
            }
            Json::Object(map) => map
                .iter()
                .map(|(key, item)| Ok((key.clone(), self.json(item, &format!("{place}.{key}"), context)?)))
                .collect::<Result<_, _>>()
                .map(Json::Object),
            other => Ok(other.clone()),
        }
    }

    fn string(&self, text: &str, context: &Value) -> Result<Json, minijinja::Error> {
        if !text.contains('{') {
            return Ok(Json::String(text.to_owned()));
        }
        let name = format!("{PARAMETER}{text}");
        let Some(expression) = operators::sole_expression(text) else {
            return self.text(&name, context).map(Json::String);
        };
        let template = self.env.get_template(&name)?;
        let captured = template.render_captured(context.clone())?;
        let value = captured.state().lookup("__value").unwrap_or(Value::UNDEFINED);
        if value.is_undefined() {
            let message = format!("`{}` is undefined", expression.trim());
            return Err(minijinja::Error::new(ErrorKind::UndefinedError, message));
        }
        number::to_json(&value)
    }

    fn text(&self, name: &str, context: &Value) -> Result<String, minijinja::Error> {
        self.env.get_template(name)?.render(context.clone())
    }

    /// Says where an error is, in the words of the template's author.
    fn explain(&self, error: minijinja::Error, place: String, context: &Value) -> Error {
        let mut message = match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        };
        match error.kind() {
            ErrorKind::UndefinedError => {
                if let Some(expression) = culprit(&error) {
                    message = format!("{message}: {expression}");
                }
                message.push_str(&names(context));
            }
            ErrorKind::OutOfFuel => message = "it does too much work; does a loop end?".into(),
            _ => {}
        }
        let mut inner = std::error::Error::source(&error);
        while let Some(error) = inner {
            message = format!("{message}: {error}");
            inner = error.source();
        }
        Error { place, line: error.line(), message }
    }
}

/// The source minijinja compiles for a name: with exact operators, and a sole expression kept as a value.
fn source(
    templates: &[MailTemplate],
    name: &str,
    compiled: &std::sync::atomic::AtomicUsize,
) -> Option<String> {
    if let Some(text) = name.strip_prefix(HTML_PARAMETER) {
        compiled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return Some(operators::rewrite(text));
    }
    if let Some(text) = name.strip_prefix(PARAMETER) {
        compiled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let rewritten = operators::rewrite(text);
        return Some(match operators::sole_expression(&rewritten) {
            Some(expression) => format!("{{% set __value = ({expression}) %}}"),
            None => rewritten,
        });
    }
    let (name, part) = name.rsplit_once('.')?;
    let template = templates.iter().find(|t| t.name == name)?;
    let text = match part {
        "subject" => &template.subject,
        "text" => &template.text,
        "html" => template.html.as_ref()?,
        _ => return None,
    };
    Some(operators::rewrite(text))
}

/// The expression an error is about, when it is short enough to help.
fn culprit(error: &minijinja::Error) -> Option<String> {
    let expression = error.template_source()?.get(error.range()?)?.trim();
    let expression = expression.trim_start_matches("{% set __value = (").trim_end_matches(") %}").trim();
    (!expression.is_empty() && expression.len() <= 80 && !expression.contains("__"))
        .then(|| format!("`{expression}`"))
}

/// The names of the facts: what the author probably looked for.
fn names(context: &Value) -> String {
    let Ok(facts) = context.get_attr("facts") else { return String::new() };
    let Ok(keys) = facts.try_iter() else { return String::new() };
    let keys: Vec<String> = keys.map(|k| k.to_string()).collect();
    match keys.len() {
        0 => "; there are no facts".to_owned(),
        1..=40 => format!("; facts are {}", keys.join(", ")),
        n => format!("; facts are {} and {} more", keys[..40].join(", "), n - 40),
    }
}

#[cfg(test)]
mod tests;
