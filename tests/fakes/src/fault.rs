//! What goes wrong on purpose: the next n requests, of all or of some. Tests say it in the process; over HTTP it is:
//!
//! | call | does |
//! |---|---|
//! | `POST /_fake/faults {"fault": {"status": {"status": 503}}}` | every request goes wrong this way, until it is taken back |
//! | `… {"method": "GET", "path": "/v2/*", "count": 3, "skip": 1, "fault": "refused"}` | three `GET`s below that path do, after one that does not |
//! | `DELETE /_fake/faults` | nothing goes wrong any more |

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::reply::Reply;
use crate::request::Request;

/// One thing that goes wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing is done; this status and body are answered.
    Status {
        status: u16,
        #[serde(default = "no_fields")]
        body: String,
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// Nothing is done; an HTML page is answered with this status, as a proxy in between does.
    Html { status: u16 },
    /// Done; the answer is a complete HTTP message whose JSON is cut in the middle.
    Truncated,
    /// Done; the connection breaks in the middle of the answer's body.
    Cut,
    /// Nothing is done; the connection breaks without an answer.
    Refused,
    /// Done; the connection breaks without an answer: the outcome is unknown to the client.
    Lost,
    /// Of a list of changes only the first half is done, and 500 is answered; a single change is done.
    HalfApplied,
    /// Nothing is done and nothing answered for this long (in seconds), then the connection breaks.
    Hang { seconds: f64 },
    /// Done, but the answer is held back for this long (in seconds).
    Slow { seconds: f64 },
    /// Whatever page is asked for, the first one is answered.
    RepeatedPage,
    /// HTTP 200 with an error inside: `{code, data: {errMsg}, meta}`.
    ErrorInside { code: u16, message: String },
}

impl Fault {
    /// Answers this status with an empty JSON object.
    pub fn status(status: u16) -> Fault {
        Fault::Status { status, body: no_fields(), headers: Vec::new() }
    }

    /// Hangs for this long.
    pub fn hang(time: Duration) -> Fault {
        Fault::Hang { seconds: time.as_secs_f64() }
    }

    /// The answer of faults that keep the vendor out of it.
    pub(crate) fn instead(&self) -> Option<Reply> {
        match self {
            Fault::Status { status, body, headers } => {
                let mut reply = Reply::text(*status, body, "application/json");
                reply.headers.extend(headers.iter().cloned());
                Some(reply)
            }
            Fault::Html { status } => Some(Reply::text(
                *status,
                "<!DOCTYPE html>\n<html><head><title>Attention Required!</title></head><body><h1>Please wait…</h1></body></html>",
                "text/html; charset=UTF-8",
            )),
            Fault::ErrorInside { code, message } => Some(Reply::json(
                200,
                json!({"code": code, "data": {"errMsg": message}, "meta": {"message": message}}),
            )),
            _ => None,
        }
    }
}

/// An empty object: an error that says nothing.
fn no_fields() -> String {
    "{}".to_owned()
}

/// A plan as it comes over HTTP.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    #[serde(default)]
    method: String,
    #[serde(default = "everything")]
    path: String,
    #[serde(default = "always")]
    count: u64,
    #[serde(default)]
    skip: u64,
    fault: Fault,
}

fn everything() -> String {
    "*".to_owned()
}

fn always() -> u64 {
    u64::MAX
}

struct Planned {
    method: String,
    path: String,
    left: u64,
    skip: u64,
    fault: Fault,
}

/// The faults planned for a fake, in the order in which they were planned.
#[derive(Default)]
pub struct Faults {
    planned: Mutex<VecDeque<Planned>>,
}

impl Faults {
    /// The next `count` requests go wrong this way.
    pub fn next(&self, count: u64, fault: Fault) {
        self.next_of("", "*", count, fault);
    }

    /// The next `count` requests with this method and path; `""` is any method, a path ending in `*` a beginning.
    pub fn next_of(&self, method: &str, path: &str, count: u64, fault: Fault) {
        self.after_of(0, method, path, count, fault);
    }

    /// The same, beginning after `skip` such requests.
    pub fn after_of(&self, skip: u64, method: &str, path: &str, count: u64, fault: Fault) {
        let planned = Planned { method: method.to_owned(), path: path.to_owned(), left: count, skip, fault };
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push_back(planned);
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Answers a request to `/_fake/faults`; none: it is for the vendor.
    pub(crate) fn control(&self, request: &Request) -> Option<Reply> {
        if request.path != "/_fake/faults" {
            return None;
        }
        Some(match request.method.as_str() {
            "DELETE" => {
                self.clear();
                Reply::empty(204)
            }
            "POST" => match serde_json::from_str(&request.body) {
                Ok(Plan { method, path, count, skip, fault }) => {
                    self.after_of(skip, &method, &path, count, fault);
                    Reply::empty(204)
                }
                Err(error) => Reply::json(422, json!({"error": error.to_string()})),
            },
            _ => Reply::json(405, json!({"error": "POST plans a fault, DELETE takes all back"})),
        })
    }

    pub(crate) fn take(&self, request: &Request) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |p: &Planned| {
            let method = if p.method.is_empty() { &request.method } else { &p.method };
            request.is(method, &p.path)
        };
        let place = planned.iter().position(fits)?;
        let found = planned.get_mut(place)?;
        if found.skip > 0 {
            found.skip -= 1;
            return None;
        }
        found.left = found.left.saturating_sub(1);
        let fault = found.fault.clone();
        if found.left == 0 {
            planned.remove(place);
        }
        Some(fault)
    }
}
