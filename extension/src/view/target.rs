//! View rules as far as asking them needs it, kept per backend.
//!
//! Whatever changes a rule or its actions invalidates its view (`tradeflow._invalidate`), as a change of the view itself
//! does; roles and types have messages of their own.

use crate::definition;
use crate::invalidation::{self, Changed};
use crate::owner::{self, ActAs};
use crate::spi;
use pgrx::datum::IntoDatum;
use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{AUTHOID, TYPEOID};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::cell::RefCell;
use std::ffi::CString;
use std::rc::Rc;

/// A view rule that is asked.
pub struct Target {
    pub rule: definition::Rule,
    pub view: String,
    view_id: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    pub path: CString,
    /// The questions about one subject ($1), about several, and about everybody. $2: subjects whose facts are known.
    pub about_one: String,
    pub about_some: String,
    pub about_everybody: String,
}

/// As sql/view_targets.sql has it.
#[derive(Deserialize)]
struct Definition {
    view: String,
    view_id: u32,
    subject_type: String,
    columns: Vec<String>,
    rule: definition::Rule,
}

thread_local! {
    static KEPT: RefCell<FxHashMap<String, Rc<Target>>> = Default::default();
}

/// Those of these rules that are asked.
pub fn of<'a>(extension_owner: pg_sys::Oid, rules: impl Iterator<Item = &'a String>) -> Vec<Rc<Target>> {
    let before = invalidation::messages();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    KEPT.with_borrow(|kept| {
        for rule in rules {
            match kept.get(rule) {
                Some(target) => found.push(Rc::clone(target)),
                None => unknown.push(rule.clone()),
            }
        }
    });
    if !unknown.is_empty() {
        let loaded = load(extension_owner, unknown);
        if invalidation::messages() == before {
            KEPT.with_borrow_mut(|kept| {
                kept.extend(loaded.iter().map(|target| (target.rule.name.clone(), Rc::clone(target))))
            });
        }
        found.extend(loaded);
        found.sort_by(|a, b| a.rule.name.cmp(&b.rule.name));
    }
    found
}

fn load(extension_owner: pg_sys::Oid, rules: Vec<String>) -> Vec<Rc<Target>> {
    let _as_owner = ActAs::extension_owner(extension_owner);
    spi::connected(|| {
        let plan = spi::plan(include_str!("../sql/view_targets.sql"), &[pg_sys::TEXTARRAYOID]);
        let rows = spi::execute(plan, &[rules.into_datum()], false, 0);
        (0..rows.len())
            .filter_map(|i| rows.text(i, 0))
            .map(|text| match serde_json::from_str(&text) {
                Ok(definition) => Rc::new(Target::new(definition)),
                Err(error) => panic!("sql/view_targets.sql and the definition disagree: {error}"),
            })
            .collect()
    })
}

impl Target {
    fn new(definition: Definition) -> Target {
        let column = |name: &str, as_type: &str| match definition.columns.iter().any(|c| c == name) {
            true => format!("answer.{name}::{as_type}"),
            false => format!("null::{as_type}"),
        };
        let [occurrence, fire_at, recheck_at] =
            [("occurrence", "text"), ("fire_at", "timestamptz"), ("recheck_at", "timestamptz")]
                .map(|(name, as_type)| column(name, as_type));
        let facts = "to_jsonb(answer) - '{subject,occurrence,fire_at,recheck_at}'::text[]";
        // Facts are those of the entry: whoever has entered needs none, and they are the dearest part of an answer.
        let facts_of_new = match definition.columns.iter().any(|c| c == "occurrence") {
            true => facts.to_string(),
            false => format!("case when answer.subject::text <> all ($2::text[]) then {facts} end"),
        };
        let select = |facts: &str| {
            let view = &definition.view;
            format!("select answer.subject::text, {occurrence}, {fire_at}, {recheck_at}, {facts} from {view} answer")
        };
        // In their own type, so that the view's tables are read by their indexes.
        let subject_type = &definition.subject_type;
        let about = |subjects: String| format!("{} where answer.subject {subjects}", select(&facts_of_new));
        Target {
            view_id: definition.view_id.into(),
            owner: definition.rule.owner.into(),
            path: owner::rule_path(&definition.rule.search_path),
            about_one: about(format!("= $1::text::{subject_type}")),
            about_some: about(format!("= any ($1::text[]::{subject_type}[])")),
            about_everybody: select(facts),
            view: definition.view,
            rule: definition.rule,
        }
    }
}

/// Forgets what is made of something that changed.
pub fn forget(changed: Changed) {
    KEPT.with_borrow_mut(|kept| match changed {
        Changed::Relation(relid) => {
            kept.retain(|_, target| relid != pg_sys::InvalidOid && target.view_id != relid)
        }
        Changed::Entry(TYPEOID | AUTHOID, _) => kept.clear(),
        Changed::Entry(..) => {}
    });
}
