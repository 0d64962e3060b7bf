//! docs/actions/README.md says for each kind what happens when a sidecar dies at each point: of all kinds there are, as the database
//! has them. (That what it says is so: `kills.rs`, `crash.rs`, `kinds::database`.)

use std::collections::BTreeMap;

use tradeflow_tests::cluster::project;
use tradeflow_tests::database::Database;

/// The words between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Delivery by name of a kind, or by its beginning and `*`. A name without a dot has the beginning of the one before it.
fn documented() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(project().join("docs/actions/README.md")).expect("the page is there");
    let (_, section) = page.split_once("## What happens when a sidecar dies").expect("it has the section");
    let (section, _) = section.split_once("\n## ").expect("another follows");
    let mut kinds = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "delivery, kinds, and the three moments: {row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let delivery = quoted(cells[0])[0];
        let mut vendor = "";
        for kind in quoted(cells[1]) {
            let name = match kind.split_once('.') {
                Some((of, _)) => {
                    vendor = of;
                    kind.to_owned()
                }
                None if vendor.is_empty() => kind.to_owned(),
                None => format!("{vendor}.{kind}"),
            };
            assert!(kinds.insert(name, delivery.to_owned()).is_none(), "{kind} is there twice");
        }
    }
    kinds
}

#[tokio::test]
async fn the_page_says_of_each_kind_what_happens_when_a_sidecar_dies() {
    let documented = documented();
    let db = Database::with_extension().await;
    let kinds = "select name, delivery from tradeflow.action_kinds where builtin order by name";
    let mut used = Vec::new();
    for row in db.rows(kinds).await {
        let (kind, delivery): (String, String) = (row.get(0), row.get(1));
        let fits = |name: &&String| match name.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => **name == kind,
        };
        let of_kind: Vec<&String> = documented.keys().filter(fits).collect();
        let [name] = of_kind[..] else { panic!("{kind} has {} rows: {of_kind:?}", of_kind.len()) };
        assert_eq!(documented[name], delivery, "{kind}");
        used.push(name.clone());
    }
    let unknown: Vec<&String> = documented.keys().filter(|name| !used.contains(name)).collect();
    assert!(unknown.is_empty(), "there are no such kinds: {unknown:?}");
}
