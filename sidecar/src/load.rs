//! `tradeflow load`: payloads exactly as the APIs return them, into the tables of schema `store`.
//!
//! A file is read into payloads (`input`), each is recognised (`kind`) and read into a row with its lines (`entity`,
//! and one module a kind), which are written in batches (`write`). What cannot be read is rejected with its place and
//! a remedy (`record`, `scalar`), and the rest is loaded (`report`).

use std::io;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::db;
use entity::{Entity, Origin};
use kind::Kind;
use record::{Findings, Problem};
use report::Report;
use write::Writer;

mod company;
mod entity;
mod input;
mod kind;
mod line_key;
mod order;
mod quote;
mod record;
mod report;
mod sales_staff;
mod scalar;
mod write;

/// What to load, and how.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Payload files (.json, .ndjson, .jsonl), or directories with such files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Take every payload as this kind, whatever its shape and folder
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Say what would happen, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Load nothing of a file of which something is rejected
    #[arg(long)]
    pub strict: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// How many payloads go into one transaction
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch_size: u32,
}

const HELP: &str = "\
The kind of a payload is told by its shape, else by its file name or the nearest folder: companies, company-users,
sales-staff, quotes, orders, b2b-orders. Envelopes {code, data, meta}, {list: […]}, arrays and one document a line are
unpacked. Loading the same files again changes nothing and fires nothing; a payload older than the stored row is
left out.

Examples:
  tradeflow load sidecar/samples/store
  tradeflow load --dry-run --json quotes.ndjson
  curl … | tradeflow load --kind quotes /dev/stdin

Exit code: 0 everything was loaded, 1 something was rejected or the database could not be reached.";

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
    Database(#[from] db::Error),
    #[error("the tables of schema store are missing or of another version: {0}\nhint: run `tradeflow init`, then load again")]
    NoStore(String),
    #[error(
        "the connecting user may not write to schema store: {0}\nhint: grant tradeflow_sync to the user"
    )]
    NotAllowed(String),
}

impl Error {
    fn from_postgres(error: tokio_postgres::Error) -> Error {
        let message = error.as_db_error().map(|db| db.message().to_owned()).unwrap_or_default();
        match error.code().map(|c| c.code()) {
            // Undefined schema, table, column, function; a type that does not fit.
            Some("3F000" | "42P01" | "42703" | "42804" | "42883") => Error::NoStore(message),
            Some("42501") => Error::NotAllowed(message),
            _ => Error::Database(error.into()),
        }
    }
}

/// Loads the named files and prints what it did: the summary to stdout, what was rejected to stderr.
pub async fn run(args: Args, db: &db::Pool) -> Result<(), Error> {
    let sources = input::sources(&args.paths)?;
    if sources.is_empty() {
        let named = args.paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::Empty(named));
    }
    let mut report = Report::new(args.dry_run);
    let progress = progress(sources.iter().map(|s| s.bytes).sum(), args.json);
    let done = load(&args, &sources, db, &progress, &mut report).await;
    progress.finish_and_clear();
    let nothing_done = done.is_err() && report.read == 0;
    if args.json {
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
    args: &Args,
    sources: &[input::Source],
    db: &db::Pool,
    progress: &ProgressBar,
    report: &mut Report,
) -> Result<(), Error> {
    let mut writer = Writer::new(db, args.batch_size as usize, args.dry_run).await?;
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
                Ok(payload) => entities.extend(recognise(args.kind, source.kind, payload, origin, report)),
            }
        }
        if args.strict && report.rejected.len() > rejected_before {
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
    writer.finish(report).await
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
    let entity = entity::read(kind, payload, origin.clone(), &mut findings);
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
