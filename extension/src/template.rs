//! `tradeflow._check_template`: whether a text compiles as a template, with the engine that the sidecar renders with.

use crate::error::{sql_function, Failure};
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;

sql_function!(tradeflow_check_template, pg_finfo_tradeflow_check_template, check);

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
    use super::problem;

    #[test]
    fn names_part_line_and_reason() {
        assert_eq!(problem("Hello {{ facts.name }}", "text"), None);
        let message = problem("Hello\n{{ facts.name", "text").unwrap();
        assert!(message.starts_with("text, line 2: "), "{message}");
        assert!(message.ends_with("in: {{ facts.name"), "{message}");
    }
}
