//! Webhooks: which scopes there are, and their delivery, signed and repeated until a 2xx answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use sha1::{Digest, Sha1};
use standardwebhooks::Webhook;

use super::state::{Event, Store};
use super::{Settings, Shop};

/// Scopes of B2B Edition, and of core as far as the fake makes events of them.
const SCOPES: [&str; 34] = [
    "store/company/created",
    "store/company/updated",
    "store/company/deleted",
    "store/company/statusUpdated",
    "store/company/superadmin/assignmentUpdated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/user/deleted",
    "store/company/address/created",
    "store/company/address/updated",
    "store/company/address/deleted",
    "store/quote/created",
    "store/quote/updated",
    "store/quote/statusUpdated",
    "store/quote/deleted",
    "store/order/created",
    "store/order/updated",
    "store/order/archived",
    "store/order/statusUpdated",
    "store/order/*",
    "store/customer/created",
    "store/customer/updated",
    "store/customer/deleted",
    "store/customer/*",
    "store/product/created",
    "store/product/updated",
    "store/product/deleted",
    "store/product/*",
    "store/sku/created",
    "store/sku/updated",
    "store/sku/deleted",
    "store/sku/*",
    "store/priceList/updated",
    "store/priceList/records/updated",
];

/// Whether a hook may be registered for a scope.
pub fn known_scope(scope: &str) -> bool {
    SCOPES.contains(&scope)
}

/// A delivery as it was tried.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The `webhook-id`: the same for every attempt.
    pub id: String,
    pub scope: String,
    /// The body that is signed.
    pub body: String,
    /// Headers sent, the signature among them.
    pub headers: Vec<(String, String)>,
    /// HTTP status of the answer; 0: none came.
    pub status: u16,
    pub attempt: u32,
}

#[derive(Clone)]
struct Waiting {
    id: String,
    scope: String,
    destination: String,
    headers: Vec<(String, String)>,
    body: String,
    attempt: u32,
    due: Instant,
}

/// What is to be delivered, and what was.
#[derive(Default)]
pub struct Deliveries {
    waiting: Mutex<VecDeque<Waiting>>,
    done: Mutex<Vec<Delivery>>,
    routes: Mutex<BTreeMap<String, String>>,
}

/// As many attempts as the vendor makes.
const ATTEMPTS: u32 = 12;

impl Deliveries {
    pub(crate) fn route(&self, host: &str, url: &str) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.insert(host.to_owned(), url.trim_end_matches('/').to_owned());
    }

    pub(crate) fn done(&self) -> Vec<Delivery> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues events for the hooks that want them.
    pub(crate) fn push(&self, store: &Store, settings: &Settings, events: Vec<Event>) {
        for event in events {
            let wanted = |scope: &str| match scope.strip_suffix('*') {
                Some(beginning) => event.scope.starts_with(beginning),
                None => scope == event.scope,
            };
            for hook in store.hooks.values() {
                if hook.data["is_active"] != json!(true) || !wanted(hook.text("scope")) {
                    continue;
                }
                let payload = json!({"scope": event.scope, "store_id": "1001", "data": event.data,
                    "created_at": store.now(), "producer": format!("stores/{}", settings.store_hash)});
                // An unkeyed hash of the payload: fit for de-duplication, not for authentication.
                let digest = Sha1::digest(payload.to_string());
                let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut payload = payload;
                payload["hash"] = hash.into();
                let headers = hook.data.get("headers").and_then(Value::as_object).into_iter().flatten();
                let headers = headers.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()));
                let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                queue.push_back(Waiting {
                    id: format!("msg_{number:08}"),
                    scope: event.scope.clone(),
                    destination: hook.text("destination").to_owned(),
                    headers: headers.collect(),
                    body: payload.to_string(),
                    attempt: 1,
                    due: Instant::now(),
                });
            }
        }
    }

    fn due(&self) -> Option<Waiting> {
        let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let place = queue.iter().position(|waiting| waiting.due <= Instant::now())?;
        queue.remove(place)
    }

    /// The address a destination really has.
    fn address(&self, destination: &str) -> Option<String> {
        let url = url::Url::parse(destination).ok()?;
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.get(url.host_str()?).map(|base| format!("{base}{}", url.path()))
    }
}

static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

/// Signs a body as the vendor does: Standard Webhooks, the key being the bytes of the client secret.
pub fn sign(secret: &str, id: &str, unix_seconds: i64, body: &str) -> String {
    let key = Webhook::from_bytes(secret.as_bytes().to_vec());
    let signed = key.and_then(|key| key.sign(id, unix_seconds, body.as_bytes()));
    signed.unwrap_or_else(|error| panic!("a webhook is signed: {error}"))
}

/// Delivers for as long as the server runs.
pub(crate) async fn deliver(shop: Arc<Shop>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => return eprintln!("webhooks are not delivered: {error}"),
    };
    loop {
        let Some(waiting) = shop.deliveries.due() else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let (shop, client) = (shop.clone(), client.clone());
        tokio::spawn(async move { attempt(&shop, &client, waiting).await });
    }
}

/// Routes lead to plain HTTP on this machine: nobody is trusted, and nothing needs to be.
fn client() -> Result<reqwest::Client, Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?)
}

async fn attempt(shop: &Shop, client: &reqwest::Client, waiting: Waiting) {
    let now = shop.clock.now();
    let (secret, retry) = {
        let settings = shop.settings();
        (settings.client_secret.clone(), settings.retry_ms)
    };
    let mut headers = waiting.headers.clone();
    headers.extend([
        ("webhook-id".to_owned(), waiting.id.clone()),
        ("webhook-timestamp".to_owned(), now.to_string()),
        ("webhook-signature".to_owned(), sign(&secret, &waiting.id, now, &waiting.body)),
    ]);
    let mut status = 0;
    if let Some(address) = shop.deliveries.address(&waiting.destination) {
        let mut request =
            client.post(address).header("content-type", "application/json").body(waiting.body.clone());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        status = request.send().await.map_or(0, |answer| answer.status().as_u16());
    }
    let done = Delivery {
        id: waiting.id.clone(),
        scope: waiting.scope.clone(),
        body: waiting.body.clone(),
        headers,
        status,
        attempt: waiting.attempt,
    };
    shop.deliveries.done.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    if (200..300).contains(&status) {
        return;
    }
    if waiting.attempt >= ATTEMPTS {
        // The vendor gives up and deactivates the hook.
        shop.edit(|store| {
            for hook in
                store.hooks.values_mut().filter(|hook| hook.text("destination") == waiting.destination)
            {
                hook.data.insert("is_active".into(), false.into());
            }
        });
        return;
    }
    let due = Instant::now() + Duration::from_millis(retry);
    let again = Waiting { attempt: waiting.attempt + 1, due, ..waiting };
    shop.deliveries.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(again);
}
