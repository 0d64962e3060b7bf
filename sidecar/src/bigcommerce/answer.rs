//! What an answer means. Each API refuses in its own way, and B2B Edition may put an error into a body that came with HTTP 200.
//! The vendor's behaviour is that of its public documentation; field reports are named where they are followed.

use serde_json::Value as Json;

use super::budget;
use super::store::Api;
use super::value;
use crate::api::{self, Answer, Error, Kind};

/// Success, or what there is instead. Of a 429 without headers that say when to come back, `wait` is none.
pub fn judge(api: Api, answer: Answer, described: &str) -> Result<Answer, Error> {
    let mut status = answer.status;
    let mut inside = false;
    if (200..300).contains(&status) {
        if api != Api::B2b || answer.body.is_null() {
            return Ok(answer);
        }
        // The specification has bodies with an error's code among the examples of HTTP 200.
        match answer.body.get("code").and_then(value::int) {
            Some(code) if (200..300).contains(&code) => return Ok(answer),
            Some(code) => (status, inside) = (u16::try_from(code).unwrap_or(500), true),
            None if answer.body.get("data").is_some() => return Ok(answer),
            None => {
                let found = api::beginning(answer.body.to_string().as_bytes());
                return Err(Error::garbled(described, format!("there is no code in it: {found}")));
            }
        }
    }
    let kind = match status {
        401 | 403 => Kind::Denied(status),
        408 | 425 => Kind::Busy(status),
        429 => Kind::Throttled,
        // 507: the plan's limit of objects is reached; nothing changes by itself.
        507 => Kind::Refused(status),
        500.. => Kind::Failed(status),
        _ => Kind::Refused(status),
    };
    let wait =
        answer.retry_after().or_else(|| budget::resets_after(&answer.headers).filter(|_| status == 429));
    let mut message = message(&answer.body);
    if inside {
        message = format!("HTTP {} with code {status} inside: {message}", answer.status);
    }
    // Field reports: both are answered as if something else were wrong.
    match status {
        500 if api == Api::B2b => message.push_str(" (a wrong store hash looks like this too)"),
        404 if api == Api::B2b && !inside => {
            message.push_str(" (a token without the scope \"B2B Edition: modify\" looks like this too)")
        }
        _ => {}
    }
    Err(Error { kind, call: described.to_owned(), message, wait, body: answer.body })
}

/// What a body says went wrong, in any of the shapes these APIs have.
fn message(body: &Json) -> String {
    let data = body.get("data");
    let first = body.as_array().and_then(|list| list.first());
    let found = [
        data.and_then(|d| d.get("errMsg")),
        data.and_then(|d| d.get("errors")),
        body.get("errors").filter(|e| !is_empty(e)),
        first.and_then(|f| f.get("message")),
        body.get("title"),
        body.pointer("/meta/message"),
        body.get("message"),
        data.filter(|d| !is_empty(d)),
    ];
    let found = found.into_iter().flatten().next().unwrap_or(body);
    let title = body.get("title").and_then(Json::as_str).filter(|_| body.get("errors").is_some());
    let text = api::beginning(flat(found).as_bytes());
    match title {
        Some(title) => format!("{title}: {text}"),
        None => text,
    }
}

fn is_empty(value: &Json) -> bool {
    value.is_null()
        || value.as_object().is_some_and(|o| o.is_empty())
        || value.as_array().is_some_and(|a| a.is_empty())
}

/// Maps of fields and lists of messages as one line: `companyName: This field is required.`
fn flat(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "no reason was given".into(),
        Json::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join("; "),
        Json::Object(map) => {
            map.iter().map(|(key, inner)| format!("{key}: {}", flat(inner))).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// The rows of a list.
#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Json>,
    /// How many rows there are in all, where the API says so.
    pub total: Option<u64>,
    /// Cursor of the next page, where there is one.
    pub after: Option<String>,
}

/// Takes a list out of its envelope: `data`, `data.list`, or a bare array; the totals wherever they are.
pub fn page(answer: Option<Json>) -> Result<Page, super::client::Error> {
    let Some(mut answer) = answer else { return Ok(Page::default()) };
    let number = |path: &str| {
        let value = answer.pointer(path)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let totals = [
        "/meta/pagination/totalCount",
        "/data/pagination/totalCount",
        "/meta/totalCount",
        "/meta/pagination/total",
    ];
    let total = totals.into_iter().find_map(number);
    let next = answer.pointer("/meta/cursor_pagination/links/next").is_some_and(|next| !next.is_null());
    let cursor = answer.pointer("/meta/cursor_pagination/end_cursor").and_then(Json::as_str);
    let after = cursor.filter(|_| next).map(str::to_owned);
    let rows = match &mut answer {
        Json::Array(rows) => std::mem::take(rows),
        Json::Object(fields) => match fields.get_mut("data").map(Json::take) {
            Some(Json::Array(rows)) => rows,
            Some(Json::Object(mut data)) => match data.remove("list") {
                Some(Json::Array(rows)) => rows,
                _ => return Err(no_list(&data.into())),
            },
            _ => return Err(no_list(&answer)),
        },
        _ => return Err(no_list(&answer)),
    };
    Ok(Page { rows, total, after })
}

fn no_list(found: &Json) -> super::client::Error {
    let found = api::beginning(found.to_string().as_bytes());
    super::client::Error::Garbled(format!("something that is no list: {found}"))
}

#[cfg(test)]
mod tests;
