//! `company_to_crm` and `sales_staff_to_crm`: companies, people and who looks after them.

use serde_json::json;
use tradeflow_fakes::bigcommerce::Store;
use tradeflow_fakes::hubspot::Record;

use super::scene::{nothing, Scene};

/// A company that is approved, with its administrator.
fn company(store: &mut Store, n: usize) -> i64 {
    let id = store.sign_up(
        &format!("Company {n}"),
        json!({"companyStatus": "1", "companyEmail": format!("office@c{n}.example"), "companyPhone": "+1"}),
    );
    store.join(id, &format!("Buyer{n}@c{n}.example"), "Bea", &format!("Buyer {n}"), nothing());
    id
}

fn count(scene: &Scene, object: &str) -> usize {
    scene.crm.edit(|crm| crm.all(object).len())
}

/// The record under one of our keys, with its id.
fn record(scene: &Scene, object: &str, key: i64) -> Option<(String, Record)> {
    let property = if object == "companies" { "bc_company_id" } else { "bc_user_id" };
    scene.crm.edit(|crm| {
        crm.find(object, property, &key.to_string()).map(|(id, record)| (id.clone(), record.clone()))
    })
}

fn text(record: &Record, property: &str) -> String {
    record.properties.get(property).cloned().unwrap_or_default()
}

async fn incidents(scene: &Scene) -> Vec<String> {
    scene.db().column("select message from tradeflow.incidents order by id").await
}

#[tokio::test]
async fn fifty_companies_at_once_are_fifty_contacts_and_the_same_again_is_nothing() {
    let mut scene = Scene::of(&["company_to_crm"]).start().await;
    // People made some of them before, by hand.
    let (contact, domain) = scene.crm.edit(|crm| {
        let contact = crm.add("contacts", &[("email", "buyer7@c7.example"), ("lifecyclestage", "customer")]);
        (contact, crm.add("companies", &[("name", "Seven"), ("domain", "c7.example"), ("city", "Sheffield")]))
    });
    // Nothing tells of companies that are made in bulk; the sync finds them.
    let companies: Vec<i64> = scene.store.edit(|store| (0..50).map(|n| company(store, n)).collect());
    scene.sync();
    scene.settled().await;
    assert_eq!((count(&scene, "companies"), count(&scene, "contacts")), (50, 50));
    for (n, id) in companies.iter().enumerate() {
        let (company, found) = record(&scene, "companies", *id).expect("the company is there");
        assert_eq!(text(&found, "domain"), format!("c{n}.example"));
        let user = scene.store.edit(|store| {
            *store.users.iter().find(|(_, user)| user.int("companyId") == *id).expect("its buyer").0
        });
        let (_, found) = record(&scene, "contacts", user).expect("the contact is there");
        assert_eq!(
            (text(&found, "firstname"), text(&found, "company")),
            ("Bea".into(), format!("Company {n}"))
        );
        assert!(found.associated.contains(&("companies".to_owned(), company)), "{found:?}");
    }
    // The ones of people's were taken over, and keep what is theirs.
    let (id, found) = record(&scene, "companies", companies[7]).expect("it is there");
    assert_eq!(
        (id, text(&found, "name"), text(&found, "city")),
        (domain, "Company 7".into(), "Sheffield".into())
    );
    let kept = scene.crm.edit(|crm| crm.all("contacts")[&contact].clone());
    assert_eq!(
        (text(&kept, "lifecyclestage"), text(&kept, "lastname")),
        ("customer".into(), "Buyer 7".into())
    );

    let fired = scene.firings("company_to_crm").await;
    assert_eq!(fired, 50);
    scene
        .restrained(&["company_to_crm", "company_to_crm_contacts"], |store, n| company(store, 100 + n))
        .await;
    assert_eq!((count(&scene, "companies"), count(&scene, "contacts")), (51, 51));
    assert_eq!(incidents(&scene).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_company_counts_once_it_is_approved_and_its_people_with_it() {
    let mut scene = Scene::of(&["company_to_crm"]).start().await;
    let pending = |store: &mut Store, n: usize| {
        let id = store.sign_up(&format!("Pending {n}"), json!({"companyEmail": "x@gmail.com"}));
        store.join(id, &format!("p{n}@example.org"), "Pat", "Pending", nothing());
        id
    };
    let companies: Vec<i64> = scene.store.edit(|store| (0..4).map(|n| pending(store, n)).collect());
    scene.sync();
    scene.settled().await;
    assert_eq!((count(&scene, "companies"), count(&scene, "contacts")), (0, 0));
    scene.store.edit(|store| store.decide(companies[0], 1));
    scene.sync();
    scene.settled().await;
    assert_eq!((count(&scene, "companies"), count(&scene, "contacts")), (1, 1));
    let (_, found) = record(&scene, "companies", companies[0]).expect("it is there");
    assert_eq!(text(&found, "domain"), "", "anybody has an address at that domain");
    // A change goes there.
    scene.store.edit(|store| store.patch_company(companies[0], json!({"companyName": "Renamed"})));
    scene.sync();
    scene.settled().await;
    let (_, found) = record(&scene, "companies", companies[0]).expect("it is there");
    assert_eq!(text(&found, "name"), "Renamed");
    scene
        .restrained(&["company_to_crm", "company_to_crm_people"], |store, n| store.decide(companies[n], 1))
        .await;
}

#[tokio::test]
async fn two_companies_that_could_be_meant_are_left_to_a_person() {
    let scene = Scene::of(&["company_to_crm"]).start().await;
    let right = scene.crm.edit(|crm| {
        crm.add("companies", &[("name", "One"), ("domain", "c1.example")]);
        crm.add("companies", &[("name", "Two"), ("domain", "C1.example")])
    });
    let id = scene.store.edit(|store| company(store, 1));
    scene.sync();
    scene.settled().await;
    let told = incidents(&scene).await;
    assert!(told.iter().any(|m| m.contains("2 records of companies have domain c1.example")), "{told:?}");
    assert_eq!(count(&scene, "companies"), 2);
    scene.crm.edit(|crm| {
        let record =
            crm.records.get_mut("companies").and_then(|all| all.get_mut(&right)).expect("it is there");
        record.properties.insert("bc_company_id".into(), id.to_string());
    });
    scene.db().sql("select tradeflow.retry(id) from tradeflow.outbox where state = 'dead'").await;
    scene.settled().await;
    let (found, _) = record(&scene, "companies", id).expect("it is there");
    assert_eq!((found, count(&scene, "companies"), count(&scene, "contacts")), (right, 2, 1));
}

#[tokio::test]
async fn an_assignment_before_the_records_exist_is_set_later_and_once() {
    let mut scene = Scene::of(&["company_to_crm", "sales_staff_to_crm"])
        .store(|store| {
            store.hire("Anna", "anna@example.com");
            store.hire("Ben in the store", "ben@shop.example");
            store.hire("Zed", "zed@example.com");
            store.sign_up("Acme", json!({}));
            store.join(2001, "ada@acme.example", "Ada", "Lovelace", nothing());
        })
        .sql("insert into crm_owners values ('ben@shop.example', 'ben@example.com')")
        .start()
        .await;
    let (anna, ben, zed) = (301, 302, 303);
    scene.store.edit(|store| store.assign(anna, 2001));
    scene.sync();
    // The company is pending: neither it nor its people are in HubSpot.
    scene
        .db()
        .until("select count(*) filter (where error like '%(yet)%') = 2 from tradeflow.outbox where kind = 'hubspot.set_owner'")
        .await;
    scene.store.edit(|store| store.decide(2001, 1));
    scene.sync();
    scene.settled().await;
    let owners = |scene: &Scene| {
        ["companies", "contacts"].map(|object| {
            let key = if object == "companies" { 2001 } else { 7001 };
            text(&record(scene, object, key).expect("it is there").1, "hubspot_owner_id")
        })
    };
    assert_eq!(owners(&scene), ["70001", "70001"]);
    let sets = |scene: &Scene| {
        let body = |r: &tradeflow_fakes::request::Request| {
            r.method == "PATCH" && r.body.contains("hubspot_owner_id")
        };
        scene.crm.requests().iter().filter(|r| body(r) && r.status == 200).count()
    };
    assert_eq!(sets(&scene), 2, "each was set once");
    assert_eq!(incidents(&scene).await, Vec::<String>::new());

    // Another rep, whose address is another one there.
    scene.store.edit(|store| store.assign(ben, 2001));
    scene.sync();
    scene.settled().await;
    assert_eq!(owners(&scene), ["70002", "70002"]);
    // One whom HubSpot does not know: an incident, and once it does the owner is set.
    scene.store.edit(|store| store.assign(zed, 2001));
    scene.sync();
    scene.settled().await;
    assert_eq!(owners(&scene), ["70002", "70002"]);
    let told = incidents(&scene).await;
    assert!(told.len() == 2 && told.iter().all(|m| m.contains("zed@example.com")), "{told:?}");
    scene.crm.edit(|crm| crm.owners.push(("70003".into(), "zed@example.com".into())));
    scene.db().sql("select tradeflow.retry(id) from tradeflow.outbox where state = 'dead'").await;
    scene.settled().await;
    assert_eq!(owners(&scene), ["70003", "70003"]);

    let reps = [anna, ben, anna];
    scene
        .restrained(&["sales_staff_to_crm", "sales_staff_to_crm_contacts"], |store, n| {
            store.assign(reps[n - 1], 2001);
        })
        .await;
    assert_eq!(owners(&scene), ["70001", "70001"]);
}
