//! What the rules said about a statement's rows, until it is written.

use crate::cache::TableRules;
use crate::compile::Event;
use crate::error::Failure;
use crate::evaluate::Version;
use crate::index::RuleNumber;
use crate::pending::Entry;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
use std::rc::Rc;

/// A rule that fails this often in one statement is not asked any more in it.
const MAX_FAULTS: usize = 100;

/// One answer "yes". Datums live in [`pending::context`].
pub struct Firing {
    pub table: Rc<TableRules>,
    pub rule: RuleNumber,
    pub event: Event,
    /// enter, or leave.
    pub edge: &'static str,
    pub subject: String,
    pub occurrence: String,
    /// The key as jsonb, where a timer must be able to ask again.
    pub key: Option<pg_sys::Datum>,
    pub facts: pg_sys::Datum,
    pub fire_at: Option<pg_sys::Datum>,
}

/// A rule's earlier answers about a row hold no longer, or are given anew: what waits for the row is cancelled.
pub struct Left {
    pub table: Rc<TableRules>,
    pub rule: RuleNumber,
    /// The row's key as jsonb.
    pub key: pg_sys::Datum,
    pub reason: &'static str,
}

/// An answer that a rule's query gave about the row as it was and gives no more, though its condition holds: what waits
/// under its name is cancelled.
pub struct Gone {
    pub table: Rc<TableRules>,
    pub rule: RuleNumber,
    pub subject: String,
    pub occurrence: String,
}

/// A rule that failed, with the first row it failed for.
pub struct Fault {
    pub table: Rc<TableRules>,
    pub rule: RuleNumber,
    pub subject: String,
    pub failure: Failure,
    pub count: usize,
    /// Rows that it was not asked about any more, having failed so often.
    pub skipped: usize,
}

impl Fault {
    pub fn new(table: &Rc<TableRules>, rule: RuleNumber, subject: String, failure: Failure) -> Fault {
        Fault { table: Rc::clone(table), rule, subject, failure, count: 1, skipped: 0 }
    }
}

/// What the rules said.
#[derive(Default)]
pub struct Results {
    pub firings: Vec<Firing>,
    pub left: Vec<Left>,
    pub gone: Vec<Gone>,
    pub faults: Vec<Fault>,
    /// Rows with rules that are asked at the statement's end: see [`Rule::late`].
    pub late: Vec<(Rc<Entry>, RuleNumber)>,
    /// Rows whose rules' queries are still to be run.
    pub asked: Vec<Asked>,
    /// Subjects that view rules are to be asked about.
    pub concerned: Vec<Concerned>,
}

/// A subject of a view rule that a changed row concerns.
#[derive(PartialEq, Eq, Hash)]
pub struct Concerned {
    pub rule: String,
    pub subject: String,
}

impl Results {
    pub fn append(&mut self, mut more: Results) {
        self.firings.append(&mut more.firings);
        self.left.append(&mut more.left);
        self.gone.append(&mut more.gone);
        self.late.append(&mut more.late);
        self.asked.append(&mut more.asked);
        self.concerned.append(&mut more.concerned);
        more.faults.into_iter().for_each(|f| self.add_fault(f));
    }

    pub fn add_fault(&mut self, fault: Fault) {
        match self.faults.iter_mut().find(|f| f.rule == fault.rule && Rc::ptr_eq(&f.table, &fault.table)) {
            Some(known) => {
                known.count += fault.count;
                known.skipped += fault.skipped;
            }
            None => self.faults.push(fault),
        }
    }

    /// Whether a rule failed too often to be asked about one more row; the row is counted then.
    pub fn gave_up(&mut self, table: &Rc<TableRules>, rule: RuleNumber) -> bool {
        let given_up =
            |f: &&mut Fault| f.rule == rule && f.count >= MAX_FAULTS && Rc::ptr_eq(&f.table, table);
        match self.faults.iter_mut().find(given_up) {
            Some(fault) => {
                fault.skipped += 1;
                true
            }
            None => false,
        }
    }
}

/// A row that passed the condition of a rule with a query.
pub struct Asked {
    pub entry: Rc<Entry>,
    pub rule: RuleNumber,
    pub subject: String,
    pub key: Option<pg_sys::Datum>,
    pub fire_at: Option<pg_sys::Datum>,
    /// The version in the place of new.
    pub version: Version,
    /// The condition held for the row as it was: only answers that are due at another time than the query would have had them
    /// then, or that it would not have given, are matches.
    pub held_before: bool,
}

/// Subjects and occurrences are indexed, and Postgres refuses to index what is too long: the statement would fail.
const MAX_NAME: usize = 1000;

/// Refuses a subject or an occurrence that is too long to be one.
pub fn short(name: String) -> Result<String, Failure> {
    if name.len() <= MAX_NAME {
        return Ok(name);
    }
    let begin: String = name.chars().take(40).collect();
    Err(Failure::new(
        ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
        format!("subject or occurrence \"{begin}…\" is longer than {MAX_NAME} bytes"),
    )
    .hint("It names what a firing is about: take a key, not a text."))
}
