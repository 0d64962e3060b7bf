//! `approved_company_credit` and `loyalty_credit`: credit is what is left, set outright by whoever writes it; each sum counts once.

use serde_json::json;
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::bigcommerce::state::Credit;
use tradeflow_fakes::bigcommerce::Store;
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::eventually::eventually;

use super::scene::{nothing, Scene, Setup};

const APPROVED: &str = "approved_company_credit";
const LOYALTY: &str = "loyalty_credit";

/// What a company has left; none where its credit is not enabled.
fn available(scene: &Scene, company: i64) -> Option<String> {
    scene.store.edit(|s| {
        s.credit
            .get(&company)
            .filter(|credit| credit.enabled)
            .map(|credit| credit.available.normalize().to_string())
    })
}

fn has(store: &mut Store, company: i64, available: i64) {
    let credit = Credit {
        enabled: true,
        currency: "USD".into(),
        available: available.into(),
        limit_purchases: true,
        hold: false,
    };
    store.credit.insert(company, credit);
}

#[tokio::test]
async fn approved_rejected_and_approved_again_grants_once() {
    let mut scene = Scene::of(&[APPROVED])
        .set("approved_credit_amount", "500")
        .sql("insert into approved_credits (position, segment, amount) values (1, 'gold', 2000)")
        .store(|store| {
            let acme = store.sign_up("Acme", nothing());
            store.join(acme, "ada@acme.example", "Ada", "Byron", nothing());
            let bolt = store
                .sign_up("Bolt", json!({"extraFields": [{"fieldName": "Segment", "fieldValue": "gold"}]}));
            store.join(bolt, "bob@bolt.example", "Bob", "Bolt", nothing());
            let old = store.sign_up("Crate", json!({"companyStatus": "1"}));
            store.join(old, "eve@crate.example", "Eve", "Crate", nothing());
        })
        .start()
        .await;
    for status in [1, 2, 1] {
        scene.store.edit(|store| store.decide(2001, status));
        scene.sync();
        scene.settled().await;
        assert_eq!(available(&scene, 2001).as_deref(), Some("500"), "status {status}");
    }
    assert!(scene.store.edit(|s| s.credit[&2001].limit_purchases), "it cannot be overdrawn");
    let mails = scene.mails_to("ada@acme.example");
    assert_eq!(
        (mails.len(), mails[0].subject.as_str()),
        (1, "Acme is approved: 500.00 USD of credit to start with")
    );
    assert_eq!(scene.firings(APPROVED).await, 1);

    // By segment; and a sidecar that is killed when the store has it already. The order that uses some of it stays used.
    scene.store.faults().next_of("PUT", "/api/v3/io/companies/2002/credit", 1, Fault::Slow { seconds: 30.0 });
    scene.store.edit(|store| store.decide(2002, 1));
    scene.sync();
    eventually("the store to have it", || async {
        (available(&scene, 2002).as_deref() == Some("2000")).then_some(())
    })
    .await;
    scene.kill_and_restart().await;
    scene.settled().await;
    assert_eq!(
        (available(&scene, 2002).as_deref(), scene.mails_to("bob@bolt.example").len()),
        (Some("2000"), 1)
    );

    // Who was approved before the recipe came has nothing of it, whatever changes.
    scene.store.edit(|store| store.patch_company(2003, json!({"companyPhone": "1"})));
    scene.sync();
    scene.settled().await;
    assert_eq!((available(&scene, 2003), scene.mail.mails().len()), (None, 2));

    let approved = |store: &mut Store, n: usize| {
        let id = store.sign_up(&format!("Dot {n}"), nothing());
        store.decide(id, 1);
    };
    scene.restrained(&[APPROVED], approved).await;
    assert_eq!(available(&scene, 2006).as_deref(), Some("500"));
}

/// Acme (2001) with its buyer Ada, and 2 % of each order.
fn loyalty() -> Setup {
    Scene::of(&[LOYALTY])
        .set("loyalty_percent", "2")
        .set("loyalty_minimum", "100")
        .set("loyalty_cap", "250")
        .store(|store| {
            let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.join(acme, "ada@acme.example", "Ada", "Byron", nothing());
            has(store, acme, 0);
        })
}

fn order(store: &mut Store, price: &str) -> i64 {
    store.place_order(2001, "ada@acme.example", &[Line::new(501, "Hinge", 1, price)], nothing())
}

#[tokio::test]
async fn orders_at_the_same_time_all_count_from_two_sidecars_and_refunds_claw_back() {
    let mut scene = loyalty().sidecars(2).start().await;
    // The store is slow to say what is left, so both sidecars would read the same if they did not take turns.
    scene.store.faults().next_of("GET", "/api/v3/io/companies/2001/credit", 4, Fault::Slow { seconds: 0.5 });
    let (one, two) = scene.store.edit(|store| (order(store, "1000.00"), order(store, "500.00")));
    scene.sync();
    scene.settled().await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("30"), "20 and 10");
    assert_eq!(scene.mails_to("ada@acme.example").len(), 2);
    let many: Vec<i64> = scene.store.edit(|store| (0..10).map(|_| order(store, "100.00")).collect());
    scene.sync();
    scene.settled().await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("50"), "ten times 2 more");
    assert_eq!(many.len(), 10);

    // A part of one is refunded, then the rest; the other is cancelled.
    scene.store.edit(|store| store.patch_order(one, json!({"status_id": 14, "refunded_amount": "400.0000"})));
    scene.sync();
    scene.settled().await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("42"), "8 back");
    scene.store.edit(|store| {
        store.patch_order(one, json!({"status_id": 4, "refunded_amount": "1000.0000"}));
        store.set_order_status(two, 5);
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("20"), "what the ten earned is left");
    let subjects: Vec<String> =
        scene.mails_to("ada@acme.example").iter().map(|m| m.subject.clone()).collect();
    assert!(subjects.contains(&format!("Credit of 8.00 USD taken back for order {one}")), "{subjects:?}");
    assert_eq!(subjects.len(), 15);

    // What changes nothing of it: shipped, completed.
    let before = scene.firings(LOYALTY).await;
    scene.store.edit(|store| many.iter().for_each(|order| store.set_order_status(*order, 10)));
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(LOYALTY).await, available(&scene, 2001).as_deref()), (before, Some("20")));
    scene
        .restrained(&[LOYALTY], |store, _| {
            order(store, "100.00");
        })
        .await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("22"));
}

#[tokio::test]
async fn the_minimum_the_cap_the_rate_of_a_group_and_a_killed_sidecar() {
    let mut scene = loyalty()
        .store(|store| {
            let bolt =
                store.sign_up("Bolt", json!({"companyStatus": "1", "bcGroupId": 7, "bcGroupName": "Gold"}));
            store.join(bolt, "bob@bolt.example", "Bob", "Bolt", nothing());
            has(store, bolt, 100);
        })
        .sql(
            "insert into loyalty_rates (position, customer_group, percent, cap) values (1, 'Gold', 5, 10000)",
        )
        .start()
        .await;
    scene.store.edit(|store| {
        order(store, "99.99");
        order(store, "100000.00");
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(available(&scene, 2001).as_deref(), Some("250"), "nothing for 99.99, the cap for 100,000");

    // Refunded before anything of it was worked off: nothing comes of it.
    for sidecar in &mut scene.sidecars {
        sidecar.kill();
    }
    let quick = scene.store.edit(|store| order(store, "1000.00"));
    scene.sync();
    scene
        .store
        .edit(|store| store.patch_order(quick, json!({"status_id": 4, "refunded_amount": "1000.0000"})));
    scene.sync();
    scene.kill_and_restart().await;
    scene.settled().await;
    assert_eq!((available(&scene, 2001).as_deref(), scene.mail.mails().len()), (Some("250"), 1));

    scene.store.faults().next_of("PUT", "/api/v3/io/companies/2002/credit", 1, Fault::Slow { seconds: 30.0 });
    scene.store.edit(|store| {
        store.place_order(2002, "bob@bolt.example", &[Line::new(501, "Hinge", 100, "30.00")], nothing());
    });
    scene.sync();
    eventually("the store to have it", || async {
        (available(&scene, 2002).as_deref() == Some("250")).then_some(())
    })
    .await;
    scene.kill_and_restart().await;
    scene.settled().await;
    assert_eq!(
        (available(&scene, 2002).as_deref(), scene.mails_to("bob@bolt.example").len()),
        (Some("250"), 1),
        "5 % of 3,000, once"
    );
}
