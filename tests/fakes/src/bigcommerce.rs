//! BigCommerce: core V2 and V3, B2B Edition's management API, webhooks.
//!
//! One server plays both hosts: `{url}/stores/{hash}/v2|v3/…` is core, `{url}/api/v3/io/…` is B2B Edition.
//! What is copied from the vendor, and what is a guess, stands at each rule; the source is the vendor's documentation.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::fault::Faults;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::{Server, Vendor};

pub mod access;
mod b2b;
mod control;
mod core;
pub mod events;
mod generate;
pub mod people;
mod samples;
pub mod state;
pub mod throttle;

pub use access::Scope;
pub use people::Line;
pub use state::Store;
pub use throttle::Limits;

/// How a fake is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub address: String,
    /// The access token a client must send.
    pub token: String,
    /// The store's hash, in the path of core and in a header of B2B Edition.
    pub store_hash: String,
    /// Signs webhooks: its bytes are the key.
    pub client_secret: String,
    /// What the token may do.
    pub scopes: Vec<Scope>,
    /// Requests allowed in a window; `None` never refuses.
    pub limits: Limits,
    /// A failed delivery of a webhook is tried again after so many milliseconds each time (the vendor: 60 s and more).
    pub retry_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            address: "127.0.0.1:0".into(),
            token: "bc-test-token".into(),
            store_hash: "abc123".into(),
            client_secret: "bc-client-secret".into(),
            scopes: Scope::ALL.to_vec(),
            limits: Limits::off(),
            retry_ms: 200,
        }
    }
}

/// A running fake of BigCommerce. Dropping it ends it.
pub struct BigCommerce {
    server: Server<Shop>,
}

/// The vendor: settings and state.
pub struct Shop {
    settings: Mutex<Settings>,
    store: Mutex<Store>,
    clock: Arc<Clock>,
    throttle: throttle::Throttle,
    deliveries: events::Deliveries,
    silent: AtomicBool,
}

impl BigCommerce {
    /// The sample store (`sidecar/samples/store`), no rate limit, every scope.
    pub fn start() -> BigCommerce {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sidecar/samples/store");
        let clock = Arc::new(Clock::default());
        let store =
            samples::read(&samples, clock.clone()).unwrap_or_else(|e| panic!("the sample store: {e}"));
        Self::serve(Settings::default(), store, clock)
            .unwrap_or_else(|e| panic!("the fake cannot start: {e}"))
    }

    /// A store without anything in it.
    pub fn empty() -> BigCommerce {
        Self::with(Settings::default(), None).unwrap_or_else(|e| panic!("the fake cannot start: {e}"))
    }

    /// A store with what the payload files in a folder say.
    pub fn with(settings: Settings, folder: Option<&Path>) -> std::io::Result<BigCommerce> {
        let clock = Arc::new(Clock::default());
        let store = match folder {
            Some(folder) => samples::read(folder, clock.clone())?,
            None => Store::new(clock.clone()),
        };
        Self::serve(settings, store, clock)
    }

    fn serve(settings: Settings, store: Store, clock: Arc<Clock>) -> std::io::Result<BigCommerce> {
        let address = settings.address.clone();
        let shop = Shop {
            settings: Mutex::new(settings),
            store: Mutex::new(store),
            clock,
            throttle: throttle::Throttle::default(),
            deliveries: events::Deliveries::default(),
            silent: AtomicBool::new(false),
        };
        Ok(BigCommerce { server: Server::start(&address, Arc::new(shop))? })
    }

    /// Its URL; core and B2B Edition are both below it.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The token a client must send.
    pub fn token(&self) -> String {
        self.shop().settings().token.clone()
    }

    /// The store's hash.
    pub fn store_hash(&self) -> String {
        self.shop().settings().store_hash.clone()
    }

    /// The key of webhook signatures.
    pub fn client_secret(&self) -> String {
        self.shop().settings().client_secret.clone()
    }

    /// Changes the settings: scopes taken away, another token, limits.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shop().settings());
    }

    /// Looks at the store, or changes it as people in the control panel and buyers do. Webhooks are sent for changes
    /// made by [`Store`]'s own functions.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Store) -> T) -> T {
        self.shop().edit(edit)
    }

    /// Whether webhooks are sent at all. (A store whose notifications are lost.)
    pub fn mute_hooks(&self, mute: bool) {
        self.shop().silent.store(mute, Ordering::Relaxed);
    }

    /// The fake's clock.
    pub fn clock(&self) -> &Clock {
        &self.shop().clock
    }

    /// Where deliveries to `https://host/…` really go, as a reverse proxy would pass them on.
    pub fn route(&self, host: &str, url: &str) {
        self.shop().deliveries.route(host, url);
    }

    /// Deliveries tried so far.
    pub fn deliveries(&self) -> Vec<events::Delivery> {
        self.shop().deliveries.done()
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.server.forget_requests();
    }

    /// Waits until the process is ended.
    pub fn join(self) {
        self.server.join();
    }

    fn shop(&self) -> &Shop {
        self.server.vendor()
    }
}

impl Shop {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let result = edit(&mut store);
        let events = std::mem::take(&mut store.events);
        if !self.silent.load(Ordering::Relaxed) {
            self.deliveries.push(&store, &self.settings(), events);
        }
        result
    }
}

impl Vendor for Shop {
    fn answer(&self, request: &Request) -> Reply {
        let segments = request.segments();
        let settings = self.settings().clone();
        match segments.as_slice() {
            ["_fake", rest @ ..] => control::answer(self, request, rest),
            ["api", "v3", "io", rest @ ..] => {
                let budget = match self.throttle.b2b(&settings.limits) {
                    Ok(headers) => headers,
                    Err(refused) => return refused,
                };
                let reply = match access::b2b(&settings, request) {
                    Some(refused) => refused,
                    None => self.edit(|store| b2b::answer(store, request, rest)),
                };
                budget.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
            }
            ["stores", hash, version @ ("v2" | "v3"), rest @ ..] => {
                let quota = match self.throttle.core(&settings.limits) {
                    Ok(headers) => headers,
                    Err(refused) => return refused,
                };
                let reply = match access::core(&settings, request, hash, version, rest) {
                    Some(refused) => refused,
                    None => self.edit(|store| core::answer(store, request, version, rest)),
                };
                quota.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
            }
            _ => Reply::text(404, "Not Found", "text/plain"),
        }
    }

    fn background(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(events::deliver(self))
    }
}
