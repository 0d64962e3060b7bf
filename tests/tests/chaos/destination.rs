//! The destination of the storm: an HTTP server that remembers what reached it, and misbehaves as servers do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tradeflow_fakes::thread::Served;

/// A running server. Dropping it ends it.
pub struct Destination {
    served: Served,
    shared: Arc<Shared>,
}

/// A request that it took: from here on it has happened, whatever the sender hears.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub lane: i32,
    pub n: i32,
    pub attempt: u32,
    pub key: String,
    pub at: SystemTime,
}

/// How it is. Every other request is answered well in any mood, so that work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mood {
    Well,
    /// Takes it, and answers late.
    Slow,
    /// Takes it, and never answers.
    Hangs,
    /// 500, and does not take it.
    Fails,
    /// 429 with Retry-After, and does not take it.
    Throttles,
    /// Takes it, and answers something that is no HTTP.
    Garbage,
    /// Takes it, and hangs up in the middle of the answer.
    HangsUp,
}

impl Mood {
    pub const BAD: [Mood; 6] =
        [Mood::Slow, Mood::Hangs, Mood::Fails, Mood::Throttles, Mood::Garbage, Mood::HangsUp];
}

struct Shared {
    mood: Mutex<Mood>,
    arrivals: Mutex<Vec<Arrival>>,
    requests: Mutex<usize>,
    /// Whether it still refuses for good what [`poisoned`] says.
    poison: Mutex<bool>,
}

/// What the destination refuses for good, until it is mended.
pub fn poisoned(lane: i32, n: i32) -> bool {
    n == 5 && matches!(lane % 10, 3 | 4)
}

impl Destination {
    pub fn start() -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well),
            arrivals: Mutex::default(),
            requests: Mutex::default(),
            poison: Mutex::new(true),
        });
        let theirs = shared.clone();
        let served =
            Served::start("127.0.0.1:0", move |listener| accept(listener, theirs)).expect("a free port");
        Self { served, shared }
    }

    pub fn url(&self) -> String {
        self.served.url()
    }

    pub fn mood(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
    }

    /// Takes from now on what it refused for good.
    pub fn mend(&self) {
        *lock(&self.shared.poison) = false;
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.shared.arrivals).clone()
    }

    pub fn requests(&self) -> usize {
        *lock(&self.shared.requests)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        if let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, shared.clone()));
        }
    }
}

/// One connection, until either side has enough of it.
async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    let mut connection = BufReader::new(connection);
    while let Ok(Some(request)) = read(&mut connection).await {
        let Some(answer) = answer(&shared, request).await else { return };
        let wrote = connection.write_all(answer.bytes.as_bytes()).await;
        if wrote.is_err() || answer.last {
            return;
        }
    }
}

struct Answer {
    bytes: String,
    last: bool,
}

fn status(status: &str, headers: &str, body: &str) -> Option<Answer> {
    let length = body.len();
    let bytes = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    Some(Answer { bytes, last: false })
}

async fn answer(shared: &Shared, request: Arrival) -> Option<Answer> {
    let mood = {
        let mut requests = lock(&shared.requests);
        *requests += 1;
        if requests.is_multiple_of(2) {
            *lock(&shared.mood)
        } else {
            Mood::Well
        }
    };
    if poisoned(request.lane, request.n) && *lock(&shared.poison) {
        return status("422 Unprocessable Content", "", r#"{"error": "no such thing"}"#);
    }
    match mood {
        Mood::Fails => return status("500 Internal Server Error", "", "{}"),
        Mood::Throttles => return status("429 Too Many Requests", "retry-after: 1\r\n", "{}"),
        _ => {}
    }
    let body = format!(r#"{{"attempt": {}}}"#, request.attempt);
    lock(&shared.arrivals).push(request);
    // Nobody answers at once, and so there is always something under way.
    tokio::time::sleep(Duration::from_millis(20)).await;
    match mood {
        Mood::Slow => tokio::time::sleep(Duration::from_millis(300)).await,
        Mood::Hangs => std::future::pending().await,
        Mood::Garbage => return Some(Answer { bytes: "\u{16}\u{3}\u{1} what?\r\n\r\n".into(), last: true }),
        Mood::HangsUp => {
            return Some(Answer {
                bytes: "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into(),
                last: true,
            })
        }
        _ => {}
    }
    status("200 OK", "", &body)
}

/// The next request: `POST /<lane>/<n>` with an idempotency key and the attempt's number. None when there is no more.
async fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<Option<Arrival>> {
    let mut line = String::new();
    if connection.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut numbers = path.split('/').skip(1).map(|part| part.parse().unwrap_or(-1));
    let (lane, n) = (numbers.next().unwrap_or(-1), numbers.next().unwrap_or(-1));
    let (mut key, mut attempt, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = value.to_owned(),
            "x-attempt" => attempt = value.parse().unwrap_or(0),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(Some(Arrival { lane, n, attempt, key, at: SystemTime::now() }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
