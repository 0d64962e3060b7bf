//! `GET /storefront/messages`, as a page of the store asks for it.

use serde_json::json;
use tradeflow_tests::sidecar::Sidecar;
use tradeflow_tests::storefront::{token, Storefront, ORIGIN};

use super::scene::Scene;

#[tokio::test]
async fn a_signed_in_buyer_reads_the_messages_and_nobody_else_does() {
    let scene = Scene::new("none", String::new(), "unused").await;
    let storefront = Storefront::start(Sidecar::command(&scene.db));
    scene
        .run(
            "storefront_message",
            json!({"customer_id": 5, "page": "quote:1", "level": "warning", "text": "<b>At least 10</b>"}),
        )
        .await
        .done();
    let mine = storefront.ask("/storefront/messages?page=quote:1", &token(5, "the secret"), ORIGIN);
    assert!(
        mine.starts_with("200 https://shop.example.com") && mine.contains("<b>At least 10</b>"),
        "{mine}"
    );
    assert_eq!(storefront.messages(5, "quote:1"), ["<b>At least 10</b>"]);
    assert!(storefront.messages(5, "quote:2").is_empty());
    assert!(storefront.messages(6, "").is_empty());
    // Before a page sends a token, its browser asks whether it may.
    let may = |origin: &str| storefront.preflight("/storefront/messages?page=quote:1", origin);
    assert_eq!(may(ORIGIN), format!("204 {ORIGIN} authorization GET"));
    assert_eq!(may("https://evil.example"), "204 None None None");
    let forged = storefront.ask("/storefront/messages", &token(5, "a guess"), ORIGIN);
    assert!(forged.starts_with("401") && forged.contains("another key"), "{forged}");
    let evil = storefront.ask("/storefront/messages", &token(5, "the secret"), "https://evil.example");
    assert!(evil.starts_with("200 None"), "{evil}");
    assert!(storefront.ask("/storefront/messages.js", "", ORIGIN).contains("textContent"));
}
