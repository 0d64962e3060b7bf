//! From a response to a result, or to what becomes of the attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};

use crate::deliver::{Failure, Outcome};

/// Headers that later steps and people may need.
const KEPT: [&str; 10] = [
    "content-type",
    "date",
    "etag",
    "last-modified",
    "link",
    "location",
    "request-id",
    "retry-after",
    "x-correlation-id",
    "x-request-id",
];

/// Of a body that is no JSON, so many bytes are kept.
const TEXT_KEPT: usize = 16 * 1024;

/// Of an error's body, so many characters go into the message.
const QUOTED: usize = 500;

/// What came back.
#[derive(Debug)]
pub struct Received {
    pub status: u16,
    pub headers: Map<String, Json>,
    pub body: Json,
    pub truncated: bool,
    pub retry_after: Option<Duration>,
}

/// Reads a response, at most `limit` bytes of its body.
pub async fn read(mut response: reqwest::Response, limit: usize) -> Result<Received, reqwest::Error> {
    let status = response.status().as_u16();
    let mut headers = Map::new();
    for (name, value) in response.headers() {
        if KEPT.contains(&name.as_str())
            || name.as_str().contains("ratelimit")
            || name.as_str().contains("rate-limit")
        {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.insert(name.as_str().to_owned(), Json::String(text));
        }
    }
    let after =
        headers.get("retry-after").and_then(Json::as_str).and_then(|text| retry_after(text, Utc::now()));
    let mut bytes = Vec::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await? {
        let room = limit - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            truncated = true;
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    let (body, cut) = body(&bytes, truncated);
    Ok(Received { status, headers, body, truncated: truncated || cut, retry_after: after })
}

/// JSON as it is, digit for digit; of anything else the beginning, as text. True: something was cut off.
fn body(bytes: &[u8], truncated: bool) -> (Json, bool) {
    if bytes.is_empty() {
        return (Json::Null, false);
    }
    if !truncated {
        if let Ok(json) = serde_json::from_slice(bytes) {
            return (json, false);
        }
    }
    let cut = bytes.len() > TEXT_KEPT;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_KEPT)]).into_owned();
    (Json::String(text), cut)
}

/// Success, or what becomes of the attempt.
pub fn judge(received: &Received, expect: &[u16], target: &str) -> Result<(), Failure> {
    let status = received.status;
    let expected = match expect {
        [] => (200..300).contains(&status),
        list => list.contains(&status),
    };
    if expected {
        return Ok(());
    }
    let passing = matches!(status, 408 | 425 | 429 | 500..=599);
    let mut message = format!("target \"{target}\" answered {status}");
    if (300..400).contains(&status) {
        let location = received.headers.get("location").and_then(Json::as_str).unwrap_or("nowhere");
        message.push_str(&format!(" (to {location}; redirects are not followed, name the final address)"));
    }
    let quoted = match &received.body {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        json => json.to_string(),
    };
    if !quoted.is_empty() {
        message.push_str(": ");
        message.extend(quoted.chars().take(QUOTED));
    }
    Err(Failure {
        outcome: if passing { Outcome::Retry } else { Outcome::Dead },
        message,
        retry_after: received.retry_after.filter(|_| passing),
        // Too many requests are too many of all actions together.
        throttle: status == 429 && received.retry_after.is_some(),
    })
}

/// `Retry-After`: seconds or a date.
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        // Longer than a day is a mistake of the other side, not a wish to be honoured.
        return Some(Duration::from_secs(seconds.min(86_400)));
    }
    let at: DateTime<Utc> = httpdate::parse_http_date(text.trim()).ok()?.into();
    let wait = (at - now).to_std().unwrap_or_default();
    Some(wait.min(Duration::from_secs(86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, body: Json) -> Received {
        Received {
            status,
            headers: Map::new(),
            body,
            truncated: false,
            retry_after: Some(Duration::from_secs(7)),
        }
    }

    #[test]
    fn statuses_decide() {
        let outcome = |status, expect: &[u16]| {
            judge(&received(status, Json::Null), expect, "t").err().map(|f| f.outcome)
        };
        for status in [200, 201, 204, 299] {
            assert_eq!(outcome(status, &[]), None);
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(outcome(status, &[]), Some(Outcome::Retry), "{status}");
        }
        for status in [301, 304, 400, 401, 403, 404, 409, 422] {
            assert_eq!(outcome(status, &[]), Some(Outcome::Dead), "{status}");
        }
        assert_eq!(outcome(404, &[200, 404]), None);
        assert_eq!(outcome(201, &[200]), Some(Outcome::Dead));
    }

    #[test]
    fn a_failure_quotes_the_answer_and_the_wait() {
        let failure = judge(&received(503, Json::String("x".repeat(5000))), &[], "t").unwrap_err();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
        assert!(failure.message.starts_with("target \"t\" answered 503: xxx") && failure.message.len() < 600);
        assert_eq!(judge(&received(400, Json::Null), &[], "t").unwrap_err().retry_after, None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: DateTime<Utc> = "2026-11-22T14:00:00Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 14:01:30 GMT", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 13:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999", now), Some(Duration::from_secs(86_400)));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn json_keeps_its_digits_and_text_its_beginning() {
        assert_eq!(
            body(br#"{"a":10.10,"b":12345678901234567.89}"#, false).0.to_string(),
            r#"{"a":10.10,"b":12345678901234567.89}"#
        );
        assert_eq!(body(b"", false), (Json::Null, false));
        assert_eq!(body(b"<html>", false), (Json::String("<html>".into()), false));
        let (text, cut) = body(&[b'x'; 20_000], false);
        assert!(cut && text.as_str().unwrap().len() == TEXT_KEPT);
        assert!(body(b"[1,2", true).0.is_string());
    }
}
