//! Golden files: what `psql` prints for each `regress/sql/*.sql` must be `regress/expected/*.out`, and the schema that
//! `create extension` makes must be `schema.sql`. `make regress` (or `BLESS=1`) writes what is there now; the
//! difference is then reviewed like code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use tradeflow_tests::database::Database;
use tradeflow_tests::golden;

const REMEDY: &str = "make regress";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("schema", schema)];
    for file in sql_files() {
        let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        trials.push(Trial::test(name, move || golden(&file)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sql_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("regress/sql"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    files
}

/// Runs one file and compares. A file that begins with `-- needs: store` gets the store's tables.
fn golden(file: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(file)?;
    let output = golden::with_database(
        async || match text.starts_with("-- needs: store") {
            true => Database::with_store().await,
            false => Database::with_extension().await,
        },
        async |db| {
            let mut psql = db.program("psql");
            // Without CONTEXT: it has line numbers of our functions, which every edit changes.
            psql.args(["-X", "-a", "-q", "-v", "SHOW_CONTEXT=never"])
                .env("PGOPTIONS", "-c intervalstyle=postgres");
            psql.env("PGTZ", "UTC")
                .env("PGDATESTYLE", "ISO, YMD")
                .env("LC_ALL", "C.UTF-8")
                .env("PSQL_PAGER", "");
            both_streams(psql, file)
        },
    );
    let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    Ok(golden::compare(&folder().join("regress/expected").join(format!("{name}.out")), &output, REMEDY)?)
}

/// The whole schema as pg_dump writes it. It leaves out what belongs to an extension, so everything is first released
/// from it; the extension itself is dropped then.
fn schema() -> Result<(), Failed> {
    let dump = golden::with_database(Database::with_extension, async |db| {
        let release =
            fs::read_to_string(folder().join("regress/release_members.sql")).expect("the file is there");
        let mut psql = db.program("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &release]);
        let said = psql.output().expect("psql runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let mut dump = db.program("pg_dump");
        dump.args(["--schema-only", "--no-owner"]);
        let said = dump.output().expect("pg_dump runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("a dump is text")
    });
    // What changes with the minor release or at every run (\restrict has a random word) is left out, and what repeats the
    // next line (-- Name: …).
    let noise = ["-- Dumped ", "-- Name: ", "\\restrict", "\\unrestrict"];
    let mut lines: Vec<&str> = dump
        .lines()
        .filter(|line| *line != "--" && !noise.iter().any(|start| line.starts_with(start)))
        .collect();
    lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
    Ok(golden::compare(&folder().join("schema.sql"), &(lines.join("\n") + "\n"), REMEDY)?)
}

/// Output and errors in the order in which they were written: both go into one pipe. The file is standard input, so
/// that messages do not begin with its name and line.
fn both_streams(command: Command, input: &Path) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(fs::File::open(input).expect("the file is readable"));
    let output = shell.output().expect("sh runs");
    String::from_utf8(output.stdout).expect("psql prints text")
}
