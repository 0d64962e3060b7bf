//! Quotes as rows of a spreadsheet that people work in, too.

use std::collections::BTreeMap;

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::{Line, Store};

use super::scene::{nothing, Scene, Setup};

const BUYER: &str = "ada@acme.example";

fn setup(tab: &str) -> Setup {
    Scene::of(&["quote_to_sheet"])
        .set("quotes_spreadsheet", "s1")
        .set("quotes_sheet", tab)
        .spreadsheet("s1", "Notes", json!([["Ours"]]))
        .store(|store| {
            for (name, buyer) in [("Acme", BUYER), ("Bolt & Söhne's", "bob@bolt.example")] {
                let company = store.sign_up(name, json!({"companyStatus": "1"}));
                store.join(company, buyer, "Ada", "Lovelace", nothing());
            }
        })
}

fn lines(quantity: i64) -> Vec<Line> {
    vec![Line::new(201, "=HYPERLINK(\"http://x\")", quantity, "10.10"), Line::new(202, "Lock", 1, "20")]
}

fn ask(store: &mut Store, quantity: i64) -> i64 {
    store.ask_for_quote(2001, BUYER, &lines(quantity), nothing())
}

/// A tab's rows by their first cell under `Line`, each by heading. Panics when a line is there twice.
fn rows(scene: &Scene, tab: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let cells = scene.google.cells("s1", tab);
    let Some((header, rows)) = cells.split_first() else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for row in rows {
        let row: BTreeMap<String, Value> = header
            .iter()
            .zip(row)
            .filter(|(_, cell)| !cell.is_null() && *cell != "")
            .map(|(heading, cell)| (heading.as_str().unwrap_or_default().to_owned(), cell.clone()))
            .collect();
        if row.is_empty() {
            continue;
        }
        let line = row
            .get("Line")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no line in {row:?}"))
            .to_owned();
        assert!(found.insert(line.clone(), row).is_none(), "{line} is there twice");
    }
    found
}

/// What people do with the tab.
fn edit(scene: &Scene, tab: &str, edit: impl FnOnce(&mut Vec<Vec<Value>>)) {
    scene.google.edit(|state| {
        let spreadsheet = state.spreadsheets.get_mut("s1").expect("it is shared");
        spreadsheet.version += 1;
        edit(&mut spreadsheet.tabs.iter_mut().find(|t| t.title == tab).expect("the tab is there").cells);
    });
}

#[tokio::test]
async fn rows_follow_the_lines_and_what_people_do_with_the_sheet_stays() {
    let mut scene = setup("Quotes").start().await;
    let (first, second) = scene.store.edit(|store| (ask(store, 4), ask(store, 7)));
    scene.sync();
    scene.settled().await;
    let found = rows(&scene, "Quotes");
    assert_eq!(found.len(), 4);
    let hinge = &found[&format!("{first}/v2010")];
    assert_eq!(
        ["Quote", "Status", "Company", "Product", "Quantity", "Offered price", "Line total", "Currency"]
            .map(|heading| hinge[heading].clone()),
        [
            json!(format!("QN{}", 200_000 + first)),
            json!("New"),
            json!("Acme"),
            json!("=HYPERLINK(\"http://x\")"),
            json!(4),
            json!(10.1),
            json!(40.4),
            json!("USD")
        ],
        "a formula of a customer's is text"
    );

    // People add a column, write into it, move a column, and sort.
    let note = format!("{second}/v2010");
    edit(&scene, "Quotes", |cells| {
        let line = cells[0].iter().position(|heading| heading == "Line").expect("a column");
        for row in cells.iter_mut() {
            let noted = if row[line] == "Line" {
                json!("My note")
            } else if row[line] == json!(note) {
                json!("call them")
            } else {
                Value::Null
            };
            row.insert(0, noted);
        }
        cells[1..].sort_by_key(|row| std::cmp::Reverse(row[line + 1].to_string()));
    });
    scene.store.edit(|store| {
        store.change_lines(first, &lines(5)[..1]); // the lock is removed
        store.patch_quote(second, json!({"status": 2}));
    });
    scene.sync();
    scene.settled().await;
    let found = rows(&scene, "Quotes");
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, [format!("{first}/v2010"), note.clone(), format!("{second}/v2020")]);
    assert_eq!(found[keys[0]]["Quantity"], json!(5));
    assert_eq!(
        (&found[&note]["My note"], &found[&note]["Status"]),
        (&json!("call them"), &json!("In Process"))
    );
    assert_eq!(found[keys[2]]["Status"], json!("In Process"));

    // A quote that is gone takes its rows along.
    scene.store.edit(|store| store.delete("quote", second));
    scene.sync_with(&["--sweep"]);
    scene.settled().await;
    assert_eq!(rows(&scene, "Quotes").into_keys().collect::<Vec<_>>(), [format!("{first}/v2010")]);
    let dead: i64 =
        scene.db().one("select count(*) from tradeflow.incidents where kind = 'dead_action'").await;
    assert_eq!(dead, 0);

    let asked = |store: &mut Store, n: usize| ask(store, n as i64);
    scene.restrained(&["quote_to_sheet", "quote_to_sheet_line"], asked).await;
    assert_eq!(rows(&scene, "Quotes").len(), 3);
    let fewer = |store: &mut Store, n: usize| {
        // Each time one line fewer.
        let all: Vec<Line> = (0..4 - n as i64).map(|i| Line::new(300 + i, "Part", 1, "1")).collect();
        store.change_lines(first, &all);
    };
    scene.store.edit(|store| fewer(store, 0));
    scene.restrained(&["quote_to_sheet_removed"], fewer).await;
}

#[tokio::test]
async fn twenty_edits_at_once_lose_no_row_and_double_none() {
    let scene = setup("Quotes").sidecars(2).start().await;
    let quotes: Vec<i64> = scene.store.edit(|store| (0..5).map(|n| ask(store, n + 1)).collect());
    scene.sync();
    scene.settled().await;
    // Twenty sessions of a sync job of somebody's own, two on each line, half of them with a new line besides.
    let sessions = (0..20_i64).map(|n| {
        let (db, quote) = (scene.db(), quotes[n as usize % 5]);
        let key = if n / 5 % 2 == 0 { "v2010" } else { "v2020" };
        async move {
            let session = db.connect().await;
            session
                .execute("update store.quote_items set quantity = quantity + $3 where quote_id = $1 and line_key = $2", &[&quote, &key, &(100 + n as i32)])
                .await
                .expect("the line is changed");
            if n % 2 == 0 {
                let insert = "insert into store.quote_items (quote_id, line_key, product_name, quantity) values ($1, $2, 'New', 1)";
                session.execute(insert, &[&quote, &format!("n{n}")]).await.expect("the line is new");
            }
        }
    });
    futures_util::future::join_all(sessions).await;
    scene.settled().await;
    let wanted: Vec<String> = scene
        .db()
        .column("select quote_id || '/' || line_key || ' ' || quantity from store.quote_items order by quote_id || '/' || line_key collate \"C\"")
        .await;
    assert_eq!(wanted.len(), 20);
    let found: Vec<String> =
        rows(&scene, "Quotes").iter().map(|(line, row)| format!("{line} {}", row["Quantity"])).collect();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn each_company_may_have_a_tab_of_its_own() {
    let scene = setup("Quotes of {company}").start().await;
    let (of_acme, of_bolt) = scene
        .store
        .edit(|store| (ask(store, 1), store.ask_for_quote(2002, "bob@bolt.example", &lines(2), nothing())));
    scene.sync();
    scene.settled().await;
    let keys = |tab: &str| rows(&scene, tab).into_keys().collect::<Vec<_>>();
    assert_eq!(keys("Quotes of Acme"), [format!("{of_acme}/v2010"), format!("{of_acme}/v2020")]);
    assert_eq!(keys("Quotes of Bolt & Söhne's"), [format!("{of_bolt}/v2010"), format!("{of_bolt}/v2020")]);
    scene.store.edit(|store| store.change_lines(of_bolt, &lines(2)[1..]));
    scene.sync();
    scene.settled().await;
    assert_eq!(keys("Quotes of Bolt & Söhne's"), [format!("{of_bolt}/v2020")]);
}
