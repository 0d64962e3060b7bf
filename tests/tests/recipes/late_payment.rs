//! `late_payment`: an order on net terms awaits its payment, and who has not paid is reminded on the right days.

use serde_json::json;
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::bigcommerce::state::Terms;
use tradeflow_fakes::bigcommerce::Store;

use super::scene::{nothing, Scene, Setup};

const RULE: &str = "late_payment";

/// Acme (2001) with its buyer Ada and 30 days to pay.
fn acme(recipes: &[&str]) -> Setup {
    Scene::of(recipes).clock("2026-03-01 12:00Z").set("net_terms_methods", "Purchase Order").store(|store| {
        let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
        store.join(acme, "ada@acme.example", "Ada", "Byron", nothing());
        store.terms.insert(acme, Terms { enabled: true, days: 30 });
    })
}

fn order(store: &mut Store) -> i64 {
    store.place_order(
        2001,
        "ada@acme.example",
        &[Line::new(501, "Hinge", 10, "119.00")],
        json!({"status_id": 11}),
    )
}

/// Time passes, and the store is synced.
async fn day(scene: &Scene, time: &str) {
    scene.clock(time).await;
    scene.sync();
    scene.settled().await;
}

fn subjects(scene: &Scene) -> Vec<String> {
    scene.mails_to("ada@acme.example").into_iter().map(|mail| mail.subject).collect()
}

#[tokio::test]
async fn an_unpaid_order_is_awaited_reminded_of_three_times_and_then_to_be_paid_otherwise() {
    let mut scene = acme(&[RULE])
        .set("late_payment_method", "Bank Deposit")
        .set("late_payment_method_days", "14")
        .start()
        .await;
    let id = scene.store.edit(order);
    scene.sync();
    scene.settled().await;
    let state = |scene: &Scene| {
        scene
            .store
            .edit(|s| (s.orders[&id].int("status_id"), s.orders[&id].text("payment_method").to_owned()))
    };
    assert_eq!(state(&scene), (7, "Purchase Order".to_owned()), "Awaiting Payment");
    let due = format!("Order {id}: 1,190.00 USD due on 31 March");
    let overdue = format!("Overdue: 1,190.00 USD for order {id}");
    let mut expected: Vec<&str> = Vec::new();
    for (time, mail) in [
        ("2026-03-24 11:59Z", None),
        ("2026-03-24 12:00Z", Some(&due)),
        ("2026-03-30 11:59Z", None),
        ("2026-03-30 12:00Z", Some(&due)),
        ("2026-03-31 12:00Z", None),
        ("2026-04-03 11:59Z", None),
        ("2026-04-03 12:00Z", Some(&overdue)),
        ("2026-04-14 11:59Z", None),
    ] {
        day(&scene, time).await;
        expected.extend(mail.map(String::as_str));
        assert_eq!(subjects(&scene), expected, "at {time}");
    }
    assert_eq!(state(&scene).1, "Purchase Order");
    day(&scene, "2026-04-14 12:00Z").await;
    assert_eq!(state(&scene), (7, "Bank Deposit".to_owned()));
    day(&scene, "2026-12-01 12:00Z").await;
    assert_eq!(subjects(&scene).len(), 3);

    scene
        .restrained(&["late_payment_status"], |store, _| {
            order(store);
        })
        .await;
}

#[tokio::test]
async fn who_pays_on_day_10_of_30_is_not_reminded() {
    let scene = acme(&[RULE]).start().await;
    let orders: Vec<i64> = scene.store.edit(|store| (0..4).map(|_| order(store)).collect());
    scene.sync();
    day(&scene, "2026-03-11 12:00Z").await;
    scene.store.edit(|store| {
        store.patch_order(orders[0], json!({"payment_status": "captured"}));
        store.set_order_status(orders[1], 10);
        store.set_order_status(orders[2], 5);
    });
    scene.sync();
    day(&scene, "2026-03-24 12:00Z").await;
    assert_eq!(subjects(&scene), [format!("Order {}: 1,190.00 USD due on 31 March", orders[3])]);
    // Paid while the mail server is away: no mail when it is back.
    let mut scene = scene;
    scene.mail.mode("temporary");
    scene.clock_without_waiting("2026-03-30 12:00Z").await;
    scene
        .db()
        .until(
            "select exists (select from tradeflow.outbox where rule = 'late_payment' and error is not null)",
        )
        .await;
    scene.store.edit(|store| store.patch_order(orders[3], json!({"payment_status": "captured"})));
    scene.sync();
    scene.mail.mode("ok");
    day(&scene, "2026-06-01 12:00Z").await;
    assert_eq!(subjects(&scene).len(), 1);
    assert!(!scene.states(RULE).await.contains(&"dead".to_owned()));
}

#[tokio::test]
async fn a_part_that_was_paid_lowers_the_amount_and_other_terms_move_the_reminders() {
    let scene = acme(&[RULE, "invoice_notify"]).set("invoice_notify_audience", "team").start().await;
    let id = scene.store.edit(order);
    scene.sync();
    scene.settled().await;
    let invoice = scene.store.edit(|s| *s.invoices.keys().next().expect("invoice_notify made it"));
    day(&scene, "2026-03-24 12:00Z").await;
    assert_eq!(subjects(&scene), [format!("Order {id}: 1,190.00 USD due on 31 March")]);
    scene.store.edit(|store| {
        store.patch_invoice(
            invoice,
            json!({"status": 1, "openBalance": {"code": "USD", "value": "400.0000"}}),
        );
    });
    scene.sync();
    // 60 days instead of 30, on the day before the next reminder.
    scene.clock("2026-03-29 12:00Z").await;
    scene.store.edit(|store| store.terms.insert(2001, Terms { enabled: true, days: 60 }));
    scene.sync();
    day(&scene, "2026-03-30 12:00Z").await;
    day(&scene, "2026-04-03 12:00Z").await;
    assert_eq!(subjects(&scene).len(), 1, "not due before 30 April");
    day(&scene, "2026-04-23 12:00Z").await;
    assert_eq!(subjects(&scene)[1..], [format!("Order {id}: 400.00 USD due on 30 April")]);
    let mails = scene.mails_to("ada@acme.example");
    assert!(mails[1].text.clone().unwrap_or_default().contains("400.00 USD of 1,190.00 USD"), "{mails:?}");
    // Shortened to what has passed: one mail, not three.
    scene.store.edit(|store| store.terms.insert(2001, Terms { enabled: true, days: 45 }));
    day(&scene, "2026-04-24 12:00Z").await;
    assert_eq!(subjects(&scene)[2..], [format!("Overdue: 400.00 USD for order {id}")]);
    scene.store.edit(|store| {
        store.patch_invoice(invoice, json!({"status": 2, "openBalance": {"code": "USD", "value": "0.0000"}}))
    });
    scene.sync();
    day(&scene, "2026-08-01 12:00Z").await;
    assert_eq!(subjects(&scene).len(), 3);
}

#[tokio::test]
async fn reminders_hold_to_what_every_recipe_holds_to() {
    // A reminder at once: the order is due on the day it is placed.
    let mut scene = acme(&[RULE])
        .set("late_payment_offsets", "0")
        .set("net_terms_days", "0")
        .store(|store| store.terms.clear())
        .start()
        .await;
    let placed = |store: &mut Store, _: usize| {
        store.place_order(2001, "ada@acme.example", &[Line::new(501, "Hinge", 1, "5.00")], nothing());
    };
    scene.restrained(&[RULE], placed).await;
    assert_eq!(scene.mail.wait_for(1).await.len(), 1);
}
