//! `GET /storefront/messages`, as a page of the store asks for it.

use serde_json::json;
use tradeflow_tests::sidecar::Sidecar;

use super::scene::Scene;

/// HS256 of the store's current customer, by Python: another implementation than the sidecar's.
fn token(customer: i64, secret: &str) -> String {
    let script = r#"
import base64, hashlib, hmac, json, sys, time
b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')
head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
now = int(time.time())
body = b64(json.dumps({"customer": {"id": int(sys.argv[1]), "email": "a@example.com", "group_id": "6"}, "iss": "bc/apps", "sub": "abc123",
  "iat": now, "exp": now + 900, "version": 1, "aud": "app-id", "application_id": "app-id", "store_hash": "abc123", "operation": "current_customer"}).encode())
print((head + b'.' + body + b'.' + b64(hmac.new(sys.argv[2].encode(), head + b'.' + body, hashlib.sha256).digest())).decode())"#;
    let output = std::process::Command::new("python3")
        .args(["-c", script, &customer.to_string(), secret])
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_signed_in_buyer_reads_the_messages_and_nobody_else_does() {
    let scene = Scene::new("none", String::new(), "unused").await;
    let mut server = Sidecar::command(&scene.db)
        .env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0")
        .env("TRADEFLOW_STOREFRONT_ORIGINS", "https://shop.example.com")
        .env("TRADEFLOW_STOREFRONT_CLIENT_ID", "app-id")
        .env("BIGCOMMERCE_CLIENT_SECRET", "the secret")
        .start();
    let line = server.wait_for_log("serving /metrics");
    let address =
        line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
    scene
        .run(
            "storefront_message",
            json!({"customer_id": 5, "page": "quote:1", "level": "warning", "text": "<b>At least 10</b>"}),
        )
        .await
        .done();
    let ask = |path: &str, token: &str, origin: &str| {
        let request = std::process::Command::new("python3")
            .args(["-c", "
import sys, urllib.request, urllib.error
r = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2], 'Origin': sys.argv[3]})
try:
  a = urllib.request.urlopen(r)
except urllib.error.HTTPError as e:
  a = e
print(a.status, a.headers.get('access-control-allow-origin'), a.read().decode())",
                &format!("http://{address}{path}"), token, origin])
            .output()
            .expect("python3 runs");
        String::from_utf8_lossy(&request.stdout).into_owned()
    };
    let shop = "https://shop.example.com";
    let mine = ask("/storefront/messages?page=quote:1", &token(5, "the secret"), shop);
    assert!(
        mine.starts_with("200 https://shop.example.com") && mine.contains("<b>At least 10</b>"),
        "{mine}"
    );
    let elsewhere = ask("/storefront/messages?page=quote:2", &token(5, "the secret"), shop);
    assert!(elsewhere.contains(r#"{"messages":[]}"#), "{elsewhere}");
    let others = ask("/storefront/messages", &token(6, "the secret"), shop);
    assert!(others.contains(r#"{"messages":[]}"#), "{others}");
    let forged = ask("/storefront/messages", &token(5, "a guess"), shop);
    assert!(forged.starts_with("401") && forged.contains("another key"), "{forged}");
    assert!(
        ask("/storefront/messages", &token(5, "the secret"), "https://evil.example").starts_with("200 None")
    );
    assert!(ask("/storefront/messages.js", "", shop).contains("textContent"));
}
