//! Writes the sample store `sidecar/samples/store`: payload files as the APIs return them, traps included.
//!
//! `cargo run -p tradeflow-sidecar --example generate_samples [folder]`
//!
//! Nothing here reads a clock or a network: the same code writes the same bytes. Every date is relative to `TODAY`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

mod catalog;
mod companies;
mod orders;
mod people;
mod quotes;
mod random;
mod wire;

/// The day the sample store was "exported": Sunday, 2026-11-01, 09:00 UTC.
pub const TODAY: i64 = 1_793_523_600;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// A file of the sample store: its path below the folder, and its text.
pub type File = (String, String);

/// The whole sample store.
pub fn files() -> Vec<File> {
    let companies = companies::invent();
    let people = people::invent(&companies);
    let orders = orders::invent(&companies, &people);
    let quotes = quotes::invent(&companies, &people, &orders);
    let mut files = companies::files(&companies);
    files.extend(people::files(&companies, &people));
    files.extend(quotes::files(&companies, &people, &quotes));
    files.extend(orders::files(&companies, &people, &orders));
    files
}

#[allow(dead_code)] // The test that compares the committed files includes this file as a module.
fn main() -> io::Result<()> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/store");
    let folder = env::args_os().nth(1).map(PathBuf::from).unwrap_or_else(default);
    for (name, text) in files() {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}
