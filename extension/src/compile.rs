//! Compiling a rule: from the author's SQL to expressions that Postgres' executor evaluates over old and new.
//!
//! The way of `CREATE TRIGGER … WHEN`: parsed by Postgres' own parser, with `old` and `new` as the two range-table
//! entries; planned once; evaluated over the two rows' slots. No language of our own.

mod expression;
mod functions;
mod input;
mod lookup;
mod query;
mod rewrite;

pub use expression::{Expression, Reads};
pub use lookup::{Dependency, Lookup, REPLAYED_CLOCK, REPLAYED_NOW};
pub use query::{check_alone, result_columns, single_select, Query};

use crate::change::{self, ColumnSet};
use crate::definition::{self, Column};
use crate::error::Failure;
use crate::facts::Facts;
use crate::index::Gate;
use crate::owner::{self, ActAs, PinnedPath};
use expression::Wanted;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode::*;
use std::ffi::CString;

/// What a row's event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Insert = 1,
    Update = 2,
    Delete = 3,
}

impl Event {
    pub fn name(self) -> &'static str {
        match self {
            Event::Insert => "insert",
            Event::Update => "update",
            Event::Delete => "delete",
        }
    }

    /// The other way round; also the subscript of the trigger's WHEN clause.
    pub fn from_number(number: usize) -> Option<Event> {
        [Event::Insert, Event::Update, Event::Delete].into_iter().find(|e| *e as usize == number)
    }
}

/// A rule, ready to be asked.
pub struct Rule {
    pub definition: definition::Rule,
    pub owner: pg_sys::Oid,
    pub path: CString,
    /// None: every change.
    pub condition: Option<Expression>,
    /// The condition is its own edge.
    pub mentions_old: bool,
    /// Only the becoming of yes counts, not the being so.
    pub on_enter: bool,
    pub fire_at: Option<Expression>,
    pub query: Option<Query>,
    /// It calls a function that may read tables: asked at the statement's end like a query, so that the answer is the same
    /// however many rows the statement has.
    pub late: bool,
    /// Positions of the columns one of which must have changed.
    pub columns: Option<Vec<usize>>,
    /// Firings may wait for their time: a "no" must cancel them.
    pub timed: bool,
    /// For an input of a view rule without a query: the subject of a row, as text.
    pub subject: Option<Expression>,
    /// What must have changed, and what must hold, for the condition to be worth asking.
    pub gate: Gate,
}

impl Rule {
    pub fn listens_to(&self, event: Event) -> bool {
        self.definition.events.iter().any(|e| e == event.name())
    }

    /// Whether a "no" after a "yes" has something to do: cancel what waits, or run leave actions.
    pub fn follows(&self) -> bool {
        (self.timed || self.definition.leaves) && !self.mentions_old
    }
}

/// Compiles a definition for the rows of `relation`, as its owner. Everything it keeps is allocated in the current
/// memory context.
///
/// # Safety
/// `relation` is open, and `columns` are its columns.
pub unsafe fn compile(
    definition: &definition::Rule,
    relation: pg_sys::Relation,
    columns: &[Column],
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
) -> Result<Rule, Failure> {
    let owner = pg_sys::Oid::from(definition.owner);
    let path = owner::rule_path(&definition.search_path);
    let _as_owner = ActAs::rule_owner(owner);
    let _path = PinnedPath::new(&path);

    let mut compile_part = |text: &Option<String>, wanted: Wanted| -> Result<Option<Expression>, Failure> {
        text.as_deref()
            // SAFETY: the caller's promise.
            .map(|text| unsafe { expression::compile(text, wanted, relation, lookup, dependencies) })
            .transpose()
    };
    let condition = compile_part(&definition.condition, Wanted::Condition)?;
    let still = compile_part(&definition.still, Wanted::Still)?;
    if still.is_some_and(|still| still.old.any()) {
        return Err(Failure::new(ERRCODE_INVALID_COLUMN_REFERENCE, "still mentions old")
            .hint("When a timer is due there is only the row as it is then: new."));
    }
    let fire_at = compile_part(&definition.fire_at, Wanted::FireAt)?;
    let maps_by_query = definition.subject.as_deref().is_some_and(query::is_select);
    let (query_text, subject) = match &definition.subject {
        Some(text) if maps_by_query => {
            (Some(format!("select mapped.subject from (\n{text}\n) as mapped(subject)")), None)
        }
        Some(_) => {
            (None, compile_part(&definition.subject, Wanted::Subject(definition.subject_type.into()))?)
        }
        None => (definition.query.clone(), None),
    };
    let query = match &query_text {
        // SAFETY: the caller's promise.
        Some(text) => Some(unsafe { query::compile(text, relation, columns, lookup)? }),
        None => None,
    };

    let mut reads = Reads::default();
    for part in [&condition, &fire_at, &subject].into_iter().flatten() {
        reads.add(&part.new);
        reads.add(&part.old);
    }
    if query.is_none() && subject.is_none() {
        reads.whole = true;
    }
    lookup.require_select(columns, &reads)?;
    let late = [&condition, &fire_at, &subject].into_iter().flatten().any(|part| part.may_read_tables);

    let mentions_old = condition.as_ref().is_some_and(|c| c.old.any());
    let on_enter = definition.fires != "always" && condition.is_some() && !mentions_old;
    let filter = match &definition.columns {
        Some(names) => Some(
            names
                .iter()
                .map(|name| {
                    columns.iter().position(|c| !c.dropped && &c.name == name).ok_or_else(|| {
                        Failure::new(
                            ERRCODE_UNDEFINED_COLUMN,
                            format!("columns names \"{name}\", which the table does not have"),
                        )
                    })
                })
                .collect::<Result<Vec<usize>, Failure>>()?,
        ),
        None => None,
    };
    let timed = fire_at.is_some() || definition.delayed || query.as_ref().is_some_and(|q| q.timed);
    let follows = (timed || definition.leaves) && !mentions_old;
    // What waits names the row by its key: a row that gets another one is looked at, whatever else changed.
    let key = columns
        .iter()
        .filter(|c| follows && lookup.key.contains(&c.name))
        .fold(0, |set, c| set | change::bit(c.attno));
    let mapping = match &subject {
        Some(expression) => Ok(expression),
        None => Err(query_text.as_deref().unwrap_or_default()),
    };
    let must_change = match definition.maps_to_view() {
        // SAFETY: the caller's promise.
        true => unsafe {
            input::changes_that_matter(definition, mapping, relation, columns, lookup, dependencies)
        },
        false => must_change(on_enter, &condition, &fire_at, &query) | key,
    };
    // SAFETY: the planned expression is valid; only read.
    let gate = unsafe { Gate::of(condition.as_ref(), must_change, filter.as_deref(), key, columns, follows) };
    Ok(Rule {
        definition: definition.clone(),
        owner,
        path,
        condition,
        mentions_old,
        on_enter,
        fire_at,
        query,
        late,
        columns: filter,
        timed,
        subject,
        gate,
    })
}

/// The columns one of which must change in an update for the rule to have anything to say. A condition that did hold
/// and reads only unchanged columns still holds: it is not entered.
fn must_change(
    on_enter: bool,
    condition: &Option<Expression>,
    fire_at: &Option<Expression>,
    query: &Option<Query>,
) -> ColumnSet {
    match condition {
        Some(condition) if on_enter => {
            condition.new.set()
                | fire_at.as_ref().map_or(0, |f| f.new.set() | f.old.set())
                | query.as_ref().filter(|q| q.timed).map_or(0, |q| q.reads)
        }
        _ => change::ALL,
    }
}

/// The expressions that are the same for every rule of a table.
pub struct RowExpressions {
    /// The key of new as text: the subject.
    pub subject: Expression,
    /// The key columns of new with their values, as jsonb.
    pub key: Expression,
    /// to_jsonb(new): the facts.
    pub facts: Facts,
}

/// Compiles them.
///
/// # Safety
/// As for [`compile`].
pub unsafe fn row_expressions(
    relation: pg_sys::Relation,
    key: &[String],
    lookup: &Lookup,
    dependencies: &mut Vec<Dependency>,
) -> Result<RowExpressions, Failure> {
    let _path = PinnedPath::new(c"pg_catalog, pg_temp");
    let mut internal = |text: String| {
        // SAFETY: the caller's promise.
        unsafe { expression::compile(&text, Wanted::Internal, relation, lookup, dependencies) }
    };
    let quoted: Vec<String> = key.iter().map(pgrx::spi::quote_identifier).collect();
    let subject = match quoted.as_slice() {
        [one] => format!("new.{one}::text"),
        several => {
            format!(
                "array[{}]::text",
                several.iter().map(|k| format!("new.{k}::text")).collect::<Vec<_>>().join(", ")
            )
        }
    };
    let pairs: Vec<String> =
        key.iter().zip(&quoted).map(|(k, q)| format!("{}, new.{q}", pgrx::spi::quote_literal(k))).collect();
    Ok(RowExpressions {
        subject: internal(subject)?,
        key: internal(format!("jsonb_build_object({})", pairs.join(", ")))?,
        // SAFETY: the relation is open.
        facts: Facts::compile(unsafe { (*relation).rd_att }, &mut internal)?,
    })
}
