//! The `tradeflow` binary: run once, or kept running.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use crate::cluster::binaries;
use crate::database::Database;
use crate::process::Process;

/// `tradeflow …`, to be run to its end or started.
pub struct Tradeflow {
    command: Command,
    folder: tempfile::TempDir,
}

/// A `tradeflow run` that is running. Dropping it kills it.
pub struct Sidecar {
    process: Process,
    _folder: tempfile::TempDir,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    /// The exit code; a signal is a panic.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The binary under test: `TRADEFLOW_BIN`, else the one cargo built beside the tests.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("TRADEFLOW_BIN").map_or_else(|| binaries().join("tradeflow"), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not built: run `make test` or `cargo build -p tradeflow-sidecar`",
        path.display()
    );
    path
}

impl Tradeflow {
    /// `tradeflow` with these arguments, in an empty folder, with an environment that holds nothing of ours but what
    /// the test adds.
    pub fn new<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("TRADEFLOW_") || text.starts_with("PG") || text == "DATABASE_URL" {
                command.env_remove(&name);
            }
        }
        command.args(arguments).current_dir(folder.path()).env("RUST_BACKTRACE", "0");
        Self { command, folder }
    }

    /// On a database, as its superuser.
    pub fn on<'a>(database: &Database, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(arguments).env("TRADEFLOW_DATABASE_URL", &database.url())
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// With a `tradeflow.toml` in the folder it runs in.
    pub fn config(self, toml: &str) -> Self {
        self.file("tradeflow.toml", toml)
    }

    /// With a file in the folder it runs in.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("a temporary folder is writable");
        std::fs::write(path, text).expect("a temporary folder is writable");
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Said {
        Said::from(self.command.output().unwrap_or_else(|error| panic!("cannot run tradeflow: {error}")))
    }

    /// Starts it and leaves it running.
    pub fn start(self) -> Sidecar {
        Sidecar { process: Process::start("tradeflow", &self.command), _folder: self.folder }
    }
}

impl Sidecar {
    /// `tradeflow run` on a database, with short waits so that tests need not wait long.
    pub fn start(database: &Database) -> Self {
        Self::command(database).start()
    }

    /// The same, to be changed before it is started.
    pub fn command(database: &Database) -> Tradeflow {
        Tradeflow::on(database, ["run"])
            .env("TRADEFLOW_POLL_INTERVAL", "200ms")
            .env("TRADEFLOW_TICK_INTERVAL", "200ms")
            .env("TRADEFLOW_LOG", "info,tradeflow_sidecar=debug")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// SIGINT, as Ctrl-C sends it, without waiting.
    pub fn interrupt(&self) {
        self.process.signal("INT");
    }

    /// SIGSTOP: it holds its leases and connections, and does nothing.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Waits for its end and returns the exit code.
    pub fn wait(&mut self, within: Duration) -> i32 {
        let status = self.process.wait(within);
        status.code().unwrap_or_else(|| panic!("tradeflow ended by a signal: {status}"))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits for a log line that contains `text`.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        self.process.wait_for(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Asks its `/metrics` or `/healthz`; it must have been started with `TRADEFLOW_LISTEN_ADDRESS=127.0.0.1:0`. The whole
    /// answer, with status line and headers.
    pub async fn get(&mut self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let line = self.wait_for_log("/healthz");
        let after = line.split("127.0.0.1:").nth(1).unwrap_or_default();
        let port: String = after.chars().take_while(char::is_ascii_digit).collect();
        let mut stream =
            tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

impl Said {
    /// Panics unless it succeeded; returns standard output.
    pub fn success(&self) -> &str {
        assert_eq!(self.code, 0, "tradeflow failed:\n{}{}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Panics unless it failed; returns standard error.
    pub fn failure(&self) -> &str {
        assert_ne!(self.code, 0, "tradeflow succeeded, which it should not:\n{}{}", self.stdout, self.stderr);
        &self.stderr
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output
                .status
                .code()
                .unwrap_or_else(|| panic!("tradeflow ended by a signal: {}", output.status)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
