//! Connections to the database, and why one could not be had.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, PoolError, QueueMode, RecyclingMethod, Runtime,
};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Config as PgConfig, Host, SslMode};

use crate::config::Config;
use crate::tls::{self, PostgresTls};

/// How a running sidecar calls itself in pg_stat_activity, for those who look there.
pub const SIDECAR: &str = "tradeflow-sidecar";

/// A connection not heard of for so long is asked whether it still is one, before it is used: a network may forget a
/// connection and tell nobody. It is not long, so that one with an unanswered question is never handed on.
const UNHEARD: Duration = Duration::from_secs(1);

/// What to do where nothing can be written.
const READ_ONLY_HINT: &str = "name the primary in database_url; of several hosts (postgres://a,b/shop?target_session_attrs=read-write) the one that can be written to is taken";

/// A connection taken from the pool.
pub type Client = deadpool_postgres::Client;

/// Connections for statements. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    config: PgConfig,
    tls: PostgresTls,
}

/// Why the database could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no database is named\nhint: set database_url in the configuration file, TRADEFLOW_DATABASE_URL or --database-url")]
    NoUrl,
    #[error("the database URL is not understood: {0}\nhint: it looks like postgres://user@host:5432/database?sslmode=require")]
    Url(String),
    #[error("database_password_file {}: {reason}\nhint: it is a file whose first line is the password, readable by the user that runs this program", path.display())]
    PasswordFile { path: PathBuf, reason: String },
    #[error("{database} cannot be reached: {reason}\nhint: {hint}")]
    Connect { database: String, reason: String, hint: &'static str, passes: bool },
    #[error("the database has no extension tradeflow\nhint: run `create extension tradeflow` there as a superuser (or `tradeflow init`); when Postgres does not know the extension, `make install` puts it on the server")]
    NoExtension,
    #[error("{database} is read-only{}\nhint: {}", if *.standby { ": it is a standby" } else { "" }, READ_ONLY_HINT)]
    ReadOnly { database: String, standby: bool },
    #[error("{0}")]
    Rights(Rights),
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("{}", describe(.0))]
    Query(#[from] tokio_postgres::Error),
    #[error("no connection was free or could be opened in time: {0}")]
    Pool(String),
    #[error("the database did not answer within {}", humantime::format_duration(*.0))]
    Silent(Duration),
}

/// What the connected user may not do of what a sidecar does.
#[derive(Debug)]
pub struct Rights {
    pub user: String,
    pub missing: Vec<String>,
}

impl Rights {
    /// Asks the database.
    pub async fn of(client: &tokio_postgres::Client) -> Result<Rights, Error> {
        let row = client.query_typed_one(include_str!("db/rights.sql"), &[]).await?;
        let mut missing: Vec<String> = row.try_get("missing_functions")?;
        missing.extend(row.try_get::<_, Vec<String>>("missing_tables")?);
        Ok(Rights { user: row.try_get("user")?, missing })
    }

    /// How to mend it.
    pub fn hint(&self) -> String {
        format!("grant tradeflow_executor to \"{}\";", self.user)
    }
}

impl std::fmt::Display for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "permission denied: {} lacks the right to use {}\nhint: {}",
            self.user,
            self.missing.join(", "),
            self.hint()
        )
    }
}

impl Pool {
    /// Prepares connections; none is opened yet.
    pub fn new(config: &Config) -> Result<Pool, Error> {
        Pool::named(config, "tradeflow")
    }

    /// The same, seen under this name in pg_stat_activity.
    pub fn named(config: &Config, name: &str) -> Result<Pool, Error> {
        if config.database_url.is_empty() {
            return Err(Error::NoUrl);
        }
        let (url, verify) = verification(config.database_url.expose());
        let mut pg = PgConfig::from_str(&url).map_err(|e| Error::Url(reason(&e)))?;
        if pg.get_hosts().is_empty() {
            return Err(Error::Url("it names no host".into()));
        }
        if let (Some(path), None) = (&config.database_password_file, pg.get_password()) {
            pg.password(password_in(path)?.expose_secret());
        }
        // A socket file has no name to ask TLS for, and needs none.
        #[cfg(unix)]
        if pg.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            pg.ssl_mode(SslMode::Disable);
        }
        pg.application_name(name);
        pg.connect_timeout(config.database_connect_timeout);
        pg.keepalives_idle(Duration::from_secs(30));
        // A server that vanished without a word is noticed after this long, also in the middle of a statement.
        pg.tcp_user_timeout(Duration::from_secs(30));
        let roots = tls::extra_roots(config.tls.extra_ca_file.as_deref())?;
        let tls = match verify {
            true => tls::client_config(roots)?,
            false => tls::unverified_client_config()?,
        };
        Pool::connecting(pg, PostgresTls::new(tls), config.database_pool_size)
    }

    /// The same server and user, another database.
    pub fn for_database(&self, name: &str) -> Result<Pool, Error> {
        let mut pg = self.config.clone();
        pg.dbname(name);
        Pool::connecting(pg, self.tls.clone(), self.inner.status().max_size)
    }

    fn connecting(pg: PgConfig, tls: PostgresTls, size: usize) -> Result<Pool, Error> {
        let manager = Manager::from_config(
            pg.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let create_timeout = pg.get_connect_timeout().map(|t| *t * 2);
        let inner = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            // The one used last first: a connection plans each statement of ours anew, and its process warms its caches.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(30)))
            .create_timeout(create_timeout)
            .pre_recycle(Hook::async_fn(|client, metrics| {
                let unheard = metrics.last_used() >= UNHEARD;
                Box::pin(async move {
                    if !unheard {
                        return Ok(());
                    }
                    match tokio::time::timeout(UNHEARD, client.simple_query("")).await {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err(error)) => Err(HookError::Backend(error)),
                        Err(_) => Err(HookError::message("the connection fell silent")),
                    }
                })
            }))
            .build()
            .map_err(|e| Error::Pool(e.to_string()))?;
        Ok(Pool { inner, config: pg, tls })
    }

    /// A connection; opened when none is idle.
    pub async fn get(&self) -> Result<Client, Error> {
        self.inner.get().await.map_err(|e| match e {
            PoolError::Backend(e) => self.connect_error(&e),
            other => Error::Pool(other.to_string()),
        })
    }

    /// Whether the database can be written to, as a sidecar must.
    pub async fn check_writable(&self, client: &tokio_postgres::Client) -> Result<(), Error> {
        let row = client.query_typed_one(include_str!("db/read_only.sql"), &[]).await?;
        match row.try_get("read_only")? {
            true => Err(Error::ReadOnly { database: self.describe(), standby: row.try_get("standby")? }),
            false => Ok(()),
        }
    }

    /// A connection, when the database has the extension, can be written to, and lets this user execute.
    pub async fn get_ready(&self) -> Result<Client, Error> {
        let client = self.get().await?;
        if client.query_typed_opt(include_str!("db/extension.sql"), &[]).await?.is_none() {
            return Err(Error::NoExtension);
        }
        self.check_writable(&client).await?;
        let rights = Rights::of(&client).await?;
        match rights.missing.is_empty() {
            true => Ok(client),
            false => Err(Error::Rights(rights)),
        }
    }

    /// A connection outside the pool, with its messages: for LISTEN.
    pub(crate) async fn dedicated(
        &self,
    ) -> Result<
        (
            tokio_postgres::Client,
            tokio_postgres::Connection<
                tokio_postgres::Socket,
                <PostgresTls as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
            >,
        ),
        Error,
    > {
        self.config.connect(self.tls.clone()).await.map_err(|e| self.connect_error(&e))
    }

    /// Host and database, without user or password: fit for messages.
    pub fn describe(&self) -> String {
        describe_config(&self.config)
    }

    /// Closes what is idle; nothing more is opened.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Connections open and idle now.
    pub fn status(&self) -> deadpool_postgres::Status {
        self.inner.status()
    }

    fn connect_error(&self, error: &tokio_postgres::Error) -> Error {
        Error::Connect {
            database: self.describe(),
            reason: refusal(error),
            hint: hint(error, &self.config),
            passes: passes(error),
        }
    }
}

impl Error {
    /// The SQLSTATE, when the server answered.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Error::Query(e) => e.code().map(|c| c.code()),
            _ => None,
        }
    }

    /// Whether the same may go well a moment later: the server is starting, stopping, full or out of reach. Not when it refuses the
    /// user or the database.
    pub fn passes(&self) -> bool {
        match self {
            Error::Connect { passes, .. } => *passes,
            Error::Query(e) => passes(e),
            Error::Pool(_) | Error::Silent(_) => true,
            _ => false,
        }
    }
}

/// See [`Error::passes`]. Classes 08 and 57P: connections end, the server starts or stops; 53300: it has no connection left.
fn passes(error: &tokio_postgres::Error) -> bool {
    match error.code().map(|c| c.code()) {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "53300",
        None => {
            error.is_closed() || std::error::Error::source(error).is_some_and(|e| e.is::<std::io::Error>())
        }
    }
}

/// The first line of a file; what follows it (an editor's line break, a comment) is not the password's.
fn password_in(path: &Path) -> Result<SecretString, Error> {
    let wrong = |reason: String| Error::PasswordFile { path: path.to_owned(), reason };
    let text = SecretString::from(std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?);
    match text.expose_secret().lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => Err(wrong("its first line is empty".into())),
    }
}

fn describe_config(config: &PgConfig) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(i, host)| {
        let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}/.s.PGSQL.{port}", path.display()),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    match config.get_dbname().or(config.get_user()) {
        Some(name) => format!("database {name} at {hosts}"),
        None => format!("the database at {hosts}"),
    }
}

/// Why no connection was made, in the server's words where it had some.
fn refusal(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| reason(error), |db| db.message().to_owned())
}

/// What sslmode asks for beyond what tokio-postgres knows, as libpq reads it: only verify-ca and verify-full verify
/// the server. (Here both verify its name too.) True: verify.
fn verification(url: &str) -> (String, bool) {
    let mut plain = url.to_owned();
    for mode in ["verify-full", "verify-ca"] {
        plain = plain.replace(&format!("sslmode={mode}"), "sslmode=require");
    }
    let verify = plain != url;
    (plain.replace("sslmode=allow", "sslmode=prefer"), verify)
}

/// The message of an error with what lies under it, on one line.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text.replace('\n', " ")
}

/// What the server said, with its detail, hint and SQLSTATE.
fn describe(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return format!("the connection to the database failed: {}", reason(error));
    };
    let mut text = format!("the database refused: {} (SQLSTATE {})", db.message(), db.code().code());
    if let Some(detail) = db.detail() {
        text.push_str(&format!("\ndetail: {detail}"));
    }
    if let Some(hint) = db.hint() {
        text.push_str(&format!("\nhint: {hint}"));
    } else if db.code().code() == "25006" {
        text.push_str(&format!("\nhint: {READ_ONLY_HINT}"));
    } else if db.code().code() == "42501" {
        text.push_str("\nhint: grant the role tradeflow_executor (sidecar) or tradeflow_operator to the connecting user");
    }
    text
}

fn hint(error: &tokio_postgres::Error, config: &PgConfig) -> &'static str {
    match error.code().map(|c| c.code()) {
        Some("28P01") => "the password is wrong: mend database_url, or database_password_file",
        Some("28000") => {
            "the server does not let this user in from here: see pg_hba.conf and the user's name"
        }
        Some("3D000") => "that database does not exist: `createdb` it or mend database_url",
        Some("53300") => {
            "the server has no connection left: lower database_pool_size or raise max_connections"
        }
        Some(_) => "see the server's log",
        None if config.get_ssl_mode() != SslMode::Disable && reason(error).contains("certificate") => {
            "the server's certificate is not trusted: name its authority in tls.extra_ca_file"
        }
        None => {
            "is Postgres running there, and are host and port right? (`pg_isready -h host -p port` tells)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verifying_modes_verify() {
        for (mode, plain, verify) in [
            ("sslmode=verify-full", "sslmode=require", true),
            ("sslmode=verify-ca", "sslmode=require", true),
            ("sslmode=require", "sslmode=require", false),
            ("sslmode=allow", "sslmode=prefer", false),
            ("application_name=x", "application_name=x", false),
        ] {
            let url = |query: &str| format!("postgres://u@h/d?{query}");
            assert_eq!(verification(&url(mode)), (url(plain), verify));
            assert!(PgConfig::from_str(&url(plain)).is_ok());
        }
    }

    #[test]
    fn a_description_holds_no_password() {
        let config = PgConfig::from_str("postgres://me:hunter2@db.example:5433/shop").unwrap();
        assert_eq!(describe_config(&config), "database shop at db.example:5433");
    }
}
