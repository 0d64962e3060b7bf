//! `tradeflow._ask_parts`: the parts of a condition, asked about one row that is given as jsonb.

use super::clock::Clock;
use super::decode::Decoder;
use super::{compile, every, parse};
use crate::definition::Rule;
use crate::error::{sql_function, Failure};
use crate::evaluate::{Evaluation, Identity, Version};
use crate::subtransaction::in_subtransaction;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;

sql_function!(tradeflow_ask_parts, pg_finfo_tradeflow_ask_parts, ask_parts);

/// One part of a condition with its value.
#[derive(serde::Serialize)]
struct Part {
    part: String,
    /// None: NULL, or it failed.
    value: Option<bool>,
    reads_old: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Each part of a condition is compiled as a rule's condition of its own, and asked about one row.
fn ask_parts(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, regclass, text[], jsonb, jsonb, timestamptz).
    unsafe {
        let definition: Rule = parse(&pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0).unwrap_or_default())?;
        let source = pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, 1).unwrap_or(pg_sys::InvalidOid);
        let parts = pgrx::fcinfo::pg_getarg::<Vec<String>>(fcinfo, 2).unwrap_or_default();
        let [old, new] = [3, 4].map(|n| {
            pgrx::fcinfo::pg_getarg_datum(fcinfo, n)
                .map(|d| pg_sys::pg_detoast_datum(d.cast_mut_ptr()).cast::<pg_sys::Jsonb>())
        });
        let rules = parts.iter().enumerate().map(|(i, part)| Rule {
            // Names that sort as the parts do.
            name: format!("{i:06}"),
            condition: Some(part.clone()),
            fire_at: None,
            still: None,
            columns: None,
            ..definition.clone()
        });
        let relation = pg_sys::relation_open(source, pg_sys::AccessShareLock as i32);
        let table = compile(source, rules.collect())?;
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        let evaluation = Evaluation::over(&table, &raw const pg_sys::TTSOpsVirtual);
        let mut decoder = Decoder::new(&table);
        let at = pgrx::fcinfo::pg_getarg_datum(fcinfo, 5);
        Clock::of(&evaluation).set(at, at);
        let all = every(&table);
        decoder.fill(evaluation.old, old, &all);
        decoder.fill(evaluation.new, new, &all);

        let answers = parts.iter().enumerate().map(|(i, part)| {
            let name = format!("{i:06}");
            let rule = table.rules.iter().find(|r| r.definition.name == name);
            let answer = match (rule, table.quarantined.iter().find(|(n, _)| *n == name)) {
                (Some(rule), _) => in_subtransaction(|| {
                    let _identity = Identity::of(rule);
                    Ok(rule.condition.as_ref().and_then(|c| evaluation.value(c, Version::New)))
                }),
                (None, Some((_, failure))) => Err(failure.clone()),
                (None, None) => Ok(None),
            };
            Part {
                part: part.clone(),
                value: answer.as_ref().ok().and_then(|d| *d).map(|d| d.value() & 1 == 1),
                reads_old: rule.is_some_and(|r| r.mentions_old),
                error: answer.err().map(|failure| failure.message),
            }
        });
        let answers: Vec<Part> = answers.collect();
        Ok(serde_json::to_string(&answers).ok().and_then(IntoDatum::into_datum))
    }
}
