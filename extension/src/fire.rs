//! Firings without a change: `tradeflow._backfill` for what is there already, `tradeflow._run_schedule` when a time has come.
//!
//! One statement gathers the answers, as the caller or as the rule's owner; one insert makes them firings.

use crate::compile::{self, result_columns, Lookup};
use crate::definition;
use crate::error::{sql_function, Failure};
use crate::incident::{self, Incident};
use crate::outbox::{self, Row};
use crate::owner::{self, ActAs, PinnedPath};
use crate::pending::{self, keep_varlena};
use crate::results::short;
use crate::spi::{self, Value};
use crate::subtransaction::in_subtransaction;
use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use pgrx::spi::{quote_identifier, quote_literal};
use std::ffi::CString;

sql_function!(tradeflow_backfill, pg_finfo_tradeflow_backfill, backfill);
sql_function!(tradeflow_run_schedule, pg_finfo_tradeflow_run_schedule, run_schedule);

/// More at once nobody meant.
const MAX_ROWS: usize = 100_000;

/// A rule to be fired.
struct Target {
    name: String,
    source: Option<String>,
    view: Option<String>,
    schedule: Option<String>,
    query: Option<String>,
    condition: Option<String>,
    fire_at: Option<String>,
    still: Option<String>,
    search_path: String,
    owner: pg_sys::Oid,
    max_firings: usize,
    mode: String,
    asked: bool,
    key: Vec<String>,
    relid: pg_sys::Oid,
    /// Why it is not asked.
    reason: Option<String>,
}

/// An answer; datums are kept.
struct Answer {
    subject: String,
    occurrence: String,
    key: Value,
    facts: Value,
    fire_at: Value,
}

/// (rule text, "where" text, "limit" int, mode text): as the caller.
fn backfill(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared so.
    let (name, filter, limit, mode, caller) = unsafe {
        let text = |n| pgrx::fcinfo::pg_getarg::<String>(fcinfo, n);
        let limit = pgrx::fcinfo::pg_getarg::<i32>(fcinfo, 2);
        (text(0).unwrap_or_default(), text(1), limit, text(3), pg_sys::GetUserId())
    };
    let target = Target::load(&name)?;
    target.require_member(caller)?;
    let how = target.how(mode.as_deref())?;
    if limit.is_some_and(|limit| limit < 1) {
        return Err(Failure::new(ERRCODE_INVALID_PARAMETER_VALUE, "limit must be at least 1"));
    }
    let asks_again = target.asks_again()?;
    let answers = target.gather(caller, |target| {
        let mut sql = match &target.view {
            Some(view) => target.view_sql(view, filter.as_deref()),
            None => target.row_sql(asks_again, filter.as_deref()),
        };
        if let Some(limit) = limit {
            sql.push_str(&format!(" limit {limit}"));
        }
        sql
    })?;
    Ok((target.fire("backfill", &answers, how)? as i32).into_datum())
}

/// (rule text): as the rule's owner. The caller is tick().
fn run_schedule(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared so, strict.
    let name = unsafe { pgrx::fcinfo::pg_getarg::<String>(fcinfo, 0) }.unwrap_or_default();
    let target = Target::load(&name)?;
    let answers = target.gather(target.owner, Target::schedule_sql)?;
    Ok((target.fire("schedule", &answers, None)? as i32).into_datum())
}

impl Target {
    fn load(name: &str) -> Result<Target, Failure> {
        let unknown = || Failure::new(ERRCODE_UNDEFINED_OBJECT, format!("there is no rule \"{name}\""));
        let extension_owner = definition::extension_owner().ok_or_else(unknown)?;
        let _as_owner = ActAs::extension_owner(extension_owner);
        spi::connected(|| {
            let plan = spi::plan(include_str!("sql/fire_target.sql"), &[pg_sys::TEXTOID]);
            let rows = spi::execute(plan, &[name.into_datum()], false, 1);
            if rows.len() == 0 {
                return Err(unknown());
            }
            let text = |column| rows.text(0, column);
            // SAFETY: the columns' types are the statement's.
            unsafe {
                let oid = |column| rows.datum(0, column).and_then(|d| pg_sys::Oid::from_datum(d, false));
                let number = rows.datum(0, 9).and_then(|d| i32::from_datum(d, false));
                Ok(Target {
                    name: name.to_string(),
                    source: text(0),
                    view: text(1),
                    schedule: text(2),
                    query: text(3),
                    condition: text(4),
                    fire_at: text(5),
                    still: text(6),
                    search_path: text(7).unwrap_or_default(),
                    owner: oid(8).unwrap_or(pg_sys::InvalidOid),
                    max_firings: number.unwrap_or_default() as usize,
                    mode: text(10).unwrap_or_default(),
                    asked: rows.datum(0, 11).and_then(|d| bool::from_datum(d, false)).unwrap_or_default(),
                    key: rows
                        .datum(0, 12)
                        .and_then(|d| Vec::<String>::from_datum(d, false))
                        .unwrap_or_default(),
                    relid: oid(13).unwrap_or(pg_sys::InvalidOid),
                    reason: text(14),
                })
            }
        })
    }

    fn require_member(&self, user: pg_sys::Oid) -> Result<(), Failure> {
        // SAFETY: a catalogue look-up.
        if unsafe { pg_sys::is_member_of_role(user, self.owner) } {
            return Ok(());
        }
        Err(Failure::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("rule \"{}\" belongs to a role that you are no member of", self.name),
        )
        .hint("What it fires acts in the name of that role, so only its members may have it fire."))
    }

    /// What is to become of the firings; an error where that may not be.
    fn how(&self, mode: Option<&str>) -> Result<Option<&'static str>, Failure> {
        let name = &self.name;
        let not_now = |why: String, hint: &str| {
            Err(Failure::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, why).hint(hint))
        };
        if self.schedule.is_some() {
            return not_now(
                format!("rule \"{name}\" has a schedule, and no rows that could have fired it"),
                "Its query is run when it is due: tradeflow.schedules says when.",
            );
        } else if !self.asked {
            let why = self.reason.as_deref().unwrap_or("it is off");
            return not_now(
                format!("rule \"{name}\" is not asked: {why}"),
                "Set its mode to shadow or live, or resume it.",
            );
        }
        match mode {
            None => Ok(None),
            Some("shadow") => Ok(Some("shadow")),
            Some("held") => Ok(Some("held")),
            Some("live") if self.mode == "live" => Ok(None),
            Some("live") => not_now(
                format!("rule \"{name}\" is in mode {}", self.mode),
                "A backfill sends nothing that the rule itself would not: set its mode to live first.",
            ),
            Some(other) => Err(Failure::new(
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("mode must be live, held or shadow, not {other}"),
            )
            .hint("NULL: as the rule's own mode. held: nothing is executed until tradeflow.release_held().")),
        }
    }

    /// Whether a timer of it asks again when it is due, and needs the row's key for that. Compiles the rule: an error
    /// says what it would have said when it was written.
    fn asks_again(&self) -> Result<bool, Failure> {
        if self.source.is_none() {
            return Ok(false);
        }
        let Some(table) = definition::load(self.relid, false) else { return Ok(false) };
        let rule = definition::Rule {
            name: self.name.clone(),
            condition: self.condition.clone(),
            query: self.query.clone(),
            fire_at: self.fire_at.clone(),
            search_path: self.search_path.clone(),
            owner: self.owner.to_u32(),
            ..Default::default()
        };
        // SAFETY: the relation is open while it is used; what compiling leaves goes with the call's memory.
        unsafe {
            let relation = pg_sys::relation_open(self.relid, pg_sys::AccessShareLock as i32);
            let columns = definition::columns((*relation).rd_att, &table.ignore);
            let compiled = compile::compile(&rule, relation, &columns, &Lookup::of(&table), &mut Vec::new());
            pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
            compiled.map(|rule| self.still.is_some() || !rule.mentions_old)
        }
    }

    /// Runs the statement that `sql` makes, as `user`, in a security-restricted operation that cannot write.
    fn gather(&self, user: pg_sys::Oid, sql: impl Fn(&Target) -> String) -> Result<Vec<Answer>, Failure> {
        in_subtransaction(|| {
            let _user = ActAs::rule_owner(user);
            let path = owner::rule_path(&self.search_path);
            let _path = PinnedPath::new(&path);
            spi::connected(|| {
                let rows = spi::execute(spi::prepare(&sql(self), &[]), &[], false, MAX_ROWS + 1);
                if rows.len() > MAX_ROWS {
                    return Err(Failure::new(
                        ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                        format!("rule \"{}\" would fire more than {MAX_ROWS} times at once", self.name),
                    )
                    .hint("Take it in parts, by a condition on the key."));
                }
                (0..rows.len())
                    .map(|i| {
                        Ok(Answer {
                            subject: short(rows.text(i, 0).unwrap_or_default())?,
                            occurrence: short(rows.text(i, 1).unwrap_or_default())?,
                            key: rows.datum(i, 2).map(keep_varlena),
                            facts: rows.datum(i, 3).map(keep_varlena),
                            fire_at: rows.datum(i, 4),
                        })
                    })
                    .collect()
            })
        })
    }

    /// Makes the answers firings; returns how many.
    fn fire(&self, event: &str, answers: &[Answer], how: Option<&'static str>) -> Result<usize, Failure> {
        let Some(extension_owner) = definition::extension_owner() else { return Ok(0) };
        let burst = answers.len() > self.max_firings && how != Some("shadow");
        let source = match (&self.source, &self.view) {
            (Some(source), _) | (_, Some(source)) => source.clone(),
            // Its subjects are its own: they share no lane with a table's rows.
            (None, None) => format!("schedule {}", self.name),
        };
        let rows: Vec<Row> = answers
            .iter()
            .map(|a| Row {
                rule: &self.name,
                definition: None,
                source: &source,
                event,
                edge: "enter",
                subject: &a.subject,
                occurrence: &a.occurrence,
                key: a.key,
                facts: a.facts,
                fire_at: a.fire_at,
                held: burst || how == Some("held"),
            })
            .collect();
        let placed = {
            let _as_owner = ActAs::extension_owner(extension_owner);
            spi::connected(|| {
                if how.is_none() {
                    outbox::cancel_replaced(
                        answers
                            .iter()
                            .map(|a| (self.name.as_str(), a.subject.as_str(), a.occurrence.as_str())),
                    );
                }
                if burst && how.is_none() {
                    incident::insert(&[Incident::burst(&self.name, &source, rows.len(), self.max_firings)]);
                }
                outbox::insert_firings(&rows, how)
            })
        };
        drop(rows);
        pending::release();
        Ok(placed)
    }

    /// The rows of the source for which the rule says yes, as if each had just become so.
    fn row_sql(&self, asks_again: bool, filter: Option<&str>) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        let columns: Vec<String> = self.key.iter().map(|k| format!("new.{}", quote_identifier(k))).collect();
        let subject = match columns.as_slice() {
            [one] => format!("{one}::text"),
            several => {
                let parts: Vec<String> = several.iter().map(|c| format!("{c}::text")).collect();
                format!("array[{}]::text", parts.join(", "))
            }
        };
        let pairs: Vec<String> =
            self.key.iter().zip(&columns).map(|(k, c)| format!("{}, {c}", quote_literal(k))).collect();
        let key = match asks_again {
            true => format!("jsonb_build_object({})", pairs.join(", ")),
            false => "null::jsonb".to_string(),
        };
        let fire_at = self.fire_at.as_ref().map_or("null".to_string(), |f| format!("(\n{f}\n)"));
        let old = format!("(select (null::{source}).*) as old");
        let (values, query) = match &self.query {
            None => (format!("{subject}, '', {key}, to_jsonb(new), {fire_at}::timestamptz"), String::new()),
            Some(query) => {
                let query = format!("cross join lateral (\n{}\n) as answer", without_end(query));
                let [s, o, f] = reserved(&format!("from {source} as new cross join {old} {query}"));
                let values = format!(
                    "coalesce({s}, {subject}), coalesce({o}, ''), {key}, {FACTS}, coalesce({f}, {fire_at}::timestamptz)"
                );
                (values, query)
            }
        };
        let condition = self.condition.as_ref().map_or("true".to_string(), |c| format!("(\n{c}\n)"));
        // The filter is outside, where new is the only table: its columns may be written without new.
        let filter = filter.map_or("true".to_string(), |f| format!("(\n{f}\n)"));
        format!(
            "select found.* from {source} as new cross join lateral (\n\
             select {values} from {old} {query} where {condition}\n\
             ) as found(\"tradeflow 1\", \"tradeflow 2\", \"tradeflow 3\", \"tradeflow 4\", \"tradeflow 5\")\n\
             where {filter} order by {}",
            columns.join(", ")
        )
    }

    /// The rows of the view, but those whose time to enter is still to come.
    fn view_sql(&self, view: &str, filter: Option<&str>) -> String {
        let [s, o, f] = reserved(&format!("from {view} as answer"));
        let filter = filter.map_or("true".to_string(), |f| format!("(\n{f}\n)"));
        format!(
            "select {s}, {o}, null::jsonb, {FACTS}, null::timestamptz from {view} as answer\n\
             where {filter} and coalesce({f} <= tradeflow.now(), true) order by answer.subject"
        )
    }

    fn schedule_sql(&self) -> String {
        let query = without_end(self.query.as_deref().unwrap_or_default());
        let [s, o, f] = reserved(&format!("from (\n{query}\n) as answer"));
        format!("select coalesce({s}, (row_number() over ())::text), {o}, null::jsonb, {FACTS}, {f} from (\n{query}\n) as answer")
    }
}

/// The columns of an answer that are none of the reserved ones.
const FACTS: &str = "to_jsonb(answer) - '{subject,occurrence,fire_at,recheck_at}'::text[]";

/// subject, occurrence and fire_at of `answer` in this FROM, NULL where it does not give them. SPI is connected.
fn reserved(from: &str) -> [String; 3] {
    let given = result_columns(spi::prepare(&format!("select answer.* {from}"), &[]));
    [("subject", "text"), ("occurrence", "text"), ("fire_at", "timestamptz")].map(|(name, as_type)| {
        match given.iter().any(|column| column == name) {
            true => format!("answer.{name}::{as_type}"),
            false => format!("null::{as_type}"),
        }
    })
}

fn without_end(query: &str) -> &str {
    query.trim_end().trim_end_matches(';')
}

sql_function!(tradeflow_check_schedule, pg_finfo_tradeflow_check_schedule, check_schedule);

/// (rule text, query text, search_path text, owner regrole): whether a schedule's query can be run, as its owner.
fn check_schedule(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared so, strict.
    let (rule, query, path, owner) = unsafe {
        let text = |n| pgrx::fcinfo::pg_getarg::<String>(fcinfo, n).unwrap_or_default();
        let owner = pgrx::fcinfo::pg_getarg::<pg_sys::Oid>(fcinfo, 3).unwrap_or(pg_sys::InvalidOid);
        (text(0), text(1), text(2), owner)
    };
    // SAFETY: catalogue look-ups.
    if !unsafe { pg_sys::is_member_of_role(pg_sys::GetUserId(), owner) } {
        return Err(Failure::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("rule \"{rule}\" belongs to a role you are no member of"),
        ));
    }
    let path: CString = owner::rule_path(&path);
    let _owner = ActAs::rule_owner(owner);
    let _path = PinnedPath::new(&path);
    compile::check_alone(&query).map_err(|mut failure| {
        failure.message = format!("rule \"{rule}\": {}", failure.message);
        failure
    })?;
    Ok(None)
}
