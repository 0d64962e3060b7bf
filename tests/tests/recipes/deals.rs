//! `quote_to_deal` and `order_to_deal`: one deal a quote, whatever happens, and the order wins it.

use serde_json::json;
use tradeflow_fakes::bigcommerce::{Line, Store};
use tradeflow_fakes::fault::Fault;
use tradeflow_fakes::hubspot::Record;

use super::scene::{nothing, Scene, Setup};

const BUYER: &str = "ada@acme.example";

/// Acme (2001) with a buyer, and with a rep whom HubSpot knows.
fn acme(store: &mut Store) {
    let anna = store.hire("Anna", "anna@example.com");
    let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
    store.assign(anna, acme);
    store.join(acme, BUYER, "Ada", "Lovelace", nothing());
}

fn setup(recipes: &[&str]) -> Setup {
    Scene::of(recipes).clock("2026-03-01 09:00Z").ticking().store(acme)
}

fn hinges(quantity: i64) -> Vec<Line> {
    vec![Line::new(212, "Hinge", quantity, "10.10")]
}

fn ask(store: &mut Store, quantity: i64) -> i64 {
    store.ask_for_quote(2001, BUYER, &hinges(quantity), nothing())
}

/// The deal under a key, with its id.
fn deal(scene: &Scene, property: &str, key: i64) -> (String, Record) {
    let found = scene.crm.edit(|crm| {
        crm.find("deals", property, &key.to_string()).map(|(id, record)| (id.clone(), record.clone()))
    });
    found.unwrap_or_else(|| panic!("there is no deal with {property} {key}"))
}

fn text<'a>(record: &'a Record, property: &str) -> &'a str {
    record.properties.get(property).map_or("", String::as_str)
}

fn deals(scene: &Scene) -> usize {
    scene.crm.edit(|crm| crm.all("deals").len())
}

/// The incidents that actions ended with.
async fn dead(scene: &Scene) -> Vec<String> {
    scene.db().column("select message from tradeflow.incidents where kind = 'dead_action' order by id").await
}

#[tokio::test]
async fn five_edits_while_hubspot_is_down_are_one_deal_in_its_last_state() {
    let mut scene = setup(&["quote_to_deal"]).start().await;
    // Company and contact are there already, as company_to_crm makes them.
    scene.crm.edit(|crm| {
        for (object, key) in [("companies", "bc_company_id"), ("contacts", "bc_user_id")] {
            crm.properties.get_mut(object).expect("it is a type").insert(key.to_owned(), true);
        }
        crm.add("companies", &[("name", "Acme"), ("bc_company_id", "2001")]);
        crm.add("contacts", &[("email", BUYER), ("bc_user_id", "7001")]);
    });
    scene.crm.faults().next(1_000_000, Fault::status(503));
    let quote = scene.store.edit(|store| ask(store, 1));
    scene.sync_with(&["quotes"]);
    for (n, status) in [2, 2, 3, 2, 3].into_iter().enumerate() {
        scene.store.edit(|store| {
            store.change_lines(quote, &hinges(10 + n as i64));
            store.patch_quote(quote, json!({"status": status}));
        });
        scene.sync_with(&["quotes"]);
    }
    scene
        .db()
        .until("select count(*) = 6 and bool_or(error like '%503%') from tradeflow.outbox where rule = 'quote_to_deal'")
        .await;
    scene.crm.faults().clear();
    scene.settled().await;
    assert_eq!(deals(&scene), 1);
    let (id, record) = deal(&scene, "bc_quote_id", quote);
    // 14 × 10.10; status 3, Updated by customer.
    assert_eq!(
        ["dealstage", "pipeline", "amount", "hubspot_owner_id"].map(|p| text(&record, p)),
        ["contractsent", "default", "141.4000", "70001"]
    );
    assert_eq!(text(&record, "dealname"), format!("Acme · QN{}", 200_000 + quote));
    let associated: Vec<&str> = record.associated.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(associated, ["companies", "contacts"]);
    let links: Vec<String> = scene
        .db()
        .column(&format!(
            "select other_id from tradeflow.links where source = 'store.quotes' and subject = '{quote}' and object = 'deal'"
        ))
        .await;
    assert_eq!(links, [id]);
    assert_eq!(dead(&scene).await, Vec::<String>::new());

    // Ordered: won. Whatever is edited afterwards, it stays so.
    scene.store.edit(|store| store.patch_quote(quote, json!({"status": 4})));
    scene.sync();
    scene.settled().await;
    assert_eq!(text(&deal(&scene, "bc_quote_id", quote).1, "dealstage"), "closedwon");
    scene.store.edit(|store| {
        store.change_lines(quote, &hinges(20));
        store.patch_quote(quote, json!({"status": 2}));
    });
    scene.sync();
    scene.settled().await;
    let (_, record) = deal(&scene, "bc_quote_id", quote);
    assert_eq!((text(&record, "dealstage"), text(&record, "amount")), ("closedwon", "202.0000"));

    scene.restrained(&["quote_to_deal", "quote_to_deal_owner"], |store, n| ask(store, n as i64)).await;
    assert_eq!(deals(&scene), 2);
}

#[tokio::test]
async fn a_deal_may_wait_for_its_company_and_contact() {
    let scene =
        Scene::of(&["company_to_crm", "quote_to_deal"]).set("deal_associations", "wait").start().await;
    // All of it is new at the same moment; HubSpot is told of the companies last.
    scene.crm.faults().next_of("POST", "/crm/objects/2026-09/companies/batch/upsert", 2, Fault::status(503));
    let quote = scene.store.edit(|store| {
        acme(store);
        ask(store, 1)
    });
    scene.sync();
    scene.settled().await;
    let (_, record) = deal(&scene, "bc_quote_id", quote);
    let associated: Vec<&str> = record.associated.iter().map(|(object, _)| object.as_str()).collect();
    assert_eq!(associated, ["companies", "contacts"]);
    assert_eq!(dead(&scene).await, Vec::<String>::new());
}

#[tokio::test]
async fn drafts_are_no_deals_and_a_rep_whom_hubspot_does_not_know_is_an_incident() {
    let scene = setup(&["quote_to_deal"]).start().await;
    let quote = scene.store.edit(|store| {
        let zed = store.hire("Zed", "zed@example.com");
        store.assign(zed, 2001);
        let draft = json!({"status": 7});
        store.ask_for_quote(2001, BUYER, &hinges(3), draft)
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(deals(&scene), 0);
    scene.store.edit(|store| store.patch_quote(quote, json!({"status": 0})));
    scene.sync();
    scene.settled().await;
    // The deal is there, without an owner; a person is told.
    let (_, record) = deal(&scene, "bc_quote_id", quote);
    assert_eq!((text(&record, "dealstage"), text(&record, "hubspot_owner_id")), ("appointmentscheduled", ""));
    let incidents = dead(&scene).await;
    assert!(incidents.len() == 1 && incidents[0].contains("zed@example.com"), "{incidents:?}");
    // Who is added to HubSpot owns it when the action is tried again.
    scene.crm.edit(|crm| crm.owners.push(("70003".into(), "zed@example.com".into())));
    scene.db().sql("select tradeflow.retry(id) from tradeflow.outbox where rule = 'quote_to_deal_owner' and state = 'dead'").await;
    scene.settled().await;
    assert_eq!(text(&deal(&scene, "bc_quote_id", quote).1, "hubspot_owner_id"), "70003");
}

#[tokio::test]
async fn an_order_wins_the_deal_of_its_quote_and_a_cancellation_loses_it() {
    let scene = setup(&["quote_to_deal", "order_to_deal"]).start().await;
    let quote = scene.store.edit(|store| ask(store, 10));
    scene.sync();
    scene.settled().await;
    let (id, record) = deal(&scene, "bc_quote_id", quote);
    assert_eq!(text(&record, "dealstage"), "appointmentscheduled");
    let order = scene.store.edit(|store| store.order_quote(quote));
    scene.sync();
    scene.settled().await;
    let (same, record) = deal(&scene, "bc_quote_id", quote);
    assert_eq!(
        (same, text(&record, "dealstage"), text(&record, "amount")),
        (id.clone(), "closedwon", "101.0000")
    );
    let links: Vec<String> = scene
        .db()
        .column("select source || ' ' || subject || ' ' || other_id from tradeflow.links where object = 'deal' order by 1")
        .await;
    assert_eq!(links, [format!("store.orders {order} {id}"), format!("store.quotes {quote} {id}")]);

    let refunded = json!({"status_id": 14, "refunded_amount": "1.0100"});
    scene.store.edit(|store| store.patch_order(order, refunded));
    scene.sync();
    scene.settled().await;
    let (_, record) = deal(&scene, "bc_quote_id", quote);
    assert_eq!((text(&record, "dealstage"), text(&record, "amount")), ("closedwon", "99.9900"));
    scene.store.edit(|store| store.set_order_status(order, 5));
    scene.sync();
    scene.settled().await;
    assert_eq!(text(&deal(&scene, "bc_quote_id", quote).1, "dealstage"), "closedlost");
    assert_eq!((deals(&scene), dead(&scene).await), (1, Vec::<String>::new()));
}

#[tokio::test]
async fn an_order_waits_for_its_quote_and_without_one_is_a_deal_of_its_own() {
    let scene = setup(&["quote_to_deal", "order_to_deal"]).start().await;
    let place = |store: &mut Store| store.place_order(2001, BUYER, &hinges(1), json!({}));
    // Known before its quote says that it is the quote's.
    let quote = scene.store.edit(|store| ask(store, 2));
    scene.sync();
    let order = scene.store.edit(place);
    scene.sync();
    scene.settled().await;
    let link = json!({"status": 4, "bcOrderId": order.to_string()});
    scene.store.edit(|store| store.patch_quote(quote, link));
    scene.sync();
    // And one that is nobody's.
    let own = scene.store.edit(place);
    scene.sync();
    scene.settled().await;
    assert_eq!(deals(&scene), 1);
    scene.clock("2026-03-01 09:20Z").await;
    assert_eq!(deals(&scene), 2);
    let (_, of_quote) = deal(&scene, "bc_quote_id", quote);
    assert_eq!((text(&of_quote, "dealstage"), text(&of_quote, "amount")), ("closedwon", "10.1000"));
    let (_, of_order) = deal(&scene, "bc_order_id", own);
    assert_eq!(
        (text(&of_order, "dealname"), text(&of_order, "dealstage")),
        (format!("Acme · Order {own}").as_str(), "closedwon")
    );
    // A consumer's order is none.
    scene.store.edit(|store| store.place_order(0, "nobody@example.com", &hinges(1), json!({})));
    scene.sync();
    scene.clock("2026-03-01 10:00Z").await;
    assert_eq!((deals(&scene), dead(&scene).await), (2, Vec::<String>::new()));
}

#[tokio::test]
async fn orders_are_held_back_as_all_recipes_are() {
    let mut scene = setup(&["order_to_deal"]).start().await;
    let place = |store: &mut Store| store.place_order(2001, BUYER, &hinges(1), json!({}));
    // Quotes that come to be those of orders one after another, while further orders are placed.
    let pairs: Vec<(i64, i64)> =
        (0..3).map(|n| scene.store.edit(|store| (ask(store, n + 1), place(store)))).collect();
    scene.sync();
    let ordered = |store: &mut Store, n: usize| {
        let (quote, order) = pairs[n - 1];
        store.patch_quote(quote, json!({"status": 4, "bcOrderId": order.to_string()}));
        place(store);
    };
    scene.restrained(&["order_to_deal", "order_to_deal_quote"], ordered).await;
}
