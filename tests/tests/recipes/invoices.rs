//! `manual_payment_invoice` and `invoice_notify`: an order has one invoice, whoever wants it, and everybody is told once.

use serde_json::json;
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::bigcommerce::Store;
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::eventually::eventually;

use super::scene::{nothing, Scene, Setup};

const MANUAL: &str = "manual_payment_invoice";
const NOTIFY: &str = "invoice_notify";
/// Where an invoice is made of an order.
const MAKING: &str = "/api/v3/io/ip/orders/*";

/// Acme (2001) with its buyer Ada and its admin Bo.
fn acme(recipes: &[&str]) -> Setup {
    let scene = Scene::of(recipes).clock("2026-03-01 09:00Z").set("shop_url", "https://shop.example.com");
    let scene =
        if recipes.contains(&NOTIFY) { scene.set("invoice_team_email", "team@example.com") } else { scene };
    scene.store(|store| {
        let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
        store.join(acme, "ada@acme.example", "Ada", "Byron", json!({"role": 2}));
        store.join(acme, "bo@acme.example", "Bo", "Boss", nothing());
    })
}

fn manual() -> Setup {
    acme(&[MANUAL]).set("manual_payment_methods", "Bank Deposit, Check").set("invoice_due_days", "14")
}

fn order(store: &mut Store, method: &str) -> i64 {
    let lines = [Line::new(501, "Hinge", 4, "25.00"), Line::new(502, "Lock", 1, "19.90")];
    store.place_order(2001, "ada@acme.example", &lines, json!({"payment_method": method}))
}

/// The ids of the invoices of an order.
fn invoices(scene: &Scene, order: i64) -> Vec<i64> {
    let of = order.to_string();
    scene
        .store
        .edit(|s| s.invoices.iter().filter(|(_, i)| i.text("orderNumber") == of).map(|(id, _)| *id).collect())
}

/// How often the store was asked to make one.
fn asked(scene: &Scene) -> usize {
    scene.store.requests().iter().filter(|request| request.is("POST", MAKING)).count()
}

#[tokio::test]
async fn a_sidecar_killed_after_the_invoice_was_made_makes_no_second_one_and_one_mail() {
    let mut scene = manual().start().await;
    scene.store.faults().next_of("POST", MAKING, 1, Fault::Slow { seconds: 30.0 });
    let placed = scene.store.edit(|store| order(store, "Bank Deposit"));
    scene.sync();
    eventually("the store to have the invoice", || async {
        (invoices(&scene, placed).len() == 1).then_some(())
    })
    .await;
    assert_eq!(scene.mail.mails().len(), 0, "nobody is told before it is known to be there");
    scene.kill_and_restart().await;
    let mails = scene.mail.wait_for(1).await;
    scene.settled().await;
    assert_eq!((invoices(&scene, placed).len(), scene.mail.mails().len()), (1, 1));
    assert_eq!(asked(&scene), 1, "after an unknown outcome it is looked for first");

    let id = invoices(&scene, placed)[0];
    let (number, due) = scene
        .store
        .edit(|s| (s.invoices[&id].text("invoiceNumber").to_owned(), s.invoices[&id].int("dueDate")));
    assert_eq!(due, 1_773_532_800, "2026-03-15, fourteen days after the order");
    assert_eq!(
        (mails[0].to.clone(), mails[0].subject.clone()),
        (vec!["ada@acme.example".to_owned()], format!("Invoice {number} for your order {placed}"))
    );
    let (text, html) = (mails[0].text.clone().unwrap_or_default(), mails[0].html.clone().unwrap_or_default());
    let link = format!("https://shop.example.com/#/invoiceDetail/{id}");
    assert!(text.contains("119.90 USD") && text.contains("15 March 2026") && text.contains(&link), "{text}");
    assert!(html.contains(&number) && html.contains(&link), "{html}");

    scene
        .restrained(&[MANUAL], |store, _| {
            order(store, "Check");
        })
        .await;
    assert_eq!(scene.mail.wait_for(2).await.len(), 2);
}

#[tokio::test]
async fn no_mail_before_the_invoice_is_there_and_none_for_orders_that_have_no_use_for_it() {
    let scene = manual().start().await;
    // The store refuses for a while, then answers get lost: the mail comes when the invoice is there.
    scene.store.faults().next_of("POST", MAKING, 1_000, Fault::status(503));
    let paid_later = scene.store.edit(|store| order(store, "bank deposit"));
    scene.sync();
    scene
        .db()
        .until("select exists (select from tradeflow.outbox where attempt > 0 and error is not null)")
        .await;
    assert_eq!(scene.mail.mails().len(), 0);
    scene.store.faults().clear();
    scene.store.faults().next_of("POST", MAKING, 1, Fault::Lost);
    scene.settled().await;
    assert_eq!((scene.mail.mails().len(), invoices(&scene, paid_later).len()), (1, 1));

    // A card; a consumer; cancelled; and the same order again and again, whatever becomes of it.
    let others = scene.store.edit(|store| {
        let card = order(store, "Credit Card");
        let cancelled = order(store, "Check");
        store.set_order_status(cancelled, 5);
        let consumer = order(store, "Check");
        store.patch_b2b_order(consumer, json!({"companyId": 0}));
        store.patch_order(paid_later, json!({"payment_method": "Credit Card"}));
        [card, cancelled, consumer]
    });
    scene.sync();
    scene.store.edit(|store| {
        store.patch_order(paid_later, json!({"payment_method": "Check"}));
        store.set_order_status(paid_later, 11);
    });
    scene.sync();
    scene.settled().await;
    assert_eq!(scene.mail.mails().len(), 1);
    assert_eq!(others.map(|order| invoices(&scene, order).len()), [0, 0, 0]);
    assert_eq!(scene.firings(MANUAL).await, 1);
}

#[tokio::test]
async fn with_both_recipes_there_is_one_invoice_and_each_audience_has_one_mail() {
    let scene =
        acme(&[MANUAL, NOTIFY]).set("manual_payment_methods", "Bank Deposit").sidecars(2).start().await;
    let orders: Vec<i64> = scene.store.edit(|store| (0..4).map(|_| order(store, "Bank Deposit")).collect());
    scene.sync();
    scene.settled().await;
    for order in &orders {
        assert_eq!(invoices(&scene, *order).len(), 1, "order {order}");
    }
    assert_eq!(asked(&scene), orders.len());
    // Whichever of the two was first told the buyer; nobody else did.
    let mails = scene.mail.wait_for(8).await;
    assert_eq!((scene.mails_to("team@example.com").len(), scene.mails_to("ada@acme.example").len()), (4, 4));
    assert_eq!(mails.len(), 8);
    for order in &orders {
        let about = format!("for your order {order}");
        assert_eq!(mails.iter().filter(|mail| mail.subject.ends_with(&about)).count(), 1, "{about}");
    }
    assert_eq!((scene.firings(MANUAL).await, scene.firings(NOTIFY).await), (4, 4));
}

#[tokio::test]
async fn the_team_and_the_buyers_are_told_of_a_new_invoice() {
    let mut scene = acme(&[NOTIFY]).set("invoice_notify_buyers", "admins").start().await;
    let placed = scene.store.edit(|store| order(store, "Credit Card"));
    scene.sync();
    scene.settled().await;
    assert_eq!(invoices(&scene, placed).len(), 1);
    let (team, ada, bo) = (
        scene.mails_to("team@example.com"),
        scene.mails_to("ada@acme.example"),
        scene.mails_to("bo@acme.example"),
    );
    assert_eq!(
        (team.len(), ada.len(), bo.len(), scene.mail.mails().len()),
        (1, 1, 1, 2),
        "who ordered and the admin share one"
    );
    assert!(team[0].subject.contains("Acme, 119.90 USD"), "{}", team[0].subject);
    assert!(ada[0].text.clone().unwrap_or_default().contains("/#/invoiceDetail/"), "{ada:?}");

    // One that somebody made by hand meanwhile is the one that is told of.
    let mut sidecar = scene.sidecars.remove(0);
    sidecar.kill();
    let second = scene.store.edit(|store| order(store, "Credit Card"));
    scene.sync();
    let made = scene.store.edit(|store| {
        let id = store.next_id("invoice");
        let mut invoice = store.invoices.values().next().expect("there is one").clone();
        invoice.data.extend([
            ("id".to_owned(), json!(id)),
            ("invoiceNumber".to_owned(), json!("BY-HAND-1")),
            ("orderNumber".to_owned(), json!(second.to_string())),
        ]);
        store.invoices.insert(id, invoice);
        id
    });
    scene.start_sidecar();
    scene.settled().await;
    assert_eq!(invoices(&scene, second), [made]);
    let subjects: Vec<String> =
        scene.mails_to("team@example.com").iter().map(|m| m.subject.clone()).collect();
    assert!(subjects[1].starts_with("Invoice BY-HAND-1"), "{subjects:?}");

    scene
        .restrained(&[NOTIFY], |store, _| {
            order(store, "Purchase Order");
        })
        .await;
}
