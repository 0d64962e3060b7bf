//! The library refers to symbols that only a Postgres server has. It is loaded into one; the unit tests of its pure
//! parts are not, and never reach these symbols: they are left unresolved.
//!
//! It also learns the version of the schema it belongs to, which `tradeflow.control` names.
use std::{fs, path::Path};

fn main() {
    println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    let control = Path::new(env!("CARGO_MANIFEST_DIR")).join("tradeflow.control");
    println!("cargo:rerun-if-changed={}", control.display());
    println!("cargo:rerun-if-changed=build.rs");
    let text = fs::read_to_string(&control).unwrap_or_default();
    match text.lines().find_map(|line| line.strip_prefix("default_version = '")?.strip_suffix('\'')) {
        Some(version) => println!("cargo:rustc-env=TRADEFLOW_VERSION={version}"),
        None => panic!("{} names no default_version", control.display()),
    }
}
