//! docs/guide/, and the project's README, are run: the blocks of a page one after another, as somebody would type them, in a
//! database of its own that has the extension and the store's tables.
//!
//! - A block `sql` goes to psql and must succeed; a block `text` right behind it is what it prints.
//! - A block `sh` is run by bash in the folder where the last one ended, with `tradeflow` in the PATH and the database in the
//!   environment; a block `text` behind it is its standard output.
//! - Blocks that cannot be run here (root, containers, somebody else's server) say so: ` ```sh not run `.
//! - `tradeflow run` on a line of its own starts a sidecar, which runs until the page ends. Mail to `localhost:1025` arrives.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;
use tradeflow_tests::golden;
use tradeflow_tests::mail::MailSink;
use tradeflow_tests::sidecar::{binary, Sidecar};

/// Where the guide says that a mail server listens.
const MAIL: &str = "localhost:1025";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("front_page", || run_page(&project().join("README.md")))];
    trials.extend(pages().into_iter().map(|page| {
        let name = page.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        Trial::test(name, move || run_page(&page))
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn pages() -> Vec<PathBuf> {
    let folder = project().join("docs/guide");
    let files = std::fs::read_dir(folder).expect("the guide is there");
    let mut pages: Vec<PathBuf> = files.map(|file| file.expect("an entry is readable").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// A fenced block: what its fence says, its text, and the line it begins at.
struct Block {
    kind: String,
    text: String,
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(kind) if !open => {
                found.push(Block { kind: kind.trim().to_owned(), text: String::new(), line: number + 1 });
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let block = found.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    found
}

fn run_page(page: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(page)?;
    let blocks = blocks(&text);
    golden::with_database(Database::with_store, async |db| {
        let mut reader = Reader::new(&db);
        for (place, block) in blocks.iter().enumerate() {
            let output = match block.kind.as_str() {
                "sql" => reader.sql(&block.text),
                "sh" => reader.sh(&block.text),
                _ => continue,
            };
            let at = format!("{}:{}", page.display(), block.line);
            let output = output.map_err(|error| format!("{at}: {error}"))?;
            if let Some(expected) = blocks.get(place + 1).filter(|next| next.kind == "text") {
                let (expected, output) = (trimmed(&expected.text), trimmed(&output));
                if expected != output {
                    return Err(format!(
                        "{at} prints something else.\nexpected:\n{expected}\nnow:\n{output}"
                    )
                    .into());
                }
            }
        }
        Ok(())
    })
}

/// Without what nobody sees: blanks at the ends of lines, empty lines around.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Somebody who types what a page says.
struct Reader<'a> {
    db: &'a Database,
    home: tempfile::TempDir,
    mail: MailSink,
    sidecar: Option<Sidecar>,
}

impl<'a> Reader<'a> {
    fn new(db: &'a Database) -> Self {
        Reader {
            db,
            home: tempfile::tempdir().expect("a temporary folder"),
            mail: MailSink::start(),
            sidecar: None,
        }
    }

    /// What is typed, with the mail server's real address.
    fn typed(&self, text: &str) -> String {
        text.replace(MAIL, self.mail.url().trim_start_matches("smtp://"))
    }

    fn sql(&self, text: &str) -> Result<String, String> {
        let mut psql = self.db.program("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-f", "-"]).env("PGTZ", "UTC");
        self.type_into(psql, &self.typed(text))
    }

    fn sh(&mut self, text: &str) -> Result<String, String> {
        let mut rest = String::new();
        for line in text.lines() {
            match line.split('#').next().unwrap_or_default().trim() {
                "tradeflow run" => self.sidecar = Some(Sidecar::start(self.db)),
                _ => rest.push_str(&format!("{line}\n")),
            }
        }
        let (programs, place) = (binary(), self.home.path().join(".place"));
        let path = format!(
            "{}:{}",
            programs.parent().expect("a program is in a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        // The next block begins where this one ends.
        let script = format!(
            "set -euo pipefail\ncd \"$(cat {0} 2>/dev/null || echo {1})\"\ntrap 'pwd >{0}' EXIT\n{2}",
            place.display(),
            self.home.path().display(),
            self.typed(&rest)
        );
        let mut bash = self.db.program("bash");
        bash.args(["-s"])
            .env("TRADEFLOW_DATABASE_URL", self.db.url())
            .env("PATH", path)
            .env("TRADEFLOW_LOG", "warn");
        bash.env_remove("TRADEFLOW_CONFIG").env("HOME", self.home.path());
        self.type_into(bash, &script)
    }

    /// Standard output, or what went wrong with all it said.
    fn type_into(&self, mut command: Command, text: &str) -> Result<String, String> {
        let input = self.home.path().join(".input");
        std::fs::write(&input, text).map_err(|error| error.to_string())?;
        command.stdin(std::fs::File::open(&input).map_err(|error| error.to_string())?);
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(said),
            false => Err(format!("{}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }
}
