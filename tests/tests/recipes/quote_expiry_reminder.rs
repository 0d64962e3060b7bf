//! Who holds an open quote is reminded of it before it expires.

use serde_json::json;
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::bigcommerce::Store;

use super::scene::Scene;

const RULE: &str = "quote_expiry_reminder";
const DAY: i64 = 86_400;

/// Acme (2001) with a rep and a buyer; reminders three days and one day before.
async fn scene(audience: &str) -> Scene {
    Scene::of(&[RULE])
        .set("reminder_days", "3,1")
        .set("reminder_audience", audience)
        .clock("2026-03-01 12:00Z")
        .store(|store| {
            let rita = store.hire("Rita Rep", "rita@example.com");
            let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.assign(rita, acme);
            store.join(acme, "ada@acme.example", "Ada", "Lovelace", json!({}));
        })
        .start()
        .await
}

/// A quote that expires after so many days.
fn quote(store: &mut Store, days: i64) -> i64 {
    let expires = json!({"expiredAt": store.now() + days * DAY});
    store.ask_for_quote(2001, "ada@acme.example", &[Line::new(7, "Hinge", 10, "12.50")], expires)
}

#[tokio::test]
async fn ordered_before_it_is_due_there_is_no_mail() {
    let mut scene = scene("buyer").await;
    let id = scene.store.edit(|store| quote(store, 10));
    scene.sync();
    scene.settled().await;
    assert_eq!((scene.firings(RULE).await, scene.mail.mails().len()), (2, 0));
    scene.clock("2026-03-05 12:00Z").await;
    scene.store.edit(|store| store.order_quote(id));
    scene.sync();
    scene.clock("2026-03-20 12:00Z").await;
    assert_eq!(scene.mail.mails().len(), 0);
    assert_eq!(scene.states(RULE).await, ["cancelled", "cancelled"]);
    scene
        .restrained(&[RULE], |store, _| {
            quote(store, 10);
        })
        .await;
}

#[tokio::test]
async fn extended_its_reminders_move_and_each_comes_exactly_once() {
    let scene = scene("buyer").await;
    let id = scene.store.edit(|store| quote(store, 10));
    scene.sync();
    scene.clock("2026-03-07 12:00Z").await;
    scene.store.edit(|store| {
        let extended = json!({"expiredAt": store.now() + 20 * DAY});
        store.patch_quote(id, extended);
    });
    scene.sync();
    // The old times pass.
    scene.clock("2026-03-12 12:00Z").await;
    assert_eq!(scene.mail.mails().len(), 0);
    scene.clock("2026-03-24 11:59Z").await;
    assert_eq!(scene.mail.mails().len(), 0);
    scene.clock("2026-03-24 12:00Z").await;
    let mails = scene.mail.wait_for(1).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["ada@acme.example"]);
    assert!(mails[0].subject.ends_with("expires on 27 March"), "{}", mails[0].subject);
    let text = mails[0].text.clone().unwrap_or_default();
    assert!(
        text.contains("125.00 USD") && text.contains("3 days from now") && text.contains("Rita Rep"),
        "{text}"
    );
    // Time goes on, and everything is synced again and again: one more, a day before.
    for time in ["2026-03-25 12:00Z", "2026-03-26 12:00Z", "2026-03-26 18:00Z", "2026-04-10 12:00Z"] {
        scene.clock(time).await;
        scene.sync();
    }
    scene.settled().await;
    let mails = scene.mail.wait_for(2).await;
    assert_eq!(mails.len(), 2);
    assert!(mails[1].text.clone().unwrap_or_default().contains("1 day from now"));
}

#[tokio::test]
async fn a_quote_made_within_the_window_is_reminded_of_what_is_still_to_come() {
    let scene = scene("both").await;
    scene.store.edit(|store| quote(store, 2));
    scene.sync();
    scene.settled().await;
    assert_eq!(scene.mail.mails().len(), 0, "three days before is over");
    scene.clock("2026-03-02 12:00Z").await;
    let mails = scene.mail.wait_for(1).await;
    assert_eq!(
        (mails.len(), mails[0].to.clone()),
        (1, vec!["ada@acme.example".to_owned(), "rita@example.com".to_owned()])
    );
    scene.clock("2026-03-10 12:00Z").await;
    assert_eq!(scene.mail.mails().len(), 1);
}
