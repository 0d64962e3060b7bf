//! What runs did, for people and for programs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::store::report::Counts;

/// What one run of one resource did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    pub resource: &'static str,
    /// Rows the source sent.
    pub read: u64,
    /// Rows written, lines included.
    pub inserted: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub rejected: u64,
    pub requests: u64,
    /// Nothing fired: the first load, or asked for.
    pub silent: bool,
    /// Everything was read and compared.
    pub swept: bool,
    /// Another sync is at this resource.
    pub busy: bool,
    pub watermark: Option<DateTime<Utc>>,
    pub seconds: f64,
    /// Why it stopped before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Outcome {
    /// Adds what a batch did.
    pub(super) fn add(&mut self, counts: &Counts) {
        self.inserted += counts.inserted + counts.lines_inserted;
        self.updated += counts.updated + counts.lines_updated;
        self.unchanged += counts.unchanged + counts.outdated + counts.lines_unchanged;
        self.deleted += counts.lines_deleted;
    }

    /// Whether it reached its end and stored everything.
    pub fn is_good(&self) -> bool {
        self.error.is_none() && self.rejected == 0
    }
}

/// What a whole sync did.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    pub dry_run: bool,
    pub resources: Vec<Outcome>,
}

impl Summary {
    /// Whether every resource reached its end.
    pub fn is_good(&self) -> bool {
        self.resources.iter().all(Outcome::is_good)
    }

    /// A table, then what went wrong.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<16}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}{:>9}\n",
            "", "read", "inserted", "updated", "unchanged", "deleted", "rejected", "requests"
        );
        for o in &self.resources {
            let _ = write!(
                text,
                "{:<16}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}{:>9}",
                o.resource, o.read, o.inserted, o.updated, o.unchanged, o.deleted, o.rejected, o.requests
            );
            let notes = [(o.silent, "silent"), (o.swept, "swept"), (o.busy, "another sync is at it")];
            for (_, note) in notes.iter().filter(|(said, _)| *said) {
                let _ = write!(text, "  {note}");
            }
            text.push('\n');
        }
        for o in &self.resources {
            if let Some(error) = &o.error {
                let _ = writeln!(text, "{}: {error}", o.resource);
            }
            if o.rejected > 0 {
                let _ = writeln!(
                    text,
                    "{}: {} rejected; see `select * from tradeflow.incidents where kind = 'sync_rejected'`",
                    o.resource, o.rejected
                );
            }
        }
        if self.dry_run {
            text.push_str("Dry run: nothing was written.\n");
        }
        text
    }
}
