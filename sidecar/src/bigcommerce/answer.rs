//! From an answer's bytes to JSON, or to an error. Each API refuses in its own way, and B2B Edition may put an error into a
//! body that came with HTTP 200.

use serde_json::Value;

use super::client::{Api, Error};

/// Of a body that is no use, so much is quoted.
const QUOTED: usize = 300;

/// Reads an answer. `None`: there is nothing (204, or an empty body).
pub fn read(api: Api, status: u16, content_type: &str, body: &[u8]) -> Result<Option<Value>, Error> {
    if (200..300).contains(&status) {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let value: Value = serde_json::from_slice(body).map_err(|error| Error::NotJson {
            what: not_json(content_type, body),
            error: error.to_string(),
        })?;
        if api == Api::B2b {
            if let Some(code) = value.get("code").and_then(Value::as_u64).filter(|code| *code >= 400) {
                return Err(refused(api, code as u16, &message(&value), true));
            }
        }
        return Ok(Some(value));
    }
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(value) => message(&value),
        Err(_) if content_type.contains("html") => "an HTML page".to_owned(),
        Err(_) => quoted(&String::from_utf8_lossy(body)),
    };
    Err(refused(api, status, &said, false))
}

fn refused(api: Api, status: u16, said: &str, inside: bool) -> Error {
    let said = match inside {
        true => format!("HTTP 200 with code {status} inside: {said}"),
        false => format!("{status}: {said}"),
    };
    match status {
        404 => Error::NotFound { said },
        400..=499 if status != 408 && status != 429 => {
            let hint = match (api, status) {
                (_, 401) => "is bigcommerce.access_token the token of this store, and still valid?",
                (Api::B2b, 403) => "give the token B2B Edition \"modify\"",
                (_, 403) => "the token lacks a scope (Orders, Products: read-only), or bigcommerce.store_hash is another store's",
                _ => "see what the API says",
            };
            Error::Refused { status, said, hint }
        }
        _ => Error::Failed { status, said, wait: None },
    }
}

/// What an error's body says, in any of its forms.
fn message(value: &Value) -> String {
    let first = value.get(0).unwrap_or(value);
    let places = [
        first.pointer("/data/errMsg"),
        first.pointer("/data/errors"),
        first.get("errors"),
        first.pointer("/meta/message"),
        first.get("title"),
        first.get("message"),
    ];
    let says = |value: &&Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    match places.into_iter().flatten().find(says) {
        Some(Value::String(text)) => quoted(text),
        Some(other) => quoted(&other.to_string()),
        None => quoted(&value.to_string()),
    }
}

fn not_json(content_type: &str, body: &[u8]) -> String {
    match content_type {
        kind if kind.contains("html") => "an HTML page instead of JSON".to_owned(),
        kind if kind.contains("json") => "JSON that breaks off or is damaged".to_owned(),
        _ => format!("no JSON: {}", quoted(&String::from_utf8_lossy(body))),
    }
}

fn quoted(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The rows of a list.
#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Value>,
    /// How many rows there are in all, where the API says so.
    pub total: Option<u64>,
    /// Cursor of the next page, where there is one.
    pub after: Option<String>,
}

/// Takes a list out of its envelope: `data`, `data.list`, or a bare array; the totals wherever they are.
pub fn page(answer: Option<Value>) -> Result<Page, Error> {
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
    let cursor = answer.pointer("/meta/cursor_pagination/end_cursor").and_then(Value::as_str);
    let after = cursor.filter(|_| next).map(str::to_owned);
    let rows = match &mut answer {
        Value::Array(rows) => std::mem::take(rows),
        Value::Object(fields) => match fields.get_mut("data").map(Value::take) {
            Some(Value::Array(rows)) => rows,
            Some(Value::Object(mut data)) => match data.remove("list") {
                Some(Value::Array(rows)) => rows,
                _ => return Err(no_list(&data.into())),
            },
            _ => return Err(no_list(&answer)),
        },
        _ => return Err(no_list(&answer)),
    };
    Ok(Page { rows, total, after })
}

fn no_list(found: &Value) -> Error {
    Error::NotJson { what: "an answer without a list".to_owned(), error: quoted(&found.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(api: Api, status: u16, content_type: &str, body: &str) -> Error {
        read(api, status, content_type, body.as_bytes()).expect_err("an error")
    }

    #[test]
    fn refusals_are_told_from_what_passes() {
        let json = "application/json";
        let of = |status, body: &str| error(Api::B2b, status, json, body);
        assert!(matches!(
            of(401, r#"{"code":401,"data":{"errMsg":"x"}}"#),
            Error::Refused { status: 401, .. }
        ));
        assert!(matches!(of(404, "{}"), Error::NotFound { .. }));
        assert!(matches!(of(429, "{}"), Error::Failed { status: 429, .. }));
        assert!(matches!(of(500, "{}"), Error::Failed { status: 500, .. }));
        let inside = error(Api::B2b, 200, json, r#"{"code":422,"data":{"errMsg":{"a":["b"]}}}"#);
        assert!(inside.to_string().contains("HTTP 200 with code 422 inside"), "{inside}");
        assert!(matches!(error(Api::V3, 200, "text/html", "<html>"), Error::NotJson { .. }));
        assert!(matches!(error(Api::V2, 200, json, r#"[{"id": 1"#), Error::NotJson { .. }));
        assert!(error(Api::V2, 403, json, r#"[{"status":403,"message":"scope"}]"#)
            .to_string()
            .contains("403: scope"));
        assert!(error(Api::V3, 503, "text/html", "<html>").to_string().contains("an HTML page"));
        assert!(read(Api::V2, 204, "", b"").expect("nothing").is_none());
    }

    #[test]
    fn lists_are_found_in_every_envelope() {
        for (body, rows, total) in [
            (json!([1, 2]), 2, None),
            (json!({"data": [1], "meta": {"pagination": {"totalCount": 7}}}), 1, Some(7)),
            (json!({"data": [1], "meta": {"totalCount": "7"}}), 1, Some(7)),
            (json!({"data": {"list": [], "pagination": {"totalCount": 0}}}), 0, Some(0)),
            (json!({"data": [1], "meta": {"pagination": {"total": 3}}}), 1, Some(3)),
        ] {
            let page = page(Some(body)).expect("a page");
            assert_eq!((page.rows.len(), page.total), (rows, total));
        }
        assert!(page(Some(json!({"data": {}}))).is_err());
        assert_eq!(page(None).expect("nothing").rows.len(), 0);
        let cursors = json!({"data": [], "meta": {"cursor_pagination": {"end_cursor": "c2", "links": {"next": "?after=c2"}}}});
        assert_eq!(page(Some(cursors)).expect("a page").after.as_deref(), Some("c2"));
    }
}
