//! A private Postgres with the extension.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::process::Process;

/// A server: the run's, or one of the test's own.
pub struct Cluster {
    config: Config,
    guard: Option<Process>,
}

/// The project's root folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project")
}

/// The folder of the binaries under test: where cargo put this test's own.
pub fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().expect("it lies in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps lies in one too").to_owned()
    } else {
        folder.to_owned()
    }
}

impl Cluster {
    /// The server all tests of this process use: the one `TRADEFLOW_TEST_PG` names, else one started now.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("TRADEFLOW_TEST_PG") {
            Ok(words) => Cluster { config: parse(&words), guard: None },
            // A static is never dropped: this one ends because its standard input closes with this process.
            Err(_) => Cluster::start(),
        })
    }

    /// A server for one test alone, which may stop and crash it.
    pub fn start() -> Cluster {
        let command = Command::new(project().join("scripts/test-cluster.sh"));
        let mut guard = Process::start_until_input_closes("the private Postgres", &command);
        let config = guard.wait_for("how to connect", conninfo);
        guard.wait_for("that it is ready", |line| (line == "ready").then_some(()));
        Cluster { config, guard: Some(guard) }
    }

    /// Cuts all sessions without notice, as a crash of the server does.
    pub fn crash(&mut self) {
        self.tell("crash");
    }

    /// Stops the server in an orderly way.
    pub fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts it again. Its port is the one it had.
    pub fn restart(&mut self) {
        self.tell("start");
    }

    /// Takes everything along into a new cluster by pg_upgrade, as for a new major version, and starts that.
    pub fn upgrade(&mut self) {
        // pg_upgrade starts and stops two servers several times.
        self.tell_within("upgrade", 10 * crate::eventually::PATIENCE);
    }

    fn tell(&mut self, word: &str) {
        self.tell_within(word, crate::eventually::PATIENCE);
    }

    fn tell_within(&mut self, word: &str, patience: std::time::Duration) {
        let guard = self.guard.as_mut().expect("only a test's own cluster is stopped: use Cluster::start()");
        let before = guard.lines().len();
        guard.tell(word);
        guard.wait_within(patience, before, "that it has done so", |line| (line == "ok").then_some(()));
    }

    /// How to connect to a database of it, through the socket.
    pub fn config(&self, database: &str) -> Config {
        let mut config = self.config.clone();
        config.dbname(database);
        config
    }

    /// The URL of a database, over TCP with a password, as a user would write it.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", &self.password(), database)
    }

    /// The same for another role.
    pub fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{database}", self.port())
    }

    /// The folder of its socket, which lies in the folder of all its files.
    pub fn socket_folder(&self) -> &Path {
        match self.config.get_hosts().first() {
            Some(Host::Unix(path)) => path,
            host => panic!("the connection words name no socket but {host:?}"),
        }
    }

    /// The port, of TCP and socket alike.
    pub fn port(&self) -> u16 {
        *self.config.get_ports().first().expect("the connection words name a port")
    }

    /// The superuser's password, which TCP asks for.
    pub fn password(&self) -> String {
        let password = self.config.get_password().expect("the connection words have a password");
        String::from_utf8(password.to_owned()).expect("it is text")
    }

    /// A session in a database.
    pub async fn connect(&self, database: &str) -> Client {
        connect(&self.config(database)).await
    }

    /// A `psql` command (or another program of libpq's) for a database, to which arguments may be added.
    pub fn psql(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.socket_folder())
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", self.config.get_user().unwrap_or("postgres"))
            .env("PGPASSWORD", self.password())
            .env("PGDATABASE", database);
        command
    }
}

/// A session; its connection task ends with it.
pub async fn connect(config: &Config) -> Client {
    let (client, connection) =
        config.connect(NoTls).await.unwrap_or_else(|error| panic!("cannot connect to {config:?}: {error}"));
    tokio::spawn(connection);
    client
}

fn conninfo(line: &str) -> Option<Config> {
    line.strip_prefix("conninfo=").map(parse)
}

fn parse(words: &str) -> Config {
    words.parse().unwrap_or_else(|error| panic!("these are no connection words: {error}"))
}
