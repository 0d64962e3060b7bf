//! The writing half of a run: batches as they come, what could not be stored told, and how far it is remembered.

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tracing::warn;

use super::fetch::Batch;
use super::report::Outcome;
use super::run::Options;
use super::state::{self, Incident};
use super::{sweep, Error, Resource};
use crate::store::record::{Findings, Problem};
use crate::store::report::Report;
use crate::store::{self, Origin, Writer};

/// The writing half.
pub struct Writing<'a> {
    pub writer: &'a mut Writer,
    pub resource: Resource,
    pub options: &'a Options,
    pub bar: &'a ProgressBar,
    pub outcome: &'a mut Outcome,
    /// Everything is read and compared.
    pub sweep: bool,
    /// The database's time at which the run began.
    pub began: DateTime<Utc>,
}

impl Writing<'_> {
    /// Writes what comes; returns the ids that the source has, when they are wanted.
    pub async fn run(&mut self, mut batches: mpsc::Receiver<Batch>) -> Result<Vec<i64>, Error> {
        let mut seen = Vec::new();
        while let Some(batch) = batches.recv().await {
            if self.sweep || self.resource == Resource::SalesStaff {
                seen.extend(&batch.seen);
            }
            self.write(batch).await?;
        }
        Ok(seen)
    }

    /// Writes a batch and remembers how far that brings the resource.
    pub async fn write(&mut self, batch: Batch) -> Result<(), Error> {
        let Batch { rows, origin, watermark, position, prune, total, .. } = batch;
        let mut report = Report::new(self.options.dry_run);
        let count = rows.len() as u64;
        if let Some(total) = total {
            self.bar.set_length(self.bar.length().unwrap_or(0).max(self.bar.position() + count).max(total));
        }
        for (place, (kind, payload)) in rows.into_iter().enumerate() {
            let origin = Origin { file: origin.to_string(), line: None, pointer: format!("/{place}") };
            let mut findings = Findings::default();
            let entity = store::read(kind, payload, origin.clone(), &mut findings);
            if !findings.problems.is_empty() {
                report.reject(kind, &origin, findings.problems);
            }
            if let Some(entity) = entity {
                self.writer.push(entity, &mut report).await?;
            }
        }
        self.writer.flush(&mut report).await?;
        self.outcome.read += count;
        for counts in report.all_counts() {
            self.outcome.add(counts);
        }
        self.reject(&report).await?;
        if let Some((list, variants)) = prune {
            self.outcome.deleted += sweep::prices(self.writer.client(), list, &variants, self.began).await?;
        }
        self.bar.inc(count);
        if self.counts() {
            state::advance(self.writer.client(), self.resource, watermark, position.as_ref()).await?;
        }
        self.outcome.watermark = self.outcome.watermark.max(watermark);
        Ok(())
    }

    /// Whether the run is remembered: one that reads a part of its own choosing says nothing about the rest.
    pub fn counts(&self) -> bool {
        !self.options.dry_run && self.options.since.is_none()
    }

    /// Tells of something that was read and cannot be stored.
    pub async fn refuse(&mut self, origin: Origin, problem: Problem) -> Result<(), Error> {
        let mut report = Report::new(self.options.dry_run);
        report.reject(self.resource.kind(), &origin, vec![problem]);
        self.reject(&report).await
    }

    /// What could not be stored is told to people; the rest goes on.
    async fn reject(&mut self, report: &Report) -> Result<(), Error> {
        for rejected in &report.rejected {
            self.outcome.rejected += 1;
            let Some(problem) = rejected.problems.first() else { continue };
            warn!(
                resource = self.outcome.resource,
                from = rejected.file,
                at = problem.pointer,
                expected = problem.expected,
                found = problem.found,
                "payload rejected"
            );
            if self.options.dry_run {
                continue;
            }
            let message = format!(
                "a payload of GET {} was not stored: {} expected, found {}",
                rejected.file, problem.expected, problem.found
            );
            let detail = serde_json::to_string(&rejected.problems).unwrap_or_default();
            let incident = Incident {
                kind: "sync_rejected",
                resource: self.outcome.resource,
                subject: None,
                message: &message,
                detail: Some(&detail),
                hint: Some(&problem.mend),
            };
            state::incident(self.writer.client(), incident).await?;
        }
        Ok(())
    }
}
