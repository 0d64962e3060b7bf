//! A company's segment follows what it buys, and time alone.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::bigcommerce::state::ExtraField;
use tradeflow_fakes::bigcommerce::Store;

use super::scene::{nothing, Scene};

const RULE: &str = "company_segments";

/// Companies 2001 and on; 1,000 within 90 days is Gold.
async fn scene() -> Scene {
    Scene::of(&[RULE])
        .set("segment_window_days", "90")
        .clock("2026-03-01 09:00Z")
        .store(|store| {
            store.company_fields.push(ExtraField::text("Segment locked"));
            for name in ["Acme", "Bolt", "Cog", "Dot"] {
                store.sign_up(name, json!({"companyStatus": "1"}));
            }
        })
        .sql(
            "delete from segment_thresholds;
             insert into segment_thresholds (position, spent, segment) values (1, numrange(1000, null), 'Gold')",
        )
        .start()
        .await
}

fn order(store: &mut Store, company: i64, price: &str) -> i64 {
    store.place_order(company, "buyer@example.com", &[Line::new(7, "Hinge", 1, price)], nothing())
}

fn field(scene: &Scene, company: i64, name: &str) -> String {
    scene.store.edit(|store| {
        let fields = store.companies[&company].data["extraFields"].as_array().cloned().unwrap_or_default();
        let found = fields.iter().find(|f| f["fieldName"] == name);
        found.and_then(|f| f["fieldValue"].as_str()).unwrap_or_default().to_owned()
    })
}

fn fields(all: &[(&str, &str)]) -> Value {
    let rows: Vec<Value> =
        all.iter().map(|(name, value)| json!({"fieldName": name, "fieldValue": value})).collect();
    json!({"extraFields": rows})
}

#[tokio::test]
async fn crossing_the_threshold_upgrades_once_and_the_order_that_leaves_the_window_downgrades() {
    let mut scene = scene().await;
    scene.store.edit(|store| order(store, 2001, "600.00"));
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.arrived().store), (0, 0));

    scene.clock("2026-03-11 09:00Z").await;
    scene.store.edit(|store| order(store, 2001, "600.00"));
    scene.sync();
    scene.settled().await;
    assert_eq!((field(&scene, 2001, "Segment"), scene.arrived().store), ("Gold".to_owned(), 1));
    // Our own write comes back; a further order is nothing new.
    scene.sync();
    scene.store.edit(|store| order(store, 2001, "1.00"));
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.arrived().store), (1, 1));

    // The first order leaves the window, and nothing else happens.
    scene.clock("2026-05-30 08:59Z").await;
    assert_eq!(scene.firings(RULE).await, 1);
    scene.clock("2026-05-30 09:00Z").await;
    scene.settled().await;
    assert_eq!((field(&scene, 2001, "Segment"), scene.arrived().store), ("Standard".to_owned(), 2));
    scene.sync();
    scene.clock("2026-12-01 09:00Z").await;
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.arrived().store), (2, 2));

    scene
        .restrained(&[RULE], |store, n| {
            order(store, 2001 + n as i64, "5000.00");
        })
        .await;
    assert_eq!(field(&scene, 2004, "Segment"), "Gold");
}

#[tokio::test]
async fn a_manual_lock_wins_also_one_that_came_a_moment_ago() {
    let scene = scene().await;
    scene.store.edit(|store| {
        store.patch_company(2001, fields(&[("Segment", "Friends"), ("Segment locked", "yes")]));
        order(store, 2001, "5000.00");
    });
    scene.sync();
    scene.settled().await;
    assert_eq!((field(&scene, 2001, "Segment"), scene.firings(RULE).await), ("Friends".to_owned(), 0));

    // It is to be written, and waits; meanwhile people lock one company (known here) and another (not known).
    scene.db().sql("select tradeflow.pause_target('bigcommerce', 'a long night')").await;
    scene.store.edit(|store| {
        order(store, 2002, "5000.00");
        order(store, 2003, "5000.00");
    });
    scene.sync();
    scene
        .db()
        .until(
            "select count(*) = 2 from tradeflow.outbox where rule = 'company_segments' and state = 'ready'",
        )
        .await;
    scene.store.edit(|store| store.patch_company(2002, fields(&[("Segment locked", "yes")])));
    scene.sync();
    scene.store.edit(|store| store.patch_company(2003, fields(&[("Segment locked", "yes")])));
    scene.db().sql("select tradeflow.resume_target('bigcommerce')").await;
    scene.db().until("select count(*) = 2 from tradeflow.outbox_history where rule = 'company_segments' and state = 'cancelled'").await;
    assert_eq!(
        (field(&scene, 2002, "Segment"), field(&scene, 2003, "Segment")),
        (String::new(), String::new())
    );
    assert_eq!(scene.arrived().store, 0);
    assert_eq!(scene.db().incidents().await, Vec::<String>::new());

    // Unlocked it is ours again.
    scene.sync();
    scene
        .store
        .edit(|store| store.patch_company(2001, fields(&[("Segment", "Friends"), ("Segment locked", "")])));
    scene.sync();
    scene.settled().await;
    assert_eq!(field(&scene, 2001, "Segment"), "Gold");
}
