//! The recipes are in the program; a new file among them is noticed.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../sql/recipes");
}
