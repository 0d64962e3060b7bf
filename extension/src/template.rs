//! `tradeflow._check_template`: whether a text compiles as a template, with the engine that the sidecar renders with;
//! `tradeflow._render`: what it becomes, where the database needs it itself.

use crate::error::{sql_function, Failure};
use minijinja::value::Value;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
use serde_json::Value as Json;
use std::collections::BTreeMap;

sql_function!(tradeflow_check_template, pg_finfo_tradeflow_check_template, check);
sql_function!(tradeflow_render, pg_finfo_tradeflow_render, render);

/// Work one template may do: a lane is a short name.
const FUEL: u64 = 100_000;

fn check(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, text) and strict.
    let (source, name) = unsafe {
        (
            String::from_datum(pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, 0), false),
            String::from_datum(pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, 1), false),
        )
    };
    let (source, name) = (source.unwrap_or_default(), name.unwrap_or_default());
    Ok(problem(&source, &name).and_then(IntoDatum::into_datum))
}

fn render(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, jsonb) and strict.
    let (source, context) = unsafe {
        (
            String::from_datum(pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, 0), false),
            pgrx::JsonB::from_datum(pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, 1), false),
        )
    };
    let context = context.map_or(Json::Null, |json| json.0);
    rendered(&source.unwrap_or_default(), &context)
        .map(IntoDatum::into_datum)
        .map_err(|message| Failure::new(ERRCODE_INVALID_PARAMETER_VALUE, message))
}

/// The text that a template makes; why it makes none, in its author's words.
fn rendered(source: &str, context: &Json) -> Result<String, String> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.render_str(source, value(context)).map_err(|error| {
        let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
        format!("the template {source:?} cannot be rendered: {what}")
    })
}

/// JSON as templates read it. A number that is no small integer keeps its digits: as a float it would lose some.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.to_string()), Value::from),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(map) => {
            map.iter().map(|(key, item)| (key.clone(), value(item))).collect::<BTreeMap<_, _>>().into()
        }
    }
}

/// What is wrong with a template, and where; None when it compiles.
fn problem(source: &str, name: &str) -> Option<String> {
    let environment = minijinja::Environment::new();
    let error = environment.template_from_str(source).err()?;
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    let quoted = error.line().and_then(|line| source.lines().nth(line.saturating_sub(1))).unwrap_or(source);
    Some(format!("{name}, line {}: {what}, in: {quoted}", error.line().unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::{problem, rendered};
    use serde_json::json;

    #[test]
    fn renders_digits_as_they_are_and_refuses_what_is_not_there() {
        let context: serde_json::Value =
            serde_json::from_str(r#"{"facts": {"id": 7, "total": 1234567890123456789.10, "tags": ["a"]}}"#)
                .unwrap();
        let text = rendered("{{ facts.id }}/{{ facts.total }}/{{ facts.tags[0] }}", &context);
        assert_eq!(text.as_deref(), Ok("7/1234567890123456789.10/a"));
        let error = rendered("company {{ facts.company }}", &json!({"facts": {}})).unwrap_err();
        assert!(error.contains("company {{ facts.company }}") && error.contains("undefined"), "{error}");
        assert!(rendered("{% for i in range(1000000) %}x{% endfor %}", &json!({})).is_err());
    }

    #[test]
    fn names_part_line_and_reason() {
        assert_eq!(problem("Hello {{ facts.name }}", "text"), None);
        let message = problem("Hello\n{{ facts.name", "text").unwrap();
        assert!(message.starts_with("text, line 2: "), "{message}");
        assert!(message.ends_with("in: {{ facts.name"), "{message}");
    }
}
