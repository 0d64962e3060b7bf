//! An HTTP server that records what it is asked and gives scripted answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::Router;
use tradeflow_fakes::thread::Served;

/// A running HTTP server. Dropping it ends it.
///
/// It has a thread and a runtime of its own, so it answers while the test blocks.
pub struct HttpSink {
    served: Served,
    shared: Arc<Shared>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// When it had come.
    pub at: Instant,
}

/// An answer to give.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    script: Mutex<VecDeque<Answer>>,
    usual: Mutex<Option<Answer>>,
}

impl Answer {
    /// A status with an empty body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), delay: Duration::ZERO }
    }

    /// A status with a JSON body, sent as written.
    pub fn json(status: u16, body: &str) -> Self {
        Self::status(status).header("content-type", "application/json").body(body)
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// Given only after a while.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Request {
    /// A header's value, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as JSON, numbers kept exactly as written.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

impl HttpSink {
    /// Starts a server that answers 200 with `{}` until told otherwise.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(record).with_state(shared.clone());
        let served = Served::start("127.0.0.1:0", move |listener| async move {
            let _ = axum::serve(listener, app).await;
        })
        .expect("a free port");
        Self { served, shared }
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// Gives these answers to the next requests, one each, in order; then the usual one again.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.shared.script).extend(answers);
    }

    /// The answer to every request that has no scripted one.
    pub fn usually(&self, answer: Answer) {
        *lock(&self.shared.usual) = Some(answer);
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Waits until there are at least `count`, and returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        crate::eventually::eventually(&format!("{count} requests"), || async {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
        .await
    }
}

async fn record(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    lock(&shared.requests).push(Request { method, uri, headers, body, at: Instant::now() });
    let scripted = lock(&shared.script).pop_front();
    let answer = scripted.or_else(|| lock(&shared.usual).clone()).unwrap_or_else(|| Answer::json(200, "{}"));
    tokio::time::sleep(answer.delay).await;
    let mut response = answer.body.into_response();
    *response.status_mut() = StatusCode::from_u16(answer.status).expect("an HTTP status");
    for (name, value) in answer.headers {
        let name: HeaderName = name.parse().expect("a header's name");
        response.headers_mut().insert(name, HeaderValue::from_str(&value).expect("a header's value"));
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
