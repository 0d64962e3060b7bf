//! A database of one's own.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Row};

use crate::cluster::{project, Cluster};

/// Serialises the making of templates between test processes. Any number nobody else uses on a private server.
const TEMPLATE_LOCK: i64 = 0x7472_6164;

/// A database that exists as long as this value does.
///
/// `TRADEFLOW_TEST_KEEP=1` keeps it, on a server that outlives the test.
pub struct Database {
    cluster: Handle,
    name: String,
    client: Client,
}

/// The shared server, or the one that belongs to this database alone.
enum Handle {
    Shared(&'static Cluster),
    Own(Box<Cluster>),
}

/// What a new database holds.
#[derive(Clone, Copy)]
enum Template {
    Empty,
    Extension,
    Store,
}

impl Database {
    /// A database without anything.
    pub async fn empty() -> Self {
        Self::create(Handle::Shared(Cluster::shared()), Template::Empty).await
    }

    /// A database with the extension created.
    pub async fn with_extension() -> Self {
        Self::create(Handle::Shared(Cluster::shared()), Template::Extension).await
    }

    /// The extension, and the schema `store` with its tables watched, as `tradeflow init` makes them.
    pub async fn with_store() -> Self {
        Self::create(Handle::Shared(Cluster::shared()), Template::Store).await
    }

    /// The same on a server of its own, which [`Database::cluster_mut`] stops and crashes.
    pub async fn with_store_on_own_server() -> Self {
        Self::create(Handle::Own(Box::new(Cluster::start())), Template::Store).await
    }

    async fn create(cluster: Handle, template: Template) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = cluster.get().connect("postgres").await;
        let from = template.ensure(cluster.get(), &admin).await;
        run(&admin, &format!("create database {name} template {from}")).await;
        let client = cluster.get().connect(&name).await;
        Self { cluster, name, client }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for the superuser, over TCP.
    pub fn url(&self) -> String {
        self.cluster().url(&self.name)
    }

    /// Its URL for another role, which must exist with that password (see [`Database::role`]).
    pub fn url_as(&self, role: &str, password: &str) -> String {
        self.cluster().url_as(role, password, &self.name)
    }

    /// The server it is on.
    pub fn cluster(&self) -> &Cluster {
        self.cluster.get()
    }

    /// The server it is on, to be stopped and crashed; only for [`Database::with_store_on_own_server`].
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        match &mut self.cluster {
            Handle::Own(cluster) => cluster,
            Handle::Shared(_) => {
                panic!("other tests use this server: take Database::with_store_on_own_server()")
            }
        }
    }

    /// A further session.
    pub async fn connect(&self) -> Client {
        self.cluster().connect(&self.name).await
    }

    /// A further session as another role.
    pub async fn connect_as(&self, role: &str, password: &str) -> Client {
        let mut config = self.cluster().config(&self.name);
        config.user(role).password(password);
        crate::cluster::connect(&config).await
    }

    /// The first session, for what the shorthands below do not say.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Replaces the first session, after the server was away.
    pub async fn reconnect(&mut self) {
        self.client = self.connect().await;
    }

    /// Makes a login role, a member of `groups`, with a name that no other test has; returns its name. Its password is
    /// its name. Roles belong to the server: the caller's database drops them at its end only if they own nothing.
    pub async fn role(&self, groups: &[&str]) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let role = format!("role_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("create role {role} login password '{role}'")).await;
        for group in groups {
            self.sql(&format!("grant {group} to {role}")).await;
        }
        role
    }

    /// Runs statements; a failure is the test's failure.
    pub async fn sql(&self, statements: &str) {
        run(&self.client, statements).await;
    }

    /// Runs a statement with parameters and returns how many rows it touched.
    pub async fn execute(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> u64 {
        self.client
            .execute(statement, parameters)
            .await
            .unwrap_or_else(|error| panic!("{}\nin: {statement}", describe(&error)))
    }

    /// The rows of a query.
    pub async fn rows(&self, query: &str) -> Vec<Row> {
        self.client
            .query(query, &[])
            .await
            .unwrap_or_else(|error| panic!("{}\nin: {query}", describe(&error)))
    }

    /// The only value of a query.
    pub async fn one<T: FromSqlOwned>(&self, query: &str) -> T {
        let rows = self.rows(query).await;
        assert_eq!(rows.len(), 1, "one row is expected of: {query}");
        rows[0].get(0)
    }

    /// The first column of a query.
    pub async fn column<T: FromSqlOwned>(&self, query: &str) -> Vec<T> {
        self.rows(query).await.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until a query's only value is true.
    pub async fn until(&self, query: &str) {
        crate::eventually::eventually(query, || async { self.one::<bool>(query).await.then_some(()) }).await;
    }

    /// The error a statement must end with: its SQLSTATE, and message, detail and hint as lines.
    pub async fn error(&self, statement: &str) -> SqlError {
        match self.client.batch_execute(statement).await {
            Ok(()) => panic!("an error is expected of: {statement}"),
            Err(error) => SqlError::from(&error),
        }
    }

    /// `psql`, `pg_dump` or another program of libpq's, told to use this database.
    pub fn program(&self, program: &str) -> Command {
        self.cluster().psql(program, &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if matches!(self.cluster, Handle::Own(_)) || std::env::var_os("TRADEFLOW_TEST_KEEP").is_some() {
            return;
        }
        let drop = format!("drop database if exists {} with (force)", self.name);
        // Best effort: the server may be gone, and it is private and thrown away at the end of the run.
        let _ = self.cluster().psql("psql", "postgres").args(["-qX", "-c", &drop]).output();
    }
}

impl Handle {
    fn get(&self) -> &Cluster {
        match self {
            Handle::Shared(cluster) => cluster,
            Handle::Own(cluster) => cluster,
        }
    }
}

impl Template {
    fn name(self) -> &'static str {
        match self {
            Template::Empty => "template0",
            Template::Extension => "template_extension",
            Template::Store => "template_store",
        }
    }

    /// Makes the template if this server has none yet, and returns its name.
    async fn ensure(self, cluster: &Cluster, admin: &Client) -> &'static str {
        let name = self.name();
        if matches!(self, Template::Empty) || exists(admin, name).await {
            return name;
        }
        // The lock belongs to this session: another test process waits here and then finds the template made.
        run(admin, &format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await;
        if !exists(admin, name).await {
            // Made under another name, so that nobody copies a half-made one.
            run(admin, "drop database if exists template_in_making with (force)").await;
            run(admin, "create database template_in_making template template0").await;
            self.fill(cluster).await;
            run(admin, &format!("alter database template_in_making rename to {name}")).await;
        }
        run(admin, &format!("select pg_advisory_unlock({TEMPLATE_LOCK})")).await;
        name
    }

    async fn fill(self, cluster: &Cluster) {
        let client = cluster.connect("template_in_making").await;
        run(&client, "create extension tradeflow").await;
        if matches!(self, Template::Store) {
            for file in store_files() {
                let text = std::fs::read_to_string(&file).expect("a store file is readable");
                client
                    .batch_execute(&text)
                    .await
                    .unwrap_or_else(|e| panic!("{}: {}", file.display(), describe(&e)));
            }
        }
        drop(client);
        // The backend leaves a moment after the client: a database in use can neither be renamed nor copied.
        let admin = cluster.connect("postgres").await;
        crate::eventually::eventually("the template's session to end", || async {
            let query = "select 1 from pg_stat_activity where datname = 'template_in_making'";
            admin.query(query, &[]).await.is_ok_and(|rows| rows.is_empty()).then_some(())
        })
        .await;
    }
}

/// The files of the store schema, in the order of their numbers.
fn store_files() -> Vec<std::path::PathBuf> {
    let folder = project().join("sql/store");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder's entry is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    files
}

async fn exists(admin: &Client, database: &str) -> bool {
    let query = "select exists (select from pg_database where datname = $1)";
    admin.query_one(query, &[&database]).await.expect("databases can be listed").get(0)
}

async fn run(client: &Client, statements: &str) {
    if let Err(error) = client.batch_execute(statements).await {
        panic!("{}\nin: {statements}", describe(&error));
    }
}

/// An error of the server's, for assertions.
#[derive(Debug)]
pub struct SqlError {
    /// SQLSTATE, five characters.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// DETAIL, or nothing.
    pub detail: String,
    /// HINT, or nothing.
    pub hint: String,
    /// Where in the statement, counted in characters from 1.
    pub position: Option<u32>,
}

impl From<&tokio_postgres::Error> for SqlError {
    fn from(error: &tokio_postgres::Error) -> Self {
        let server = error.as_db_error().unwrap_or_else(|| panic!("not an error of the server's: {error}"));
        SqlError {
            code: server.code().code().to_owned(),
            message: server.message().to_owned(),
            detail: server.detail().unwrap_or_default().to_owned(),
            hint: server.hint().unwrap_or_default().to_owned(),
            position: match server.position() {
                Some(tokio_postgres::error::ErrorPosition::Original(position)) => Some(*position),
                _ => None,
            },
        }
    }
}

/// An error with everything the server said: `tokio_postgres::Error` alone says only "db error".
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        None => error.to_string(),
        Some(server) => {
            let mut text = format!("ERROR {}: {}", server.code().code(), server.message());
            for (label, part) in
                [("DETAIL", server.detail()), ("HINT", server.hint()), ("WHERE", server.where_())]
            {
                if let Some(part) = part {
                    text.push_str(&format!("\n{label}: {part}"));
                }
            }
            text
        }
    }
}
