//! A rule's query: a SELECT over old and new, run once for all rows of a statement that passed the condition.

use super::lookup::Lookup;
use crate::change::{self, ColumnSet};
use crate::definition::Column;
use crate::dependencies::Reads;
use crate::error::{attempt, Failure};
use crate::spi::{self, Rows};
use crate::subtransaction::in_subtransaction;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::ffi::CString;

/// A prepared query.
pub struct Query {
    /// Its parameters are two arrays of rows, new and old; it returns the rows' numbers (from 1), facts, subject,
    /// occurrence and fire_at.
    pub plan: pg_sys::SPIPlanPtr,
    pub row_type: pg_sys::Oid,
    /// It says itself when its answers are due.
    pub timed: bool,
    /// The columns of new and old that a timed query reads: where none of them changed, its answers are due when they were.
    pub reads: ColumnSet,
}

impl Drop for Query {
    fn drop(&mut self) {
        // SAFETY: the plan was kept by `compile` and is nobody else's.
        unsafe { pg_sys::SPI_freeplan(self.plan) };
    }
}

/// Columns of a query that mean something to the rule; the others are the facts.
const RESERVED: [(&str, &str); 3] = [("subject", "text"), ("occurrence", "text"), ("fire_at", "timestamptz")];

/// Prepares a query as the current user.
///
/// # Safety
/// `relation` is open, and `columns` are its columns.
pub unsafe fn compile(
    text: &str,
    relation: pg_sys::Relation,
    columns: &[Column],
    lookup: &Lookup,
) -> Result<Query, Failure> {
    let body = attempt(|| single_select(text)).map_err(|f| f.in_query(text))?;
    // SAFETY: an open relation.
    let row_type = unsafe { (*(*relation).rd_rel).reltype };
    // SAFETY: catalogue look-ups of a type that the open relation owns.
    let (array_type, type_name) = unsafe {
        let name = pg_sys::format_type_extended(row_type, -1, pg_sys::FORMAT_TYPE_FORCE_QUALIFY as u16);
        (pg_sys::get_array_type(row_type), std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    let quoted = |c: &Column| pgrx::spi::quote_identifier(&c.name);
    let there: Vec<&Column> = columns.iter().filter(|c| !c.dropped).collect();
    let names = there.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", ");
    // What the owner may not read is no column of new and old; nor is the rows' number.
    let readable: Vec<(usize, &Column)> =
        there.into_iter().enumerate().filter(|(_, c)| lookup.may_read(c)).collect();
    let inner = |of: &str| {
        readable
            .iter()
            .map(|(n, c)| format!(", {of}.{} as \"tradeflow {of}{n}\"", quoted(c)))
            .collect::<String>()
    };
    let outer = |of: &str| {
        let columns = readable
            .iter()
            .map(|(n, c)| format!("\"tradeflow rows\".\"tradeflow {of}{n}\" as {}", quoted(c)));
        columns.collect::<Vec<_>>().join(", ")
    };
    // The planner removes the subqueries that only rename.
    let from = |new: &str, old: &str| {
        format!(
            "from (select \"tradeflow row\"{}{}\n\
             from unnest({new}::{type_name}[]) with ordinality as n({names}, \"tradeflow row\")\n\
             join unnest({old}::{type_name}[]) with ordinality as o({names}, \"tradeflow row\") using (\"tradeflow row\")\n\
             ) as \"tradeflow rows\"\n\
             cross join lateral (select {}) as new\n\
             cross join lateral (select {}) as old\n\
             cross join lateral (\n",
            inner("n"),
            inner("o"),
            outer("n"),
            outer("o"),
        )
    };
    let types = [array_type, array_type];

    spi::connected(|| {
        // Prepared without parameters first: the author's text must not name ours.
        let probe_prefix = format!("select answer.* {}", from("null", "null"));
        let probe = attempt(|| Ok(spi::prepare(&format!("{probe_prefix}{body}\n) as answer"), &[])))
            .map_err(|failure| relocate(failure, &probe_prefix, text))?;
        let given = result_columns(probe);
        let outputs: Vec<String> = RESERVED
            .iter()
            .map(|(name, as_type)| {
                if given.iter().any(|column| column == name) {
                    format!("answer.{name}::{as_type}")
                } else {
                    format!("null::{as_type}")
                }
            })
            .collect();
        let prefix = format!(
            "select \"tradeflow row\", to_jsonb(answer) - '{{subject,occurrence,fire_at}}'::text[], {} {}",
            outputs.join(", "),
            from("$1", "$2")
        );
        let plan = attempt(|| {
            Ok(spi::prepare(&format!("{prefix}{body}\n) as answer order by \"tradeflow row\""), &types))
        })
        .map_err(|failure| relocate(failure, &prefix, text))?;
        // SAFETY: a valid plan; kept until Query is dropped.
        unsafe { pg_sys::SPI_keepplan(plan) };
        let timed = given.iter().any(|column| column == "fire_at");
        // SAFETY: an open relation.
        let relid = unsafe { (*relation).rd_id };
        let reads = if timed { columns_read(body, &type_name, relid) } else { change::ALL };
        Ok(Query { plan, row_type, timed, reads })
    })
}

/// The columns of the table that a query reads, be it as new, old or by itself. SPI is connected.
fn columns_read(body: &str, table: &str, relid: pg_sys::Oid) -> ColumnSet {
    let found = in_subtransaction(|| Ok(spi::connected(|| reads(body, table))));
    // Where that does not parse (a column that only the owner's rights make unambiguous), any change may matter.
    found.map_or(change::ALL, |reads| {
        let attributes = reads.columns_of(relid).unwrap_or_default();
        attributes
            .iter()
            .fold(0, |set, attno| set | if *attno > 0 { change::bit(*attno) } else { change::ALL })
    })
}

/// What a query over rows of a table reads: as Postgres notes it for its check of rights, where new and old are the table.
pub fn reads(body: &str, table: &str) -> Reads {
    let sql = format!(
        "select answer.* from {table} as new, {table} as old cross join lateral (\n{body}\n) as answer"
    );
    Reads::of(spi::prepare(&sql, &[]))
}

/// Checks the query of a schedule, which stands alone: there is no row that new or old could be.
pub fn check_alone(text: &str) -> Result<(), Failure> {
    attempt(|| single_select(text)).map_err(|f| f.in_query(text))?;
    let body = text.trim_end().trim_end_matches(';');
    spi::connected(|| {
        let prefix = "select answer.* from (\n";
        let probe = attempt(|| Ok(spi::prepare(&format!("{prefix}{body}\n) as answer"), &[])))
            .map_err(|failure| relocate(failure, prefix, text))?;
        let given = result_columns(probe);
        let outputs = RESERVED.iter().filter(|(name, _)| given.iter().any(|column| column == name));
        let casts: String = outputs.map(|(name, as_type)| format!("answer.{name}::{as_type}, ")).collect();
        let prefix = format!("select {casts} to_jsonb(answer) from (\n");
        // Begun, and no row asked for: rights are looked at then.
        attempt(|| {
            let plan = spi::prepare(&format!("{prefix}{body}\n) as answer limit 0"), &[]);
            spi::execute(plan, &[], true, 0);
            Ok(())
        })
        .map_err(|failure| relocate(failure, &prefix, text))
    })
}

/// The names of the columns that a plan returns.
pub fn result_columns(plan: pg_sys::SPIPlanPtr) -> Vec<String> {
    // SAFETY: a valid plan of one statement that returns rows.
    unsafe {
        let sources =
            pgrx::list::PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
        match sources.get_ptr(0) {
            Some(source) => Rows::columns((*source).resultDesc).into_iter().map(|(name, _)| name).collect(),
            None => Vec::new(),
        }
    }
}

/// Whether a text is meant as a statement, not as an expression.
pub fn is_select(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    first == "select" || first == "with"
}

/// One SELECT and nothing else: what changes data has no place in a question. Returns it without what may follow it, a
/// semicolon and comments.
pub fn single_select(text: &str) -> Result<&str, Failure> {
    let source =
        CString::new(text).map_err(|_| Failure::new(ERRCODE_SYNTAX_ERROR, "query holds a NUL character"))?;
    // SAFETY: the raw parse tree of a list of statements.
    let length = unsafe {
        let parsed = pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = pgrx::list::PgList::<pg_sys::RawStmt>::from_pg(parsed);
        let one = match statements.get_ptr(0) {
            Some(statement) if statements.len() == 1 => statement,
            _ => {
                return Err(Failure::new(
                    ERRCODE_SYNTAX_ERROR,
                    format!("query holds {} statements", statements.len()),
                )
                .hint("A query is one SELECT."))
            }
        };
        let select = (*one).stmt.cast::<pg_sys::SelectStmt>();
        if (*(*one).stmt).type_ != pg_sys::NodeTag::T_SelectStmt
            || !(*select).intoClause.is_null()
            || !(*select).lockingClause.is_null()
        {
            return Err(Failure::new(ERRCODE_SYNTAX_ERROR, "query is no plain SELECT")
                .hint("A query only reads: no INSERT, UPDATE, DELETE, SELECT INTO or FOR UPDATE."));
        }
        // 0: to the end of the text.
        match (*one).stmt_len {
            0 => text.len(),
            length => ((*one).stmt_location.max(0) + length) as usize,
        }
    };
    Ok(text.get(..length).unwrap_or(text))
}

/// Moves an error's position from the statement we made to the author's text in it.
fn relocate(mut failure: Failure, prefix: &str, text: &str) -> Failure {
    failure.position = (failure.position - prefix.chars().count() as i32).max(0);
    failure.in_query(text)
}
