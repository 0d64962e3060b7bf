//! The library refers to symbols that only a Postgres server has. It is loaded into one; the unit tests of its pure
//! parts are not, and never reach these symbols: they are left unresolved.
fn main() {
    println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
}
