//! Where tests run: databases made for the run, or the database itself.

use std::time::Duration;

use tokio_postgres::Transaction;

use super::Options;
use crate::db;
use crate::init;
use crate::project::table::quoted;
use crate::project::{apply, plan, rehearse, source, Error, Project};

/// What is run once in each database made for tests, before the project's files: tables of one's own that rules read.
pub const SETUP: &str = "tests/setup.sql";

/// Databases with the project in them.
pub struct Arena {
    /// One for each test that may run at a time.
    pub pools: Vec<db::Pool>,
    /// Made for the run.
    made: Vec<String>,
    admin: db::Pool,
    /// The session whose databases these are: while it lives, so does the run.
    keeper: Option<db::Client>,
}

const OPTIONS: plan::Options = plan::Options { prune: false, wait: Duration::from_secs(60) };

impl Arena {
    pub async fn open(
        project: &Project,
        pool: &db::Pool,
        options: &Options,
        tests: usize,
    ) -> Result<Arena, Error> {
        let mut arena = Arena { pools: Vec::new(), made: Vec::new(), admin: pool.clone(), keeper: None };
        if options.in_place || !may_create(pool).await? {
            arena.pools.push(pool.clone());
            return Ok(arena);
        }
        let filled = arena.fill(project, options.jobs.clamp(1, tests.max(1))).await;
        if filled.is_err() {
            arena.close_databases().await?;
        }
        filled.map(|()| arena)
    }

    /// The first database is made as a new one is; the others are copies of it.
    async fn fill(&mut self, project: &Project, jobs: usize) -> Result<(), Error> {
        let admin = &*self.keeper.insert(self.admin.get().await?);
        remove_leavings(admin).await?;
        let run: String = admin.query_one(include_str!("../sql/run.sql"), &[]).await?.try_get(0)?;
        let first = format!("tradeflow_test_{run}_1");
        let what =
            format!("made by tradeflow test, {}; dropped when that run has ended", self.admin.describe());
        let note = |name: &str| format!("comment on database {name} is '{}'", what.replace('\'', "''"));
        admin.batch_execute(&format!("create database {first} template template0")).await?;
        self.made.push(first.clone());
        admin.batch_execute(&note(&first)).await?;
        let pool = self.admin.for_database(&first)?;
        prepare(project, &pool).await?;
        pool.close();
        for n in 2..=jobs {
            let copy = format!("tradeflow_test_{run}_{n}");
            // A session that was just closed is there for another moment.
            let mut tries = 0;
            while let Err(error) =
                admin.batch_execute(&format!("create database {copy} template {first}")).await
            {
                if error.code() != Some(&tokio_postgres::error::SqlState::OBJECT_IN_USE) || tries == 50 {
                    return Err(error.into());
                }
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            admin.batch_execute(&note(&copy)).await?;
            self.made.push(copy);
        }
        for name in &self.made {
            self.pools.push(self.admin.for_database(name)?);
        }
        Ok(())
    }

    /// What a test's transaction begins with.
    pub async fn begin(&self, project: &Project, transaction: &Transaction<'_>) -> Result<(), Error> {
        if self.made.is_empty() {
            apply::within(project, transaction, OPTIONS).await?;
        }
        let path = format!("set local search_path = {}, public", project.schema);
        Ok(transaction.batch_execute(&path).await?)
    }

    pub fn describe(&self) -> String {
        match self.made.len() {
            0 => format!("in {}", self.admin.describe()),
            1 => "in a database made for it".into(),
            n => format!("in {n} databases made for it"),
        }
    }

    pub async fn close(self) -> Result<(), Error> {
        self.close_databases().await
    }

    async fn close_databases(&self) -> Result<(), Error> {
        self.pools.iter().for_each(db::Pool::close);
        let Some(admin) = &self.keeper else { return Ok(()) };
        for name in &self.made {
            admin.batch_execute(&format!("drop database if exists {} with (force)", quoted(name))).await?;
        }
        Ok(())
    }
}

/// Drops the databases of runs that were killed. Those that somebody looks into stay, and so do those of a run that goes on.
async fn remove_leavings(admin: &db::Client) -> Result<(), Error> {
    for row in admin.query(include_str!("../sql/leavings.sql"), &[]).await? {
        let name: String = row.try_get(0)?;
        if let Err(error) = admin.batch_execute(&format!("drop database if exists {}", quoted(&name))).await {
            // Somebody is in it, or another run is about to drop it.
            tracing::debug!(database = name, %error, "a database of a run that was killed stays");
        }
    }
    Ok(())
}

async fn may_create(pool: &db::Pool) -> Result<bool, Error> {
    // The extension is a superuser's to create.
    let query = "select rolsuper from pg_roles where rolname = current_user";
    Ok(pool.get().await?.query_one(query, &[]).await?.try_get(0)?)
}

/// The extension, the store's tables, the project's own setup, the project.
async fn prepare(project: &Project, pool: &db::Pool) -> Result<(), Error> {
    init::run(false, pool).await.map_err(|e| Error::Usage(e.to_string()))?;
    let setup = project.root.join(SETUP);
    if setup.exists() {
        let file = source::File::read(&project.root, &setup)?;
        let client = pool.get().await?;
        if let Err(error) = client.batch_execute(&file.text).await {
            return Err(Error::Usage(format!("{SETUP}: {}", db::Error::from(error))));
        }
    }
    apply::run(project, pool, OPTIONS).await?;
    // The partitions of today are made once, not in each test.
    let client = pool.get().await?;
    rehearse::tick(&client).await
}
