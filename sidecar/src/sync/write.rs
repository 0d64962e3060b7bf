//! The writing half of a run: batches are read as they come, written, what could not be stored is told, and how far it is
//! remembered.
//!
//! Reading a batch (`prepare`) and writing one go on side by side: while Postgres is at work on one, the next ones become what it takes.
//! Pages that wait are written together, because a batch costs something whatever its size.

use std::mem::take;

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio_postgres::types::ToSql;
use tracing::warn;

use super::fetch::Batch;
use super::report::Outcome;
use super::run::{Options, BATCH};
use super::state::{self, Incident};
use super::{sweep, Error, Resource};
use crate::store::record::{Findings, Problem};
use crate::store::report::{Rejected, Report};
use crate::store::{self, Encoded, Mark, Origin, Writer};

/// A batch that is ready to be written: the rows as COPY takes them, or why they cannot be stored.
#[derive(Debug, Default)]
pub struct Prepared {
    rows: Vec<Encoded>,
    report: Report,
    /// Payloads, with those that cannot be stored.
    count: u64,
    /// All but the rows.
    of: Batch,
}

/// Reads the rows of a batch.
fn prepare(mut batch: Batch) -> Prepared {
    let rows = take(&mut batch.rows);
    let mut prepared = Prepared { count: rows.len() as u64, ..Prepared::default() };
    for (place, (kind, payload)) in rows.into_iter().enumerate() {
        let origin = Origin { file: batch.origin.to_string(), line: None, pointer: format!("/{place}") };
        let mut findings = Findings::default();
        let entity = store::read(kind, payload, origin.clone(), &mut findings);
        if !findings.problems.is_empty() {
            prepared.report.reject(kind, &origin, findings.problems);
        }
        prepared.rows.extend(entity.map(Encoded::from));
    }
    prepared.of = batch;
    prepared
}

/// Reads what comes and hands it on, until either side ends.
pub async fn prepare_all(mut batches: mpsc::Receiver<Batch>, ready: mpsc::Sender<Prepared>) {
    while let Some(batch) = batches.recv().await {
        if ready.send(prepare(batch)).await.is_err() {
            return;
        }
    }
}

impl Prepared {
    /// Whether the next one can be written with it: what is remembered after both says all that was to be remembered in between.
    fn takes(&self, next: &Prepared) -> bool {
        let small = self.count + next.count <= BATCH as u64;
        let positions = self.of.position.is_some() && next.of.position.is_some();
        small && !positions && self.of.prune.is_none() && next.of.prune.is_none()
    }

    /// Takes in the next one.
    fn add(&mut self, next: Prepared) {
        self.rows.extend(next.rows);
        self.report.add(next.report);
        self.count += next.count;
        self.of.watermark = self.of.watermark.max(next.of.watermark);
        self.of.position = self.of.position.take().or(next.of.position);
        self.of.seen.extend(next.of.seen);
        self.of.total = self.of.total.max(next.of.total);
    }
}

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
    pub async fn run(&mut self, mut ready: mpsc::Receiver<Prepared>) -> Result<Vec<i64>, Error> {
        let mut seen = Vec::new();
        let mut next = ready.recv().await;
        while let Some(mut batch) = next.take() {
            // What is ready goes along, as long as it fits.
            while let Ok(another) = ready.try_recv() {
                if !batch.takes(&another) {
                    next = Some(another);
                    break;
                }
                batch.add(another);
            }
            if self.sweep || self.resource == Resource::SalesStaff {
                seen.extend(&batch.of.seen);
            }
            self.write_prepared(batch).await?;
            if next.is_none() {
                next = ready.recv().await;
            }
        }
        Ok(seen)
    }

    /// Writes a batch and remembers how far that brings the resource.
    pub async fn write(&mut self, batch: Batch) -> Result<(), Error> {
        self.write_prepared(prepare(batch)).await
    }

    async fn write_prepared(&mut self, batch: Prepared) -> Result<(), Error> {
        let Prepared { rows, mut report, count, of: Batch { watermark, position, prune, total, .. } } = batch;
        if let Some(total) = total {
            self.bar.set_length(self.bar.length().unwrap_or(0).max(self.bar.position() + count).max(total));
        }
        // Told before anything is remembered: a sync that is killed in between reads it again, and tells it again.
        self.reject(&report.rejected).await?;
        let told = report.rejected.len();
        for row in rows {
            self.writer.push(row, &mut report).await?;
        }
        let resource = self.resource.name();
        let parameters: [&(dyn ToSql + Sync); 3] = [&resource, &watermark, &position];
        let mark = Mark { statement: state::ADVANCE, parameters: &parameters };
        let moves = self.counts() && (watermark.is_some() || position.is_some());
        // What else belongs to the batch is done and told before it is remembered.
        let with_the_rows = moves && prune.is_none() && report.rejected.len() == told;
        let marked = self.writer.flush_marked(&mut report, with_the_rows.then_some(&mark)).await?;
        self.outcome.read += count;
        for counts in report.all_counts() {
            self.outcome.add(counts);
        }
        self.reject(&report.rejected[told..]).await?;
        if let Some((list, variants)) = prune {
            self.outcome.deleted += sweep::prices(self.writer.client(), list, &variants, self.began).await?;
        }
        self.bar.inc(count);
        if moves && !marked {
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
        self.reject(&report.rejected).await
    }

    /// What could not be stored is told to people; the rest goes on.
    async fn reject(&mut self, rejected: &[Rejected]) -> Result<(), Error> {
        for rejected in rejected {
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
