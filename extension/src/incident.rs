//! Incidents: what went wrong and needs a person. Statements only append; tick() adds up.

use crate::error::Failure;
use crate::spi::{self, texts, Value};
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;

/// A row of tradeflow.incidents.
pub struct Incident {
    kind: &'static str,
    rule: String,
    source: String,
    subject: Option<String>,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    sqlstate: Option<String>,
    count: usize,
}

impl Incident {
    /// A rule failed for rows of a table (or a view), of which `subject` is the first.
    pub fn failed(
        rule: &str,
        source: &str,
        subject: Option<&str>,
        failure: &Failure,
        count: usize,
    ) -> Incident {
        let about = subject.map(|s| format!(" for {s}")).unwrap_or_default();
        let message = format!("rule \"{rule}\"{about}: {}", failure.message);
        Incident {
            subject: subject.map(str::to_string),
            count,
            ..Incident::of("rule_error", rule, source, message, failure)
        }
    }

    /// The rule failed so often that it was not asked about further rows of the statement, as many as this.
    pub fn skipped(mut self, rows: usize) -> Incident {
        if rows > 0 {
            let asked = self.count;
            let told =
                format!("it failed for {asked} rows of the statement, and was not asked about {rows} more");
            self.detail = Some(match self.detail.take() {
                None => told,
                Some(detail) => format!("{detail}; {told}"),
            });
            let rule = &self.rule;
            let again =
                format!("mend it, then ask about those rows: select tradeflow.backfill('{rule}', '…')");
            self.hint = Some(match self.hint.take() {
                None => again,
                Some(hint) => format!("{hint} {again}"),
            });
        }
        self
    }

    /// A rule that worked compiles no longer.
    pub fn invalid(rule: &str, source: &str, failure: &Failure) -> Incident {
        let message = format!("rule \"{rule}\" no longer compiles: {}", failure.message);
        Incident::of("rule_invalid", rule, source, message, failure)
    }

    /// A rule fired more often than it may at once.
    pub fn burst(rule: &str, source: &str, count: usize, limit: usize) -> Incident {
        Incident {
            kind: "held_burst",
            rule: rule.to_string(),
            source: source.to_string(),
            subject: None,
            message: format!("rule \"{rule}\" fired {count} times in one statement; more than {limit} are held"),
            detail: None,
            hint: Some(format!(
                "look at them, then select tradeflow.release_held('{rule}'); or select tradeflow.discard_held('{rule}');"
            )),
            sqlstate: None,
            count,
        }
    }

    fn of(kind: &'static str, rule: &str, source: &str, message: String, failure: &Failure) -> Incident {
        Incident {
            kind,
            rule: rule.to_string(),
            source: source.to_string(),
            subject: None,
            message,
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            sqlstate: Some(failure.sqlstate()),
            count: 1,
        }
    }
}

/// Appends incidents. SPI is connected, as the owner of tradeflow's tables.
pub fn insert(incidents: &[Incident]) {
    if incidents.is_empty() {
        return;
    }
    let each = |of: fn(&Incident) -> Option<&str>| texts(incidents.iter().map(of));
    let counts: Vec<Value> = incidents.iter().map(|i| (i.count as i32).into_datum()).collect();
    let mut types = [pg_sys::TEXTARRAYOID; 9];
    types[8] = pg_sys::INT4ARRAYOID;
    let plan = spi::plan(include_str!("sql/insert_incidents.sql"), &types);
    let arguments = [
        each(|i| Some(i.kind)),
        each(|i| Some(&i.rule)),
        each(|i| Some(&i.source)),
        each(|i| i.subject.as_deref()),
        each(|i| Some(&i.message)),
        each(|i| i.detail.as_deref()),
        each(|i| i.hint.as_deref()),
        each(|i| i.sqlstate.as_deref()),
        Some(spi::array(pg_sys::INT4OID, &counts)),
    ];
    spi::write(plan, &arguments);
}
