//! The server all vendors share, with the record of requests.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::Router;
use bytes::Bytes;

use crate::fault::{Fault, Faults};
use crate::reply::Reply;
use crate::request::Request;
use crate::thread::Served;

/// A vendor: state and the answers it gives.
pub trait Vendor: Send + Sync + 'static {
    /// Answers a request, changing the state if it asks for that.
    fn answer(&self, request: &Request) -> Reply;

    /// Work that goes on beside the requests, such as sending webhooks. Ends with the server.
    fn background(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// A running fake. Dropping it ends it.
pub struct Server<V: Vendor> {
    served: Served,
    shared: Arc<Shared<V>>,
}

struct Shared<V> {
    vendor: Arc<V>,
    faults: Faults,
    requests: Mutex<Vec<Request>>,
    /// How many requests are remembered; the oldest are forgotten first.
    remembered: usize,
}

impl<V: Vendor> Server<V> {
    /// Starts serving on an address; port 0 takes a free one.
    pub fn start(address: &str, vendor: Arc<V>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            vendor,
            faults: Faults::default(),
            requests: Mutex::default(),
            remembered: 100_000,
        });
        let app = Router::new().fallback(handle::<V>).with_state(shared.clone());
        let background = shared.vendor.clone().background();
        let served = Served::start(address, move |listener| async move {
            tokio::select! {
                _ = axum::serve(listener, app) => {}
                () = background => {}
            }
        })?;
        Ok(Self { served, shared })
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// The vendor behind it.
    pub fn vendor(&self) -> &V {
        &self.shared.vendor
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The requests so far, with the status each was answered with.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    /// Waits until it is ended by a signal or another thread.
    pub fn join(self) {
        self.served.join();
    }
}

/// Parameters that say which page is asked for, in any of the vendors' words.
const PLACES: [&str; 7] =
    ["page", "offset", "after", "minModified", "min_date_modified", "date_modified:min", "min_id"];

async fn handle<V: Vendor>(
    State(shared): State<Arc<Shared<V>>>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let mut request = Request {
        method: parts.method.as_str().to_owned(),
        path: decoded(parts.uri.path()),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: headers(&parts.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
        status: 0,
        half: false,
    };
    if let Some(reply) = shared.faults.control(&request) {
        return answered(reply.status, Bytes::from(reply.bytes().0), "application/json", Vec::new());
    }
    let fault = shared.faults.take(&request);
    let place = remember(&shared, &request);
    let pause = |seconds: f64| tokio::time::sleep(Duration::from_secs_f64(seconds));
    match &fault {
        Some(Fault::Refused) => return broken(Bytes::new()),
        Some(Fault::Hang { seconds }) => {
            pause(*seconds).await;
            return broken(Bytes::new());
        }
        Some(Fault::RepeatedPage) => {
            request.query.retain(|(key, _)| !PLACES.contains(&key.as_str()));
        }
        Some(Fault::HalfApplied) => request.half = true,
        _ => {}
    }
    let reply = match fault.as_ref().and_then(Fault::instead) {
        Some(reply) => reply,
        None => shared.vendor.answer(&request),
    };
    let (text, content_type) = reply.bytes();
    let mut status = reply.status;
    let bytes = match &fault {
        Some(Fault::Lost) => return broken(Bytes::new()),
        Some(Fault::Cut) => return broken(Bytes::from(text).slice(..).split_to_half()),
        Some(Fault::Truncated) => Bytes::from(text).split_to_half(),
        Some(Fault::HalfApplied) => {
            status = 500;
            Bytes::from_static(b"{\"code\":500,\"data\":{},\"meta\":{\"message\":\"Internal server error\"}}")
        }
        Some(Fault::Slow { seconds }) => {
            pause(*seconds).await;
            Bytes::from(text)
        }
        _ => Bytes::from(text),
    };
    if let Some(kept) = lock(&shared.requests).get_mut(place).filter(|kept| kept.at == request.at) {
        kept.status = status;
    }
    answered(status, bytes, content_type, reply.headers)
}

fn answered(
    status: u16,
    body: Bytes,
    content_type: &'static str,
    headers: Vec<(String, String)>,
) -> Response {
    let mut response = Response::new(HttpBody::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !content_type.is_empty() {
        response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    }
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn remember<V>(shared: &Shared<V>, request: &Request) -> usize {
    let mut requests = lock(&shared.requests);
    if requests.len() >= shared.remembered {
        requests.drain(..shared.remembered / 2);
    }
    requests.push(request.clone());
    requests.len() - 1
}

trait Half {
    fn split_to_half(self) -> Bytes;
}

impl Half for Bytes {
    fn split_to_half(self) -> Bytes {
        let half = self.len() / 2;
        self.slice(..half)
    }
}

/// Some bytes of a body that promises more, and then the connection breaks.
fn broken(beginning: Bytes) -> Response {
    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "broken on purpose");
    let chunks = futures_util::stream::iter([Ok(beginning), Err(broken)]);
    Response::new(HttpBody::from_stream(chunks))
}

fn headers(map: &axum::http::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Percent-decoded.
fn decoded(path: &str) -> String {
    // `+` and `&` are themselves in a path, so they are hidden from the decoder of forms.
    let form = format!("x={}", path.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
