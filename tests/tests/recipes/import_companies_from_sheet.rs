//! Rows of a spreadsheet become companies with their owners, and say what became of them.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::state::Entity;

use super::scene::{nothing, Scene};

const RULES: [&str; 2] = ["import_companies_from_sheet", "import_companies_problem"];

async fn scene() -> Scene {
    Scene::of(&["import_companies_from_sheet"])
        .set("import_spreadsheet", "s1")
        .sheets("s1/Companies/Company")
        .spreadsheet(
            "s1",
            "Companies",
            json!([
                ["Note", "Company", "Email", "First name", "Last name", "Zip"],
                ["was there before us", "Old", "old@old.example", "Olga", "Old", ""]
            ]),
        )
        .store(|store| {
            let bolt = store.sign_up("Bolt", json!({"companyStatus": "1"}));
            store.join(bolt, "bob@bolt.example", "Bob", "Bolt", nothing());
            // A consumer, who is no buyer of a company.
            let id = store.next_id("customer");
            let customer = json!({"id": id, "email": "cora@crate.example", "first_name": "Cora", "last_name": "Crate", "company": "",
                "customer_group_id": 0, "phone": "", "store_credit_amounts": [{"amount": 0}]});
            let now = store.now();
            store.customers.insert(id, Entity::new(now, customer));
        })
        .start()
        .await
}

/// People write into the tab: a row under its company's name, which is added when it is not there.
fn write(scene: &Scene, company: &str, email: &str, first: &str) {
    scene.google.edit(|state| {
        let spreadsheet = state.spreadsheets.get_mut("s1").expect("it is shared");
        spreadsheet.version += 1;
        let cells = &mut spreadsheet.tabs[0].cells;
        let row: Vec<Value> = ["", company, email, first, "Owner", "78704"].map(Value::from).to_vec();
        match cells.iter_mut().find(|row| row.get(1) == Some(&json!(company))) {
            // What was written back beside it stays.
            Some(there) => there[1..6].clone_from_slice(&row[1..]),
            None => cells.push(row),
        }
    });
}

/// Id and outcome beside a company.
fn outcome(scene: &Scene, company: &str) -> (Value, Value) {
    let cells = scene.google.cells("s1", "Companies");
    let column = |heading: &str| cells[0].iter().position(|cell| cell == heading);
    let row = cells.iter().find(|row| row.get(1) == Some(&json!(company))).expect("the row is there");
    let cell = |heading: &str| column(heading).and_then(|n| row.get(n)).cloned().unwrap_or_default();
    (cell("Company id"), cell("Outcome"))
}

fn companies(scene: &Scene) -> Vec<String> {
    scene.store.edit(|store| store.companies.values().map(|c| c.text("companyName").to_owned()).collect())
}

async fn sync(scene: &Scene) {
    scene.sync();
    scene.settled().await;
}

#[tokio::test]
async fn a_row_becomes_one_company_however_often_it_is_edited_and_says_so() {
    let mut scene = scene().await;
    write(&scene, "Acme", "ada@acme.example", "Ada");
    sync(&scene).await;
    let (id, told) = outcome(&scene, "Acme");
    assert_eq!((companies(&scene), told), (vec!["Bolt".to_owned(), "Acme".to_owned()], json!("Created")));
    let (owner, zip) = scene.store.edit(|store| {
        let company = id.as_i64().expect("an id");
        let owner = store.users.values().find(|user| user.int("companyId") == company).expect("its owner");
        (
            (owner.text("email").to_owned(), owner.int("role")),
            store.companies[&company].text("zipCode").to_owned(),
        )
    });
    assert_eq!((owner, zip.as_str()), (("ada@acme.example".to_owned(), 0), "78704"));
    // Edited twice, once before the sync knows of the company, also its address: it stays one.
    write(&scene, "Acme", "ada@acme.example", "Adele");
    sync(&scene).await;
    write(&scene, "Acme", "other@acme.example", "Adele");
    sync(&scene).await;
    assert_eq!((companies(&scene).len(), outcome(&scene, "Acme")), (2, (id, json!("Created"))));

    // A row of each kind each time: one that can be imported, one that cannot.
    let rows = |scene: &Scene, n: usize| {
        write(scene, &format!("Later {n}"), &format!("owner{n}@later.example"), "Lea");
        write(scene, &format!("Wrong {n}"), "nobody", "Lea");
    };
    scene.restrained_by(&RULES, rows).await;
    assert_eq!(
        (companies(&scene).len(), outcome(&scene, "Later 3").1, outcome(&scene, "Later 2").1),
        (3, json!("Created"), Value::Null)
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_row_and_what_is_mended_is_imported() {
    let scene = scene().await;
    write(&scene, "Acme", "ada at acme", "Ada");
    write(&scene, "Crate", "cora@crate.example", "");
    sync(&scene).await;
    assert_eq!(outcome(&scene, "Acme"), (Value::Null, json!("\"ada at acme\" is no e-mail address")));
    assert_eq!(outcome(&scene, "Crate"), (Value::Null, json!("Fill in First name")));
    assert_eq!(companies(&scene), ["Bolt"]);
    write(&scene, "Acme", "ada@acme.example", "Ada");
    // A consumer with that address becomes the owner, and is no second customer.
    write(&scene, "Crate", "cora@crate.example", "Cora");
    let customers = |scene: &Scene| scene.store.edit(|store| store.customers.len());
    let before = customers(&scene);
    sync(&scene).await;
    assert_eq!(
        (companies(&scene).len(), outcome(&scene, "Acme").1, outcome(&scene, "Crate").1),
        (3, json!("Created"), json!("Created"))
    );
    assert_eq!(customers(&scene), before + 1, "Ada's; Cora was one already");

    // Whose address is a buyer's of another company already is not imported anew.
    write(&scene, "Bolt again", "bob@bolt.example", "Bob");
    sync(&scene).await;
    assert_eq!(outcome(&scene, "Bolt again"), (json!(2001), json!("It was there already")));
    // What the store refuses is told in its words.
    scene.store.edit(|store| {
        store.company_fields.push(tradeflow_fakes::bigcommerce::state::ExtraField {
            required: true,
            ..tradeflow_fakes::bigcommerce::state::ExtraField::text("VAT")
        });
    });
    write(&scene, "Dome", "dora@dome.example", "Dora");
    sync(&scene).await;
    let (id, told) = outcome(&scene, "Dome");
    assert!(id == json!("") || id.is_null(), "{id}");
    assert!(told.as_str().is_some_and(|told| told.contains("VAT")), "{told}");
    assert_eq!(companies(&scene).len(), 3);
    // One row that was refused is one thing to look into.
    let incidents: Vec<String> =
        scene.db().column("select kind || ' ' || message from tradeflow.incidents").await;
    assert!(incidents.len() == 1 && incidents[0].contains("VAT"), "{incidents:?}");
}
