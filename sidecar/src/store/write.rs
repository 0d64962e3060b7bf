//! Writing batches: one transaction each, COPY into a temporary table, then one statement for all tables of a kind (see
//! `sql/README.md`), so that statement triggers see large batches.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use futures_util::SinkExt;
use tokio_postgres::types::ToSql;

use super::encoded::{self, Encoded};
use super::record::Problem;
use super::report::{Counts, Report};
use super::statement;
use super::Error;
use crate::db;

/// Writes entities in batches of one kind.
pub struct Writer {
    /// Taken out of the pool for good: it may be dropped in the middle of a transaction.
    client: ClientWrapper,
    dry_run: bool,
    batch_size: usize,
    batch: Vec<Encoded>,
    /// Where in the batch an id is.
    places: HashMap<i64, usize>,
    /// Transactions so far.
    transactions: u64,
}

/// A statement that belongs to a batch, such as how far the source is read: executed in the transaction that writes it.
pub struct Mark<'a> {
    pub statement: &'a str,
    pub parameters: &'a [&'a (dyn ToSql + Sync)],
}

const COPY: &str = "copy pg_temp.incoming (item, payload) from stdin (format binary)";

const LOCK_KIND: &str = include_str!("sql/lock_kind.sql");

impl Writer {
    /// Takes a connection for itself. A dry run writes everything in one transaction and rolls it back.
    pub async fn new(db: &db::Pool, batch_size: usize, dry_run: bool) -> Result<Writer, Error> {
        let client = db::Client::take(db.get().await?);
        client.batch_execute(include_str!("sql/session.sql")).await.map_err(Error::from_postgres)?;
        if dry_run {
            client
                .batch_execute("begin isolation level read committed")
                .await
                .map_err(Error::from_postgres)?;
        }
        Ok(Writer { client, dry_run, batch_size, batch: Vec::new(), places: HashMap::new(), transactions: 0 })
    }

    /// The connection, for statements between batches.
    pub(crate) fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// Adds an entity; writes the batch before it when the entity does not fit in.
    pub async fn push(&mut self, entity: impl Into<Encoded>, report: &mut Report) -> Result<(), Error> {
        let entity = entity.into();
        let other_kind = self.batch.first().is_some_and(|first| first.kind != entity.kind);
        // Two states of one thing are two changes, each of which may fire: they go in one after the other.
        let same =
            self.places.get(&entity.id).filter(|_| !other_kind).and_then(|place| self.batch.get(*place));
        match same {
            Some(other) if other.tuple == entity.tuple => {
                report.counts(entity.kind).unchanged += 1;
                return Ok(());
            }
            Some(_) => self.flush(report).await?,
            None if other_kind || self.batch.len() >= self.batch_size => self.flush(report).await?,
            None => {}
        }
        self.places.insert(entity.id, self.batch.len());
        self.batch.push(entity);
        Ok(())
    }

    /// Writes what is waiting.
    pub async fn flush(&mut self, report: &mut Report) -> Result<(), Error> {
        self.flush_marked(report, None).await.map(|_| ())
    }

    /// Writes what is waiting, and with it a mark, if Postgres takes all of it at once. Returns whether the mark is written: after a
    /// refusal there is more to be told first.
    pub async fn flush_marked(
        &mut self,
        report: &mut Report,
        mut mark: Option<&Mark<'_>>,
    ) -> Result<bool, Error> {
        let mut marked = false;
        // Halves of a batch that Postgres refused are tried by themselves, until the culprit stands alone.
        self.places.clear();
        let mut waiting = vec![std::mem::take(&mut self.batch)];
        while let Some(batch) = waiting.pop() {
            let Some(first) = batch.first() else { continue };
            match self.write_patiently(&batch, mark).await {
                Ok(counts) => {
                    marked = mark.is_some();
                    report.counts(first.kind).add(&counts);
                }
                Err(error) if !blames_the_data(&error) => return Err(Error::from_postgres(error)),
                Err(error) if batch.len() == 1 => {
                    report.reject(first.kind, &first.origin, vec![refused(&error, &first.origin.pointer)]);
                }
                Err(_) => {
                    let mut batch = batch;
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([second, batch]);
                }
            }
            mark = None;
        }
        Ok(marked)
    }

    /// Ends the work; a dry run leaves no trace.
    pub async fn finish(mut self, report: &mut Report) -> Result<(), Error> {
        self.flush(report).await?;
        if self.dry_run {
            self.client.batch_execute("rollback").await.map_err(Error::from_postgres)?;
        }
        Ok(())
    }

    /// A deadlock or a serialization failure is nobody's fault: again, a few times.
    async fn write_patiently(
        &mut self,
        batch: &[Encoded],
        mark: Option<&Mark<'_>>,
    ) -> Result<Counts, tokio_postgres::Error> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_times(5)
            .with_jitter();
        let mut pauses = pauses.build();
        loop {
            let error = match self.write(batch, mark).await {
                Ok(counts) => return Ok(counts),
                Err(error) => error,
            };
            let passing = matches!(error.code().map(|c| c.code()), Some("40001" | "40P01" | "55P03"));
            match pauses.next() {
                Some(pause) if passing => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    async fn write(
        &mut self,
        batch: &[Encoded],
        mark: Option<&Mark<'_>>,
    ) -> Result<Counts, tokio_postgres::Error> {
        // A plan is kept, and the first one was made for tables that may have been empty: they are made anew after 1, 2, 4, 8, …
        // batches, so that none is older than a doubling of the tables. It holds for the rules' plans, too.
        if self.transactions.is_power_of_two() {
            self.client.batch_execute("discard plans").await?;
        }
        self.transactions += 1;
        let (begin, commit, undo) = match self.dry_run {
            false => ("begin isolation level read committed", "commit", "rollback"),
            true => ("savepoint batch", "release batch", "rollback to batch"),
        };
        self.client.batch_execute(begin).await?;
        let written = self.write_inside(batch, mark).await;
        let end = if written.is_ok() { commit } else { undo };
        match (written, self.client.batch_execute(end).await) {
            (Ok(counts), Ok(())) => Ok(counts),
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Brings the batch into `pg_temp.incoming`, which is empty: it is at every commit, and a dry run clears it here.
    async fn copy(&self, batch: &[Encoded]) -> Result<(), tokio_postgres::Error> {
        if self.dry_run {
            self.client.batch_execute("delete from pg_temp.incoming").await?;
        }
        let mut sink = Box::pin(self.client.copy_in(COPY).await?);
        let mut tuples = encoded::HEADER.to_vec();
        for entity in batch {
            tuples.extend_from_slice(&entity.tuple);
            if tuples.len() >= CHUNK {
                let full = std::mem::replace(&mut tuples, Vec::with_capacity(CHUNK + CHUNK / 4));
                sink.send(Bytes::from(full)).await?;
            }
        }
        tuples.extend_from_slice(encoded::TRAILER);
        sink.send(Bytes::from(tuples)).await?;
        sink.as_mut().finish().await.map(|_| ())
    }

    async fn write_inside(
        &self,
        batch: &[Encoded],
        mark: Option<&Mark<'_>>,
    ) -> Result<Counts, tokio_postgres::Error> {
        let Some(first) = batch.first() else { return Ok(Counts::default()) };
        let statements = statement::of(first.kind);
        let ids: Vec<i64> = batch.iter().map(|entity| entity.id).collect();
        self.client.query(&self.client.prepare_cached(LOCK_KIND).await?, &[&statements.table]).await?;
        if let Some(lock_rows) = statements.lock_rows {
            self.client.query(&self.client.prepare_cached(lock_rows).await?, &[&ids]).await?;
        }
        self.copy(batch).await?;
        let row = self.client.query_one(&self.client.prepare_cached(statements.upsert).await?, &[]).await?;
        if let Some(Mark { statement, parameters }) = mark {
            self.client.execute(&self.client.prepare_cached(statement).await?, parameters).await?;
        }
        let count = |name: &str| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
        Ok(Counts {
            inserted: count("inserted")?,
            updated: count("updated")?,
            unchanged: count("unchanged")?,
            outdated: count("outdated")?,
            lines_inserted: count("lines_inserted")?,
            lines_updated: count("lines_updated")?,
            lines_unchanged: count("lines_unchanged")?,
            lines_deleted: count("lines_deleted")?,
            ..Counts::default()
        })
    }
}

/// So much is handed to COPY at once.
const CHUNK: usize = 256 * 1024;

/// Whether another payload might have been taken: data, constraints, limits, and errors raised by someone's trigger.
fn blames_the_data(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return false };
    let code = code.code();
    ["21", "22", "23", "54", "P0"].iter().any(|class| code.starts_with(class))
}

fn refused(error: &tokio_postgres::Error, pointer: &str) -> Problem {
    let db = error.as_db_error();
    let found = match db {
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        None => error.to_string(),
    };
    let mend = db
        .and_then(|db| db.hint().or(db.detail()))
        .unwrap_or("mend the value, or what refuses it in the database");
    Problem {
        pointer: pointer.to_owned(),
        expected: "a payload that the database takes".to_owned(),
        found,
        mend: mend.to_owned(),
    }
}
