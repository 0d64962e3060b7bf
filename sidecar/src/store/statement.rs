//! The statements that write a batch, from one text for all tables: `sql/upsert.sql`, `lines.sql`, `counts.sql` and
//! `lock_rows.sql` with their `{words}` filled in. `sql/README.md` says how they work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::kind::Kind;
use super::tables;

/// A table that payloads are written to.
#[derive(Debug)]
pub struct Table {
    /// Within schema `store`.
    pub name: &'static str,
    /// Columns of the key, with their types.
    pub key: &'static [(&'static str, &'static str)],
    /// The column that an entity's id is of. None: only one sync ever writes the table, so no rows are locked.
    pub id: Option<&'static str>,
    /// All other columns, but for `synced_at`.
    pub columns: &'static [&'static str],
    /// Times of change at the source: a payload older than the stored row is outdated.
    pub clocks: &'static [&'static str],
    pub lines: Option<Lines>,
}

/// The table of an entity's lines. The first column of the entity's key is in it, too.
#[derive(Debug)]
pub struct Lines {
    pub name: &'static str,
    pub key: &'static [&'static str],
    pub columns: &'static [&'static str],
}

/// What is executed for a batch.
#[derive(Debug, Clone, Copy)]
pub struct Statements {
    /// Names the lock that serialises writers of a table.
    pub table: &'static str,
    /// Takes the rows of a batch; the parameter is their ids.
    pub lock_rows: Option<&'static str>,
    /// Writes what is in `pg_temp.incoming`.
    pub upsert: &'static str,
}

/// The statements of a kind.
pub fn of(kind: Kind) -> Statements {
    static KNOWN: Mutex<BTreeMap<Kind, Statements>> = Mutex::new(BTreeMap::new());
    let table = tables::of(kind);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(kind).or_insert_with(|| Statements {
        table: table.name,
        // A few texts, each made once and kept to the end.
        lock_rows: table.lock_rows().map(|text| &*text.leak()),
        upsert: table.upsert(kind).leak(),
    })
}

/// The column that keeps payloads of a kind, and what it becomes.
fn raw(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        // The other half of an order.
        Kind::B2bOrders => ("b2b_raw", "store.merge_raw((x.stored).b2b_raw, i.payload)"),
        // A row is read whole.
        Kind::SheetRows => ("raw", "i.payload"),
        _ => ("raw", "store.merge_raw((x.stored).raw, i.payload)"),
    }
}

impl Table {
    fn lock_rows(&self) -> Option<String> {
        let words =
            [("table", self.name.to_owned()), ("id", self.id?.to_owned()), ("key", list("", &self.keys()))];
        Some(filled(include_str!("sql/lock_rows.sql"), &words))
    }

    fn keys(&self) -> Vec<&'static str> {
        self.key.iter().map(|(name, _)| *name).collect()
    }

    fn upsert(&self, kind: Kind) -> String {
        let (raw_column, raw) = raw(kind);
        let (keys, columns) = (self.keys(), self.columns);
        let typed: Vec<String> =
            self.key.iter().map(|(name, kind)| format!("(item ->> '{name}')::{kind} as {name}")).collect();
        let outdated: Vec<String> =
            self.clocks.iter().map(|c| format!("(i.item ->> '{c}')::timestamptz < (x.stored).{c}")).collect();
        let older: Vec<String> =
            self.clocks.iter().map(|c| format!("and (excluded.{c} < t.{c}) is not true")).collect();
        let by_key: Vec<String> = keys.iter().map(|key| format!("t.{key} = i.{key}")).collect();
        let new: Vec<&str> = columns.iter().map(|c| if *c == raw_column { "new_raw" } else { *c }).collect();
        let outdated = match outdated.as_slice() {
            [] => "false".to_owned(),
            some => format!("coalesce({}, false)", some.join(" or ")),
        };
        let words = [
            ("table", self.name.to_owned()),
            ("typed_key", typed.join(", ")),
            ("first_key", keys[0].to_owned()),
            ("key", list("", &keys)),
            ("t.key", list("t.", &keys)),
            ("columns", list("", columns)),
            ("t.columns", list("t.", columns)),
            ("excluded.columns", list("excluded.", columns)),
            ("outdated", outdated),
            ("older", older.join(" ")),
            ("raw", raw.to_owned()),
            ("new_columns", list("", &new)),
            ("by_key", by_key.join(" and ")),
        ];
        let mut text = filled(include_str!("sql/upsert.sql"), &words);
        if let Some(lines) = &self.lines {
            text.push_str(&lines.upsert(keys[0]));
        }
        let counts = match self.lines {
            Some(_) => LINE_COUNTS.map(|(word, count)| (word, count.to_owned())),
            None => LINE_COUNTS.map(|(word, _)| (word, "0::bigint".to_owned())),
        };
        let words = [&[("key", list("", &keys))], counts.as_slice()].concat();
        text.push_str(&filled(include_str!("sql/counts.sql"), &words));
        text
    }
}

/// How lines are counted, where there are some.
const LINE_COUNTS: [(&str, &str); 4] = [
    ("lines_inserted", "(select count(*) from written_lines where is_new)"),
    ("lines_updated", "(select count(*) from written_lines where not is_new)"),
    ("lines_unchanged", "(select count(*) from incoming_lines) - (select count(*) from written_lines)"),
    ("lines_deleted", "(select count(*) from deleted_lines)"),
];

impl Lines {
    fn upsert(&self, parent: &str) -> String {
        // What came of a line is in what came of its entity, or beside the line.
        let raw = "case jsonb_typeof(l.raw) when 'string' then m.new_raw #> string_to_array(l.raw #>> array[]::text[], '/') else l.raw end as raw";
        let told = [self.key, self.columns].concat();
        let told: Vec<String> = told
            .iter()
            .map(|column| match *column {
                "raw" => raw.to_owned(),
                column => format!("l.{column}"),
            })
            .collect();
        let words = [
            ("told_columns", told.join(", ")),
            ("lines", self.name.to_owned()),
            ("parent", parent.to_owned()),
            ("key", list("", self.key)),
            ("s.key", list("s.", self.key)),
            ("x.key", list("x.", self.key)),
            ("columns", list("", self.columns)),
            ("t.columns", list("t.", self.columns)),
            ("excluded.columns", list("excluded.", self.columns)),
        ];
        filled(include_str!("sql/lines.sql"), &words)
    }
}

/// `t.a, t.b`
fn list(before: &str, columns: &[&str]) -> String {
    columns.iter().map(|column| format!("{before}{column}")).collect::<Vec<_>>().join(", ")
}

fn filled(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, by)| text.replace(&format!("{{{word}}}"), by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_filled_in() {
        for kind in Kind::ALL.into_iter().chain([Kind::SheetRows]) {
            let Statements { lock_rows, upsert, .. } = of(kind);
            for text in [upsert, lock_rows.unwrap_or_default()] {
                let code: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
                assert!(!code.join(" ").contains('{'), "{}: {text}", kind.name());
            }
        }
    }

    #[test]
    fn a_table_without_times_is_never_outdated() {
        assert!(of(Kind::CompanyCredit).upsert.contains("false as is_outdated"));
        assert!(of(Kind::Orders).upsert.contains("(excluded.b2b_updated_at < t.b2b_updated_at) is not true"));
        assert!(of(Kind::Prices).lock_rows.is_some_and(|text| text.contains("variant_id = any ($1)")));
    }
}
