//! `tradeflow._still`: a due timer asks its rule's question again, about the row as it is now.

use crate::compile::{result_columns, single_select};
use crate::error::{sql_function, Failure};
use crate::owner::{self, ActAs, PinnedPath};
use crate::spi;
use crate::subtransaction::in_subtransaction;
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_literal};
use std::ffi::CString;

sql_function!(tradeflow_still, pg_finfo_tradeflow_still, still);

/// The parameters of the question: the row's key, subject and occurrence of the answer.
const TYPES: [pg_sys::Oid; 3] = [pg_sys::JSONBOID, pg_sys::TEXTOID, pg_sys::TEXTOID];

/// What asking needs of a rule.
struct Question {
    source: String,
    condition: Option<String>,
    query: Option<String>,
    still: Option<String>,
    path: CString,
    owner: pg_sys::Oid,
    key: Vec<String>,
    relid: pg_sys::Oid,
}

fn still(fcinfo: pg_sys::FunctionCallInfo) -> Result<Option<pg_sys::Datum>, Failure> {
    // SAFETY: declared as (text, jsonb, text, text), strict.
    let [rule, key, subject, occurrence] =
        [0, 1, 2, 3].map(|n| unsafe { pgrx::fcinfo::pg_getarg_datum_raw(fcinfo, n) });
    // SAFETY: the caller is tick(), which runs as the extension's owner.
    let caller = unsafe { pg_sys::GetUserId() };
    let question = {
        let _as_owner = ActAs::extension_owner(caller);
        spi::connected(|| {
            let rows = spi::execute(
                spi::plan(include_str!("sql/still_target.sql"), &[pg_sys::TEXTOID]),
                &[Some(rule)],
                true,
                1,
            );
            // SAFETY: the columns' types are the statement's.
            (rows.len() > 0).then(|| unsafe { Question::of(&rows) }).flatten()
        })
    };
    let Some(question) = question else { return Ok(None) };
    let facts = in_subtransaction(|| {
        let _owner = ActAs::rule_owner(question.owner);
        let _path = PinnedPath::new(&question.path);
        spi::connected(|| {
            let sql = question.sql()?;
            let answers = spi::execute(
                spi::prepare(&sql, &TYPES),
                &[Some(key), Some(subject), Some(occurrence)],
                true,
                1,
            );
            Ok((answers.len() > 0).then(|| answers.text(0, 0)).flatten())
        })
    })?;
    Ok(facts.and_then(|text| {
        let text = CString::new(text).ok()?;
        // SAFETY: jsonb's own input function, with text that jsonb's output function made.
        Some(unsafe {
            pgrx::direct_function_call_as_datum(
                pg_sys::jsonb_in,
                &[Some(pg_sys::Datum::from(text.as_ptr()))],
            )?
        })
    }))
}

impl Question {
    unsafe fn of(rows: &spi::Rows) -> Option<Question> {
        // SAFETY: the caller's promise.
        unsafe {
            Some(Question {
                source: rows.text(0, 0)?,
                condition: rows.text(0, 1),
                query: rows.text(0, 2),
                still: rows.text(0, 3),
                path: owner::rule_path(&rows.text(0, 4)?),
                owner: pg_sys::Oid::from_datum(rows.datum(0, 5)?, false)?,
                key: Vec::<String>::from_datum(rows.datum(0, 6)?, false)?,
                relid: pg_sys::Oid::from_datum(rows.datum(0, 7)?, false)?,
            })
        }
    }

    /// One SELECT over the row as it is: its facts, or no row for "no". SPI is connected.
    fn sql(&self) -> Result<String, Failure> {
        let condition = self.still.as_ref().or(self.condition.as_ref()).map_or("true", String::as_str);
        let mut filters = Vec::new();
        for column in &self.key {
            filters.push(format!(
                "new.{} = ($1->>{})::{}",
                quote_identifier(column),
                quote_literal(column),
                self.type_of(column)
            ));
        }
        filters.push(format!("(\n{condition}\n)"));
        let from = format!("from {} as new", self.source);
        let Some(query) = &self.query else {
            return Ok(format!("select to_jsonb(new) {from}\nwhere {}", filters.join(" and ")));
        };
        let from = format!(
            "{from} cross join lateral (select (null::{}).*) as old\ncross join lateral (\n{}\n) as answer",
            self.source,
            single_select(query)?
        );
        // The same answer, where the query gives several.
        let given = result_columns(spi::prepare(&format!("select answer.* {from}"), &TYPES));
        if given.iter().any(|column| column == "subject") {
            filters.push("(answer.subject::text = $2 or answer.subject is null)".to_string());
        }
        if given.iter().any(|column| column == "occurrence") {
            filters.push("coalesce(answer.occurrence::text, '') = $3".to_string());
        }
        Ok(format!(
            "select to_jsonb(answer) - '{{subject,occurrence,fire_at}}'::text[] {from}\nwhere {} limit 1",
            filters.join(" and ")
        ))
    }

    /// The column's type as SQL writes it: keys are compared in their own type, so that the table's index serves.
    fn type_of(&self, column: &str) -> String {
        let name = CString::new(column).unwrap_or_default();
        // SAFETY: catalogue look-ups; the text is palloc'd and copied.
        unsafe {
            let attno = pg_sys::get_attnum(self.relid, name.as_ptr());
            let (mut type_oid, mut typmod, mut collation) = (pg_sys::InvalidOid, 0, pg_sys::InvalidOid);
            pg_sys::get_atttypetypmodcoll(self.relid, attno, &mut type_oid, &mut typmod, &mut collation);
            let text = pg_sys::format_type_extended(
                type_oid,
                typmod,
                (pg_sys::FORMAT_TYPE_FORCE_QUALIFY | pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN) as u16,
            );
            std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}
