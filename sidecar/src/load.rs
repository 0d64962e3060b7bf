//! `tradeflow load`: payloads exactly as the APIs return them, into the tables of schema `store`.
//!
//! A file is read into payloads (`input`); the rest is what `store` does for everybody: recognise them, read them into
//! rows with their lines, write these in batches, and reject what cannot be read with its place and a remedy.

use std::io;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::db;
use crate::store::record::{self, Findings, Problem};
use crate::store::report::Report;
use crate::store::{self, Entity, Origin, Writer};

mod input;

pub use crate::store::Kind;

/// What to load, and how.
#[derive(Debug)]
pub struct Options {
    /// Payload files (.json, .ndjson, .jsonl), or directories with such files.
    pub paths: Vec<PathBuf>,
    /// Take every payload as this kind, whatever its shape and folder.
    pub kind: Option<Kind>,
    /// Write nothing.
    pub dry_run: bool,
    /// Load nothing of a file of which something is rejected.
    pub strict: bool,
    /// Print the summary as JSON.
    pub json: bool,
    /// How many payloads go into one transaction, 1 at least.
    pub batch_size: u32,
}

/// Why something was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {0}\nhint: name files or directories that exist and may be read")]
    Read(#[from] io::Error),
    #[error(
        "no .json, .ndjson or .jsonl file in {0}\nhint: name a file, or a directory that has such files"
    )]
    Empty(String),
    #[error("{rejected} of {read} payloads rejected, see above\nhint: mend and load them again: what is stored already is left alone")]
    Rejected { rejected: u64, read: u64 },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Loads the named files and prints what it did: the summary to stdout, what was rejected to stderr.
pub async fn run(options: Options, db: &db::Pool) -> Result<(), Error> {
    let sources = input::sources(&options.paths)?;
    if sources.is_empty() {
        let named = options.paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::Empty(named));
    }
    let mut report = Report::new(options.dry_run);
    let progress = progress(sources.iter().map(|s| s.bytes).sum(), options.json);
    let done = load(&options, &sources, db, &progress, &mut report).await;
    progress.finish_and_clear();
    let nothing_done = done.is_err() && report.read == 0;
    if options.json {
        println!("{:#}", report.to_json());
    } else if !nothing_done {
        eprint!("{}", report.rejections());
        print!("{}", report.to_text());
    }
    done?;
    match report.rejected.len() as u64 {
        0 => Ok(()),
        rejected => Err(Error::Rejected { rejected, read: report.read }),
    }
}

async fn load(
    options: &Options,
    sources: &[input::Source],
    db: &db::Pool,
    progress: &ProgressBar,
    report: &mut Report,
) -> Result<(), Error> {
    let mut writer = Writer::new(db, options.batch_size as usize, options.dry_run).await?;
    for source in sources {
        let file = source.path.display().to_string();
        progress.set_message(file.clone());
        report.files += 1;
        let rejected_before = report.rejected.len();
        let found = match tokio::fs::read(&source.path).await {
            Ok(bytes) => input::payloads(&file, &bytes),
            Err(error) => vec![input::unreadable(&file, &error)],
        };
        let mut entities = Vec::new();
        for (origin, found) in found {
            report.read += 1;
            match found {
                Err(problem) => report.reject_unread(None, &origin, vec![problem]),
                Ok(payload) => entities.extend(recognise(options.kind, source.kind, payload, origin, report)),
            }
        }
        if options.strict && report.rejected.len() > rejected_before {
            report.held_back += entities.len() as u64;
            entities.clear();
        }
        let before = progress.position();
        let share = source.bytes / (entities.len() as u64).max(1);
        for entity in entities {
            writer.push(entity, report).await?;
            progress.inc(share);
        }
        progress.set_position(before + source.bytes);
    }
    Ok(writer.finish(report).await?)
}

/// Finds out what a payload is, and reads it.
fn recognise(
    forced: Option<Kind>,
    of_path: Option<Kind>,
    payload: serde_json::Value,
    origin: Origin,
    report: &mut Report,
) -> Option<Entity> {
    let of_shape = || payload.as_object().and_then(Kind::of_shape);
    let Some(kind) = forced.or_else(of_shape).or(of_path) else {
        let names = Kind::ALL.map(Kind::name).join(", ");
        let problem = Problem {
            pointer: origin.pointer.clone(),
            expected: format!("a payload of one of the kinds {names}"),
            found: format!("{}, whose keys and folder tell none", record::shown(&payload)),
            mend: "say --kind, or put the file into a folder named like its kind".to_owned(),
        };
        report.reject_unread(None, &origin, vec![problem]);
        return None;
    };
    report.counts(kind).read += 1;
    let mut findings = Findings::default();
    let entity = store::read(kind, payload, origin.clone(), &mut findings);
    if findings.problems.is_empty() {
        report.note_unknown(kind, findings.unknown);
    } else {
        report.reject(kind, &origin, findings.problems);
    }
    entity
}

/// A bar of bytes on stderr; nothing when that is no terminal.
fn progress(bytes: u64, quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
    let look = "{bar:30} {bytes}/{total_bytes} {msg}";
    bar.with_style(ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests;
