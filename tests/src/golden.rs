//! Files that say what is: compared with what is now, or written anew when the environment says `BLESS=1`.

use std::path::Path;
use std::process::Command;

use crate::database::Database;

/// Compares a file with what is now; the error is the difference. `remedy` is the command that accepts it.
///
/// # Errors
/// The difference as `diff -u` shows it, or that the file cannot be written.
pub fn compare(expected: &Path, now: &str, remedy: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(expected, now).map_err(|error| format!("{}: {error}", expected.display()));
    }
    if std::fs::read_to_string(expected).is_ok_and(|text| text == now) {
        return Ok(());
    }
    let actual = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(actual.path(), now).expect("a temporary file is writable");
    let mut diff = Command::new("diff");
    diff.args(["-u", "-N", "--label", "expected", "--label", "now"]).arg(expected).arg(actual.path());
    let diff = diff.output().expect("diff runs");
    let diff = String::from_utf8_lossy(&diff.stdout);
    Err(format!("{} differs; `{remedy}` accepts what is there now\n{diff}", expected.display()))
}

/// Runs something asynchronous with a database, in a test that is not.
pub fn with_database<T>(make: impl AsyncFnOnce() -> Database, run: impl AsyncFnOnce(Database) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { run(make().await).await })
}
