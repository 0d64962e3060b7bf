//! What a load did: counts per kind, what was rejected and why, what was new.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::entity::Origin;
use super::kind::Kind;
use super::record::Problem;

/// Counts of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub read: u64,
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Older than what is stored.
    pub outdated: u64,
    pub rejected: u64,
    pub lines_inserted: u64,
    pub lines_updated: u64,
    pub lines_unchanged: u64,
    pub lines_deleted: u64,
}

impl Counts {
    /// Adds what a batch did.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.outdated += other.outdated;
        self.rejected += other.rejected;
        self.lines_inserted += other.lines_inserted;
        self.lines_updated += other.lines_updated;
        self.lines_unchanged += other.lines_unchanged;
        self.lines_deleted += other.lines_deleted;
    }
}

/// A payload that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    pub pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub problems: Vec<Problem>,
}

/// What a load did so far.
#[derive(Debug, Default)]
pub struct Report {
    pub dry_run: bool,
    pub files: u64,
    /// Payloads found, of whatever kind.
    pub read: u64,
    counts: BTreeMap<Kind, Counts>,
    pub rejected: Vec<Rejected>,
    /// Payloads held back with `--strict` because of others in their file.
    pub held_back: u64,
    unknown: BTreeMap<(Kind, String), u64>,
}

/// So many rejections are told one by one to people; `--json` tells all.
const TOLD: usize = 20;

impl Report {
    /// An empty report.
    pub fn new(dry_run: bool) -> Report {
        Report { dry_run, ..Report::default() }
    }

    /// The counts of a kind.
    pub fn counts(&mut self, kind: Kind) -> &mut Counts {
        self.counts.entry(kind).or_default()
    }

    /// The counts of all kinds.
    pub fn all_counts(&self) -> impl Iterator<Item = &Counts> {
        self.counts.values()
    }

    /// Adds what was found in other payloads.
    pub fn add(&mut self, other: Report) {
        for (kind, counts) in other.counts {
            self.counts(kind).add(&counts);
        }
        self.files += other.files;
        self.read += other.read;
        self.rejected.extend(other.rejected);
        self.held_back += other.held_back;
        for ((kind, key), count) in other.unknown {
            self.note_unknown(kind, BTreeMap::from([(key, count)]));
        }
    }

    /// Notes a payload that is not loaded.
    pub fn reject(&mut self, kind: Kind, origin: &Origin, problems: Vec<Problem>) {
        self.counts(kind).rejected += 1;
        self.reject_unread(Some(kind), origin, problems);
    }

    /// Notes something that is no payload of any kind.
    pub fn reject_unread(&mut self, kind: Option<Kind>, origin: &Origin, problems: Vec<Problem>) {
        self.rejected.push(Rejected {
            file: origin.file.clone(),
            line: origin.line,
            pointer: origin.pointer.clone(),
            kind: kind.map(Kind::name),
            problems,
        });
    }

    /// Notes keys that this version does not know.
    pub fn note_unknown(&mut self, kind: Kind, keys: BTreeMap<String, u64>) {
        for (key, count) in keys {
            *self.unknown.entry((kind, key)).or_default() += count;
        }
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> serde_json::Value {
        let kinds: BTreeMap<_, _> = self.counts.iter().map(|(kind, counts)| (kind.name(), counts)).collect();
        let unknown: Vec<_> = self
            .unknown
            .iter()
            .map(|((kind, pointer), count)| serde_json::json!({"kind": kind.name(), "pointer": pointer, "count": count}))
            .collect();
        serde_json::json!({
            "dry_run": self.dry_run,
            "files": self.files,
            "read": self.read,
            "kinds": kinds,
            "rejected": self.rejected,
            "held_back": self.held_back,
            "unknown_fields": unknown,
        })
    }

    /// The report for people: a table, then notes.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if self.counts.is_empty() {
            text.push_str("Nothing was found in these files.\n");
        } else {
            table_row(
                &mut text,
                "",
                ["read", "inserted", "updated", "unchanged", "outdated", "rejected", "deleted"]
                    .map(String::from),
            );
        }
        for (kind, c) in &self.counts {
            let figures =
                [c.read, c.inserted, c.updated, c.unchanged, c.outdated, c.rejected].map(|n| n.to_string());
            let [read, inserted, updated, unchanged, outdated, rejected] = figures;
            table_row(
                &mut text,
                kind.name(),
                [read, inserted, updated, unchanged, outdated, rejected, String::new()],
            );
            if let Some(name) = kind.lines_name() {
                let [inserted, updated, unchanged, deleted] =
                    [c.lines_inserted, c.lines_updated, c.lines_unchanged, c.lines_deleted]
                        .map(|n| n.to_string());
                let blank = String::new;
                table_row(
                    &mut text,
                    &format!("  {name}"),
                    [blank(), inserted, updated, unchanged, blank(), blank(), deleted],
                );
            }
        }
        for ((kind, pointer), count) in self.unknown.iter().take(TOLD) {
            let _ = writeln!(
                text,
                "note: {} {pointer} is unknown to this version; kept in raw ({count} times)",
                kind.name()
            );
        }
        if self.unknown.len() > TOLD {
            let _ =
                writeln!(text, "note: {} more unknown fields; --json lists them", self.unknown.len() - TOLD);
        }
        if self.held_back > 0 {
            let _ = writeln!(
                text,
                "note: --strict held back {} payloads of files with a rejected one",
                self.held_back
            );
        }
        if self.dry_run {
            text.push_str("Dry run: nothing was written.\n");
        }
        text
    }

    /// The rejections for people, each with place, expectation and remedy.
    pub fn rejections(&self) -> String {
        let mut text = String::new();
        for rejected in self.rejected.iter().take(TOLD) {
            let line = rejected.line.map(|n| format!(":{n}")).unwrap_or_default();
            let kind = rejected.kind.map(|k| format!(" ({k})")).unwrap_or_default();
            let _ = writeln!(text, "rejected: {}{line} {}{kind}", rejected.file, rejected.pointer);
            for problem in &rejected.problems {
                let Problem { pointer, expected, found, mend } = problem;
                let at = if pointer.is_empty() { "the document" } else { pointer };
                let _ =
                    writeln!(text, "  at {at}: expected {expected}\n    found: {found}\n    mend: {mend}");
            }
        }
        if self.rejected.len() > TOLD {
            let _ = writeln!(text, "… and {} more; --json lists all", self.rejected.len() - TOLD);
        }
        text
    }
}

fn table_row(text: &mut String, name: &str, cells: [String; 7]) {
    let _ = write!(text, "{name:<14}");
    for cell in cells {
        let _ = write!(text, "{cell:>10}");
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
}
