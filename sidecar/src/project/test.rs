//! `tradeflow test`: given rows, when something changes or time passes, then firings, mails, requests.
//!
//! Each test is a transaction that is rolled back. Where the role may create databases, the tests run in some of their own,
//! made for the run, several at a time: the test clock, the work of `tick()` and the keys of given rows are one a database.
//! Elsewhere they run in the database itself, one after another, the files applied within the transaction.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::rehearse::Rehearsal;
use super::{source, Error, Project};
use crate::config::Config;
use crate::db;

mod arena;
mod case;
mod expect;
mod junit;
mod sql_test;
mod yaml_test;

pub(super) use yaml_test::execute;

use arena::Arena;

/// What to test, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only tests whose file or name contains one of these words.
    pub words: Vec<String>,
    /// How many at a time, in databases of their own.
    pub jobs: usize,
    /// In the database itself.
    pub in_place: bool,
    /// Where a JUnit report goes.
    pub junit: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub tests: Vec<Tested>,
    pub passed: usize,
    pub failed: usize,
    /// Where they ran.
    pub place: String,
    pub seconds: f64,
}

/// One test.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    pub file: String,
    pub name: String,
    pub seconds: f64,
    /// Empty: it passed.
    pub failures: Vec<String>,
}

/// One test to be run.
#[derive(Debug, Clone)]
pub(super) struct Test {
    pub file: Arc<source::File>,
    pub name: String,
    /// None: the whole file is SQL.
    pub case: Option<Arc<case::Case>>,
}

/// What a test runs with.
pub(super) struct Stage<'a> {
    pub rehearsal: &'a Rehearsal,
    pub client: &'a tokio_postgres::Client,
}

/// Runs the tests of a project; `told` hears of each as it ends.
pub async fn run(
    project: &Project,
    config: &Config,
    pool: &db::Pool,
    options: &Options,
    told: impl Fn(&Tested) + Send + Sync,
) -> Result<Report, Error> {
    let began = Instant::now();
    let tests = find(project, &options.words)?;
    if tests.is_empty() {
        return Err(Error::Usage(match options.words.is_empty() {
            true => {
                "there are no tests\nhint: tests are tests/*.yaml and tests/*.sql; recipes bring some".into()
            }
            false => format!("no test's file or name contains {}", options.words.join(" or ")),
        }));
    }
    let rehearsal = Rehearsal::new(config, pool)?;
    let arena = Arena::open(project, pool, options, tests.len()).await?;
    let place = arena.describe();
    let ran = everything(project, &rehearsal, &arena, tests, &told).await;
    arena.close().await?;
    let mut tested = ran?;
    tested.sort_by_key(|(n, _)| *n);
    let tests: Vec<Tested> = tested.into_iter().map(|(_, tested)| tested).collect();
    let failed = tests.iter().filter(|t| !t.failures.is_empty()).count();
    let report =
        Report { passed: tests.len() - failed, failed, tests, place, seconds: began.elapsed().as_secs_f64() };
    if let Some(path) = &options.junit {
        junit::write(&report, path)?;
    }
    Ok(report)
}

/// All tests, each by the first database that is free; with their places in the order of the files.
async fn everything(
    project: &Project,
    rehearsal: &Rehearsal,
    arena: &Arena,
    tests: Vec<Test>,
    told: &(impl Fn(&Tested) + Send + Sync),
) -> Result<Vec<(usize, Tested)>, Error> {
    let queue: Mutex<VecDeque<(usize, Test)>> = Mutex::new(tests.into_iter().enumerate().collect());
    let next = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front();
    let workers = arena.pools.iter().map(|pool| async {
        let mut done = Vec::new();
        while let Some((n, test)) = next() {
            let tested = one(project, rehearsal, arena, pool, &test).await?;
            told(&tested);
            done.push((n, tested));
        }
        Ok::<_, Error>(done)
    });
    Ok(futures_util::future::try_join_all(workers).await?.into_iter().flatten().collect())
}

/// One test, in a transaction that is rolled back.
async fn one(
    project: &Project,
    rehearsal: &Rehearsal,
    arena: &Arena,
    pool: &db::Pool,
    test: &Test,
) -> Result<Tested, Error> {
    let began = Instant::now();
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let begun = arena.begin(project, &transaction).await;
    let outcome = match begun {
        Ok(()) => {
            let stage = Stage { rehearsal, client: transaction.client() };
            match &test.case {
                Some(case) => yaml_test::run(&stage, case).await,
                None => sql_test::run(&stage, &test.file).await,
            }
        }
        Err(error) => Err(error),
    };
    transaction.rollback().await?;
    let failures = match outcome {
        Ok(failures) => failures,
        // The connection is gone: so are the tests that would come.
        Err(error @ Error::Database(db::Error::Connect { .. } | db::Error::Pool(_))) => return Err(error),
        Err(error) => vec![error.to_string()],
    };
    Ok(Tested {
        file: test.file.name.clone(),
        name: test.name.clone(),
        seconds: began.elapsed().as_secs_f64(),
        failures,
    })
}

fn find(project: &Project, words: &[String]) -> Result<Vec<Test>, Error> {
    let mut tests = Vec::new();
    for file in source::files(&project.root, &project.root.join("tests"), &["sql", "yaml", "yml"])? {
        let file = Arc::new(file);
        if file.name == arena::SETUP {
            continue;
        } else if file.name.ends_with(".sql") {
            let name = sql_test::name(&file);
            tests.push(Test { file, name, case: None });
        } else {
            for case in case::read(&file)? {
                tests.push(Test { file: file.clone(), name: case.name.clone(), case: Some(Arc::new(case)) });
            }
        }
    }
    tests.retain(|t| {
        words.is_empty()
            || words.iter().any(|w| t.file.name.contains(w.as_str()) || t.name.contains(w.as_str()))
    });
    Ok(tests)
}

impl Tested {
    /// One line, and what failed.
    pub fn text(&self) -> String {
        let took = humantime::format_duration(Duration::from_millis((self.seconds * 1000.0) as u64));
        let mut text = format!(
            "{}  {} › {} ({took})",
            if self.failures.is_empty() { "ok    " } else { "FAILED" },
            self.file,
            self.name
        );
        for failure in &self.failures {
            text.push_str(&format!("\n        {}", failure.replace('\n', "\n        ")));
        }
        text
    }
}

impl Report {
    pub fn sum(&self) -> String {
        let tests = if self.tests.len() == 1 { "test" } else { "tests" };
        let outcome = match self.failed {
            0 => "all passed".to_owned(),
            n => format!("{n} failed"),
        };
        format!("{} {tests} in {:.1} s, {}: {outcome}", self.tests.len(), self.seconds, self.place)
    }
}
