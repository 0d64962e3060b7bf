//! The committed sample store is what its generator writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "../examples/generate_samples/main.rs"]
mod generator;

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).expect("it lies below").to_str().expect("text").to_owned();
        found.insert(name, fs::read_to_string(&path).expect("text"));
    }
}

#[test]
fn the_committed_samples_are_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/store");
    let mut committed = BTreeMap::new();
    walk(&root, &root, &mut committed);
    let generated: BTreeMap<String, String> = generator::files().into_iter().collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&generated));
    for (name, text) in &generated {
        assert!(
            committed[name] == *text,
            "{name} differs: run `cargo run -p tradeflow-sidecar --example generate_samples`"
        );
    }
}
