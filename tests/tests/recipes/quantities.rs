//! `quote_min_max_quantity`, and `quote_below_base_price` beside it: what closes a quote's checkout, and what opens it again.

use serde_json::{json, Value};
use tradeflow_fakes::bigcommerce::people::Line;
use tradeflow_fakes::fault::Fault;
use tradeflow_tests::eventually::eventually;
use tradeflow_tests::storefront::Storefront;

use super::scene::{nothing, Scene, Setup};

const QUANTITY: &str = "quote_min_max_quantity";
const PRICE: &str = "quote_below_base_price";
const NOTE: &str = "These quantities do not fit yet:\n- Hinge: at least 10";

/// Acme (2001) with its buyer Ada and its rep Rita; hinges (501) from 10 on, locks (502) up to 100, bolts (503) in fifties.
fn acme(recipes: &[&str]) -> Setup {
    Scene::of(recipes)
        .sql(
            "insert into quantity_limits (position, product_id, minimum, maximum, multiple)
             values (1, 501, 10, null, null), (2, 502, null, 100, null), (3, 503, null, null, 50)",
        )
        .store(|store| {
            let rita = store.hire("Rita Rep", "rita@example.com");
            let acme = store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.assign(rita, acme);
            store.join(acme, "ada@acme.example", "Ada", "Byron", nothing());
        })
}

fn hinges(quantity: i64) -> Vec<Line> {
    vec![Line::new(501, "Hinge", quantity, "2.50")]
}

fn quote(scene: &Scene, lines: &[Line], more: Value) -> i64 {
    scene.store.edit(|store| store.ask_for_quote(2001, "ada@acme.example", lines, more))
}

/// Whether a quote may be checked out, and its note.
fn state(scene: &Scene, quote: i64) -> (bool, String) {
    scene.store.edit(|store| {
        let quote = &store.quotes[&quote];
        (quote.data["allowCheckout"] == json!(true), quote.text("notes").to_owned())
    })
}

async fn change(scene: &Scene, quote: i64, lines: &[Line]) {
    scene.store.edit(|store| store.change_lines(quote, lines));
    synced(scene).await;
}

/// The store's changes are here, what follows is done, and our own writing has come back.
async fn synced(scene: &Scene) {
    scene.sync();
    scene.settled().await;
    scene.sync();
    scene.settled().await;
}

#[tokio::test]
async fn four_of_ten_blocks_and_is_told_once_and_twelve_unblocks() {
    let mut scene = acme(&[QUANTITY]).sidecars(0).start().await;
    let storefront = Storefront::start(scene.sidecar());
    let customer = scene.store.edit(|store| store.users.values().next().expect("Ada").int("customerId"));
    let page = |quote: i64| format!("quote:{quote}");

    let id = quote(&scene, &hinges(4), json!({"notes": "As agreed by phone."}));
    synced(&scene).await;
    assert_eq!(state(&scene, id), (false, format!("As agreed by phone.\n\n{NOTE}")));
    assert_eq!(storefront.messages(customer, &page(id)), [NOTE]);
    let mails = scene.mail.wait_for(1).await;
    assert_eq!(
        (mails.len(), mails[0].to.clone()),
        (1, vec!["ada@acme.example".to_owned(), "rita@example.com".to_owned()])
    );
    assert!(mails[0].subject.ends_with("one quantity does not fit yet"), "{}", mails[0].subject);
    assert!(
        mails[0].text.clone().unwrap_or_default().contains("Hinge: at least 10 (quoted: 4)"),
        "{mails:?}"
    );

    // Still too few: nothing new. The lines of one product count together.
    change(&scene, id, &hinges(5)).await;
    assert_eq!((state(&scene, id).0, scene.mail.mails().len()), (false, 1));
    let mut split = hinges(4);
    split.push(Line { variant: 5011, ..hinges(6).remove(0) });
    change(&scene, id, &split).await;
    assert_eq!(state(&scene, id), (true, "As agreed by phone.".to_owned()));

    change(&scene, id, &hinges(4)).await;
    assert_eq!((state(&scene, id).0, storefront.messages(customer, &page(id)).len()), (false, 1));
    assert_eq!(scene.mail.wait_for(2).await.len(), 2, "it broke anew");
    change(&scene, id, &hinges(12)).await;
    assert_eq!(state(&scene, id), (true, "As agreed by phone.".to_owned()));
    assert!(storefront.messages(customer, &page(id)).is_empty());
    assert_eq!(scene.mail.mails().len(), 2, "that it fits is no mail");

    // One mail for everything that is wrong.
    let lines = [
        Line::new(501, "Hinge", 1, "2.50"),
        Line::new(502, "Lock", 101, "9.90"),
        Line::new(503, "Bolt", 49, "0.10"),
    ];
    quote(&scene, &lines, nothing());
    synced(&scene).await;
    let mails = scene.mail.wait_for(3).await;
    let text = mails[2].text.clone().unwrap_or_default();
    assert!(mails[2].subject.ends_with("3 quantities do not fit yet"), "{}", mails[2].subject);
    for wrong in [
        "Hinge: at least 10 (quoted: 1)",
        "Lock: at most 100 (quoted: 101)",
        "Bolt: a multiple of 50 (quoted: 49)",
    ] {
        assert!(text.contains(wrong), "{text}");
    }
    assert_eq!(mails.len(), 3);

    let asked = |store: &mut tradeflow_fakes::bigcommerce::Store, _: usize| {
        store.ask_for_quote(2001, "ada@acme.example", &hinges(4), nothing());
    };
    scene.restrained(&[QUANTITY], asked).await;
    drop(storefront);
}

#[tokio::test]
async fn only_a_block_that_the_rule_set_is_lifted() {
    let mut scene = acme(&[QUANTITY]).start().await;
    // Closed by a rep, and known to be.
    let closed = quote(&scene, &hinges(4), json!({"allowCheckout": false}));
    synced(&scene).await;
    assert_eq!(state(&scene, closed), (false, NOTE.to_owned()));
    change(&scene, closed, &hinges(12)).await;
    assert_eq!(state(&scene, closed), (false, String::new()));

    // Closed by a rep in the moment between the sync and our writing.
    for sidecar in &mut scene.sidecars {
        sidecar.kill();
    }
    let raced = quote(&scene, &hinges(4), nothing());
    scene.sync();
    scene.store.edit(|store| store.patch_quote(raced, json!({"allowCheckout": false})));
    scene.kill_and_restart().await;
    scene.settled().await;
    assert_eq!(state(&scene, raced), (false, NOTE.to_owned()));
    change(&scene, raced, &hinges(12)).await;
    assert_eq!(state(&scene, raced), (false, String::new()));

    // Ours, although the sidecar died before it heard that it was done.
    scene.store.faults().next_of("PUT", "/api/v3/io/rfq/*", 1, Fault::Slow { seconds: 30.0 });
    let ours = quote(&scene, &hinges(4), nothing());
    scene.sync();
    eventually("the store to have closed it", || async { (!state(&scene, ours).0).then_some(()) }).await;
    scene.kill_and_restart().await;
    synced(&scene).await;
    change(&scene, ours, &hinges(12)).await;
    assert_eq!(state(&scene, ours), (true, String::new()));

    // Mended before anything was worked off: the last word counts.
    for sidecar in &mut scene.sidecars {
        sidecar.kill();
    }
    let quick = quote(&scene, &hinges(4), nothing());
    scene.sync();
    scene.store.edit(|store| store.change_lines(quick, &hinges(12)));
    scene.sync();
    scene.kill_and_restart().await;
    scene.settled().await;
    assert_eq!(state(&scene, quick), (true, String::new()));
    assert_eq!(scene.db().one::<i64>("select count(*) from tradeflow.storefront_messages").await, 0);

    // Ordered meanwhile: it cannot be changed, and is not.
    let ordered = quote(&scene, &hinges(4), nothing());
    synced(&scene).await;
    scene.store.edit(|store| store.patch_quote(ordered, json!({"status": 4})));
    synced(&scene).await;
    scene.store.edit(|store| store.delete("quote", ordered));
    scene.sync_with(&["--sweep"]);
    scene.settled().await;
    assert!(!scene.states(QUANTITY).await.contains(&"dead".to_owned()));
}

#[tokio::test]
async fn a_discount_warns_then_blocks_and_other_reasons_stay() {
    let mut scene = acme(&[PRICE, QUANTITY])
        .set("owner_email", "owner@example.com")
        .set("discount_block_note", "This offer is being checked.")
        .start()
        .await;
    let at = |price: &str, quantity: i64| vec![Line::new(501, "Hinge", quantity, "10.00").offered(price)];
    let euro =
        json!({"currency": {"currencyCode": "EUR", "currencyExchangeRate": "0.92", "decimalPlaces": 2}});
    let id = quote(&scene, &at("7.50", 12), euro);
    synced(&scene).await;
    let told = |scene: &Scene| {
        scene.mails_to("owner@example.com").into_iter().map(|m| m.subject).collect::<Vec<_>>()
    };
    let number = scene.store.edit(|store| store.quotes[&id].text("quoteNumber").to_owned());
    assert_eq!(told(&scene), [format!("Check: 25.0 % off in quote {number}")]);
    assert!(scene.mails_to("owner@example.com")[0].text.clone().unwrap_or_default().contains("7.50 EUR"));
    assert_eq!(state(&scene, id), (true, String::new()), "25 % warns, and does not block");
    // No worse: nothing. Worse: it blocks.
    change(&scene, id, &at("7.00", 12)).await;
    assert_eq!(told(&scene).len(), 1);
    change(&scene, id, &at("6.00", 12)).await;
    assert_eq!(told(&scene)[1..], [format!("Stop: 40.0 % off in quote {number}")]);
    assert_eq!(state(&scene, id), (false, "This offer is being checked.".to_owned()));
    // Now the quantities are wrong too, and mended: the other reason still holds.
    change(&scene, id, &at("6.00", 4)).await;
    assert_eq!(state(&scene, id), (false, format!("This offer is being checked.\n\n{NOTE}")));
    change(&scene, id, &at("6.00", 12)).await;
    assert_eq!(state(&scene, id), (false, "This offer is being checked.".to_owned()));
    // The owner agrees, and opens it; after that only the quantities close it, and open it.
    scene.store.edit(|store| store.patch_quote(id, json!({"allowCheckout": true, "notes": ""})));
    synced(&scene).await;
    change(&scene, id, &at("6.00", 4)).await;
    assert_eq!(state(&scene, id), (false, NOTE.to_owned()));
    change(&scene, id, &at("6.00", 12)).await;
    assert_eq!(state(&scene, id), (true, String::new()), "the discount was agreed to");
    assert_eq!(told(&scene).len(), 2);

    // Without a base price there is no discount; broken anew after it was mended is told anew.
    let free = vec![Line::new(504, "Sample", 1, "0.00").offered("-1.00")];
    quote(&scene, &free, nothing());
    change(&scene, id, &at("10.00", 12)).await;
    change(&scene, id, &at("7.90", 12)).await;
    assert_eq!(told(&scene)[2..], [format!("Check: 21.0 % off in quote {number}")]);
    let offered = |store: &mut tradeflow_fakes::bigcommerce::Store, _: usize| {
        let cheap = [Line::new(501, "Hinge", 12, "10.00").offered("5.00")];
        store.ask_for_quote(2001, "ada@acme.example", &cheap, nothing());
    };
    scene.restrained(&[PRICE], offered).await;
}

#[tokio::test]
async fn a_discount_on_the_total_is_compared_where_the_settings_say_so() {
    let scene = Scene::of(&[PRICE])
        .set("discount_scope", "total")
        .set("owner_email", "owner@example.com")
        .sql("insert into discount_limits (position, customer_group, warn_percent, block_percent) values (1, 'Gold', 45, 60)")
        .store(|store| {
            store.sign_up("Acme", json!({"companyStatus": "1"}));
            store.sign_up("Bolt", json!({"companyStatus": "1", "bcGroupId": 7, "bcGroupName": "Gold"}));
        })
        .start()
        .await;
    // Half off on one line is a tenth of the whole.
    let lines = [Line::new(501, "Hinge", 1, "100.00").offered("50.00"), Line::new(502, "Lock", 4, "100.00")];
    let id = quote(&scene, &lines, nothing());
    synced(&scene).await;
    assert_eq!(scene.mail.mails().len(), 0);
    // A rep takes 40 % off the whole.
    scene.store.edit(|store| {
        store.patch_quote(
            id,
            json!({"discountType": 1, "discountValue": 40, "discount": 200, "grandTotal": 300}),
        )
    });
    synced(&scene).await;
    let mails = scene.mail.wait_for(1).await;
    assert!(mails[0].subject.starts_with("Stop: 40.0 % off"), "{}", mails[0].subject);
    assert!(!state(&scene, id).0);
    // Gold customers may have more.
    scene.store.edit(|store| {
        store.ask_for_quote(
            2002,
            "bob@bolt.example",
            &[Line::new(501, "Hinge", 1, "100.00").offered("60.00")],
            nothing(),
        )
    });
    synced(&scene).await;
    assert_eq!(scene.mail.mails().len(), 1);
}
