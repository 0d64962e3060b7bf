//! `tradeflow._settle`: asks view rules about subjects, and compares the answers with what they answered last.
//!
//! The caller holds the subjects' locks (sql/22_view_rules.sql); each view is asked with a fresh snapshot, as its rule's owner.

use crate::error::{sql_function, Failure};
use crate::evaluate::{keep_varlena, short};
use crate::incident::{self, Incident};
use crate::outbox::{self, Row};
use crate::owner::{self, ActAs, PinnedPath};
use crate::pending;
use crate::spi::{self, Value};
use crate::subtransaction::in_subtransaction;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::ffi::CString;

sql_function!(tradeflow_settle, pg_finfo_tradeflow_settle, settle);

/// More subjects than this are worth a plan of their own.
const MANY: usize = 50;

/// A view rule, as far as asking it needs it.
struct Target {
    rule: String,
    view: String,
    owner: pg_sys::Oid,
    path: CString,
    max_firings: usize,
    subject_type: String,
    columns: Vec<String>,
}

/// One row of a view. Datums are kept.
struct Answer {
    rule: String,
    subject: String,
    occurrence: String,
    fire_at: Value,
    recheck_at: Value,
    facts: pg_sys::Datum,
}

/// Who entered or left.
struct Change {
    rule: String,
    subject: String,
    occurrence: String,
    edge: &'static str,
    facts: Value,
}

/// (rules text[], subjects text[], silent boolean): pairs to ask about; subjects NULL asks about everybody.
fn settle(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared so.
    let (rules, subjects, silent) = unsafe {
        (
            pgrx::fcinfo::pg_getarg::<Vec<String>>(fcinfo, 0).unwrap_or_default(),
            pgrx::fcinfo::pg_getarg::<Vec<String>>(fcinfo, 1),
            pgrx::fcinfo::pg_getarg::<bool>(fcinfo, 2).unwrap_or_default(),
        )
    };
    let mut asked: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    match &subjects {
        None => asked.extend(rules.iter().map(|rule| (rule.clone(), None))),
        Some(subjects) => {
            for (rule, subject) in rules.iter().zip(subjects) {
                asked
                    .entry(rule.clone())
                    .or_insert_with(|| Some(Vec::new()))
                    .get_or_insert_default()
                    .push(subject.clone());
            }
        }
    }
    // SAFETY: the callers are functions of ours that run as the extension's owner.
    let extension_owner = unsafe { pg_sys::GetUserId() };
    let targets = targets(extension_owner, asked.keys().cloned().collect());
    let mut answers = Vec::new();
    for target in &targets {
        let subjects = asked.get(&target.rule).cloned().flatten();
        match in_subtransaction(|| target.ask(subjects)) {
            Ok(rows) => answers.extend(rows),
            Err(failure) => {
                // Nothing is known about them: what was answered last stays.
                asked.remove(&target.rule);
                report(extension_owner, target, &failure);
            }
        }
    }
    // A rule that is not asked any more keeps its members too.
    asked.retain(|rule, _| targets.iter().any(|t| &t.rule == rule));

    let _as_owner = ActAs::extension_owner(extension_owner);
    let changes = spi::connected(|| remember(&asked, &answers));
    let count = changes.len() as i32;
    if !silent {
        spi::connected(|| fire(&targets, &changes));
    }
    drop((answers, changes));
    pending::release();
    Ok(count.into_datum())
}

fn targets(extension_owner: pg_sys::Oid, rules: Vec<String>) -> Vec<Target> {
    let _as_owner = ActAs::extension_owner(extension_owner);
    spi::connected(|| {
        let plan = spi::plan(include_str!("sql/view_target.sql"), &[pg_sys::TEXTARRAYOID]);
        let rows = spi::execute(plan, &[rules.into_datum()], false, 0);
        (0..rows.len())
            .filter_map(|i| {
                // SAFETY: the columns' types are the statement's.
                unsafe {
                    Some(Target {
                        rule: rows.text(i, 0)?,
                        view: rows.text(i, 1)?,
                        owner: pg_sys::Oid::from_datum(rows.datum(i, 2)?, false)?,
                        path: owner::rule_path(&rows.text(i, 3)?),
                        max_firings: i32::from_datum(rows.datum(i, 4)?, false)? as usize,
                        subject_type: rows.text(i, 5)?,
                        columns: Vec::<String>::from_datum(rows.datum(i, 6)?, false)?,
                    })
                }
            })
            .collect()
    })
}

impl Target {
    /// Asks the view about these subjects, or all. Subjects are compared in their own type, so that the view's tables
    /// are read by their indexes.
    fn ask(&self, subjects: Option<Vec<String>>) -> Result<Vec<Answer>, Failure> {
        let _owner = ActAs::rule_owner(self.owner);
        let _path = PinnedPath::new(&self.path);
        let column = |name: &str, as_type: &str| match self.columns.iter().any(|c| c == name) {
            true => format!("answer.{name}::{as_type}"),
            false => format!("null::{as_type}"),
        };
        let only = match &subjects {
            Some(_) => format!("where answer.subject = any ($1::text[]::{}[])", self.subject_type),
            None => "where $1::text[] is null".to_string(),
        };
        let sql = format!(
            "select answer.subject::text, {}, {}, {}, to_jsonb(answer) - '{{subject,occurrence,fire_at,recheck_at}}'::text[] from {} answer {only}",
            column("occurrence", "text"),
            column("fire_at", "timestamptz"),
            column("recheck_at", "timestamptz"),
            self.view,
        );
        spi::connected(|| {
            let many = subjects.as_ref().is_none_or(|s| s.len() > MANY);
            let plan = if many { spi::plan_for_arguments } else { spi::plan };
            let rows = spi::execute(plan(&sql, &[pg_sys::TEXTARRAYOID]), &[subjects.into_datum()], false, 0);
            (0..rows.len())
                .filter_map(|i| Some((rows.text(i, 0)?, i)))
                .map(|(subject, i)| {
                    Ok(Answer {
                        rule: self.rule.clone(),
                        subject: short(subject)?,
                        occurrence: short(rows.text(i, 1).unwrap_or_default())?,
                        fire_at: rows.datum(i, 2),
                        recheck_at: rows.datum(i, 3),
                        facts: keep_varlena(rows.datum(i, 4).unwrap_or(pg_sys::Datum::from(0usize))),
                    })
                })
                .collect()
        })
    }
}

/// Brings members up to date; says who entered and who left.
fn remember(asked: &BTreeMap<String, Option<Vec<String>>>, answers: &[Answer]) -> Vec<Change> {
    let pairs: Vec<(&String, &String)> =
        asked.iter().flat_map(|(rule, subjects)| subjects.iter().flatten().map(move |s| (rule, s))).collect();
    let texts = |values: Vec<&str>| values.into_datum();
    let all: Vec<&str> = asked.iter().filter(|(_, s)| s.is_none()).map(|(rule, _)| rule.as_str()).collect();
    let datums = |element, of: fn(&Answer) -> Value| {
        let values: Vec<Value> = answers.iter().map(of).collect();
        Some(spi::array(element, &values))
    };
    let mut types = [pg_sys::TEXTARRAYOID; 9];
    types[6..].copy_from_slice(&[
        pg_sys::TIMESTAMPTZARRAYOID,
        pg_sys::TIMESTAMPTZARRAYOID,
        pg_sys::JSONBARRAYOID,
    ]);
    let plan = spi::plan(include_str!("sql/update_members.sql"), &types);
    let arguments = [
        texts(pairs.iter().map(|p| p.0.as_str()).collect()),
        texts(pairs.iter().map(|p| p.1.as_str()).collect()),
        texts(all),
        texts(answers.iter().map(|a| a.rule.as_str()).collect()),
        texts(answers.iter().map(|a| a.subject.as_str()).collect()),
        texts(answers.iter().map(|a| a.occurrence.as_str()).collect()),
        datums(pg_sys::TIMESTAMPTZOID, |a| a.fire_at),
        datums(pg_sys::TIMESTAMPTZOID, |a| a.recheck_at),
        datums(pg_sys::JSONBOID, |a| Some(a.facts)),
    ];
    let rows = spi::execute(plan, &arguments, false, 0);
    (0..rows.len())
        .filter_map(|i| {
            Some(Change {
                rule: rows.text(i, 0)?,
                subject: rows.text(i, 1)?,
                occurrence: rows.text(i, 2)?,
                edge: if rows.text(i, 3)? == "leave" { "leave" } else { "enter" },
                facts: rows.datum(i, 4).map(keep_varlena),
            })
        })
        .collect()
}

/// Firings of those who entered and left; what still waits for those who left is cancelled.
fn fire(targets: &[Target], changes: &[Change]) {
    outbox::cancel_left(
        changes
            .iter()
            .filter(|c| c.edge == "leave")
            .map(|c| (c.rule.as_str(), c.subject.as_str(), c.occurrence.as_str())),
    );
    let mut rows = Vec::with_capacity(changes.len());
    for target in targets {
        let of_rule: Vec<&Change> = changes.iter().filter(|c| c.rule == target.rule).collect();
        let held = of_rule.len() > target.max_firings;
        if held {
            incident::insert(&[Incident::burst(
                &target.rule,
                &target.view,
                of_rule.len(),
                target.max_firings,
            )]);
        }
        rows.extend(of_rule.into_iter().map(|c| Row {
            rule: &c.rule,
            source: &target.view,
            event: "view",
            edge: c.edge,
            subject: &c.subject,
            occurrence: &c.occurrence,
            key: None,
            facts: c.facts,
            fire_at: None,
            held,
        }));
    }
    outbox::insert_firings(&rows, None);
}

fn report(extension_owner: pg_sys::Oid, target: &Target, failure: &Failure) {
    let _as_owner = ActAs::extension_owner(extension_owner);
    spi::connected(|| incident::insert(&[Incident::failed(&target.rule, &target.view, None, failure, 1)]));
}
