//! The library refers to symbols that only a Postgres server has. It is loaded into one; the unit tests of its pure
//! parts are not, and never reach these symbols: they are left unresolved.
//!
//! It also learns the version of the schema it belongs to, which `tradeflow.control` names.
use std::fs;

/// From the package's folder, where Cargo runs this. (A path compiled into it would be that of the checkout it was built in,
/// which may be another: build folders are shared.)
const CONTROL: &str = "tradeflow.control";

fn main() {
    println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    println!("cargo:rerun-if-changed={CONTROL}");
    println!("cargo:rerun-if-changed=build.rs");
    let text = fs::read_to_string(CONTROL).unwrap_or_else(|error| panic!("{CONTROL}: {error}"));
    match text.lines().find_map(|line| line.strip_prefix("default_version = '")?.strip_suffix('\'')) {
        Some(version) => println!("cargo:rustc-env=TRADEFLOW_VERSION={version}"),
        None => panic!("{CONTROL} names no default_version"),
    }
}
