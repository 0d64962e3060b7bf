//! The storefront's side of `GET /storefront/messages`: a page of the store asks for the messages of who is signed in.

use std::process::Command;

use serde_json::Value;

use crate::sidecar::{Sidecar, Tradeflow};

/// Where the store's pages come from.
pub const ORIGIN: &str = "https://shop.example.com";

const SECRET: &str = "the secret";

/// A sidecar that serves messages to a storefront.
pub struct Storefront {
    pub sidecar: Sidecar,
    url: String,
}

impl Storefront {
    /// Starts a sidecar as one that serves them.
    pub fn start(sidecar: Tradeflow) -> Storefront {
        let mut sidecar = sidecar
            .env("TRADEFLOW_LISTEN_ADDRESS", "127.0.0.1:0")
            .env("TRADEFLOW_STOREFRONT_ORIGINS", ORIGIN)
            .env("TRADEFLOW_STOREFRONT_CLIENT_ID", "app-id")
            .env("BIGCOMMERCE_CLIENT_SECRET", SECRET)
            .start();
        let line = sidecar.wait_for_log("serving /metrics");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let url = format!("http://{}", address.unwrap_or_else(|| panic!("no address in: {line}")));
        Storefront { sidecar, url }
    }

    /// What a browser asks before it sends a page's request with a token; status, allowed origin, headers and methods.
    pub fn preflight(&self, path: &str, origin: &str) -> String {
        let script = "
import sys, urllib.request
wanted = {'Origin': sys.argv[2], 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization'}
a = urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=wanted, method='OPTIONS'))
print(a.status, *(a.headers.get('access-control-allow-' + what) for what in ('origin', 'headers', 'methods')))";
        python(script, &[&format!("{}{path}", self.url), origin])
    }

    /// Asks for a path, with a token, as a page of this origin; status, allowed origin and body.
    pub fn ask(&self, path: &str, token: &str, origin: &str) -> String {
        let script = "
import sys, urllib.request, urllib.error
r = urllib.request.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2], 'Origin': sys.argv[3]})
try:
  a = urllib.request.urlopen(r)
except urllib.error.HTTPError as e:
  a = e
print(a.status, a.headers.get('access-control-allow-origin'), a.read().decode())";
        python(script, &[&format!("{}{path}", self.url), token, origin])
    }

    /// The texts of the messages that a customer reads on a page.
    pub fn messages(&self, customer: i64, page: &str) -> Vec<String> {
        let said = self.ask(&format!("/storefront/messages?page={page}"), &token(customer, SECRET), ORIGIN);
        let body = said.splitn(3, ' ').nth(2).unwrap_or_default();
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in: {said}"));
        let all = answer["messages"].as_array().unwrap_or_else(|| panic!("no messages in: {said}"));
        all.iter().filter_map(|message| message["text"].as_str()).map(str::to_owned).collect()
    }
}

/// The store's "current customer" token, HS256 by Python: another implementation than the sidecar's.
pub fn token(customer: i64, secret: &str) -> String {
    let script = r#"
import base64, hashlib, hmac, json, sys, time
b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')
head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
now = int(time.time())
body = b64(json.dumps({"customer": {"id": int(sys.argv[1]), "email": "a@example.com", "group_id": "6"}, "iss": "bc/apps", "sub": "abc123",
  "iat": now, "exp": now + 900, "version": 1, "aud": "app-id", "application_id": "app-id", "store_hash": "abc123", "operation": "current_customer"}).encode())
print((head + b'.' + body + b'.' + b64(hmac.new(sys.argv[2].encode(), head + b'.' + body, hashlib.sha256).digest())).decode())"#;
    python(script, &[&customer.to_string(), secret])
}

fn python(script: &str, arguments: &[&str]) -> String {
    let output = Command::new("python3").args(["-c", script]).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run python3: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
