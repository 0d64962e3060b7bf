use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: Json) -> Answer {
    let headers: HeaderMap =
        headers.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect();
    Answer { status, headers, body }
}

#[test]
fn an_error_inside_of_200_is_an_error() {
    let inside = answer(200, &[], json!({"code": 404, "data": {"errMsg": "Company does not exist"}}));
    let error = judge(Api::B2b, inside, "x").unwrap_err();
    assert!(error.is(404));
    assert_eq!(error.message, "HTTP 200 with code 404 inside: Company does not exist");
    assert!(judge(Api::B2b, answer(200, &[], json!({"code": 200, "data": {}})), "x").is_ok());
    assert_eq!(judge(Api::B2b, answer(200, &[], json!([])), "x").unwrap_err().kind, Kind::Garbled);
    assert!(judge(Api::V2, answer(204, &[], Json::Null), "x").is_ok());
    assert!(judge(Api::B2b, answer(204, &[], Json::Null), "x").is_ok());
}

#[test]
fn refusals_are_told_from_what_passes() {
    let kind = |api, status| judge(api, answer(status, &[], json!({})), "x").unwrap_err().kind;
    for (status, is) in [
        (401, Kind::Denied(401)),
        (403, Kind::Denied(403)),
        (404, Kind::Refused(404)),
        (408, Kind::Busy(408)),
        (422, Kind::Refused(422)),
        (429, Kind::Throttled),
        (500, Kind::Failed(500)),
        (507, Kind::Refused(507)),
    ] {
        assert_eq!((kind(Api::B2b, status), kind(Api::V2, status)), (is, is));
    }
}

#[test]
fn waits_are_what_the_headers_say() {
    let said = |headers| judge(Api::B2b, answer(429, headers, json!({"code": 429})), "x").unwrap_err().wait;
    assert_eq!(
        said(&[("x-requests-remaining", "0 times"), ("x-request-window-resets-after", "2.5 s")]),
        Some(Duration::from_millis(2520))
    );
    assert_eq!(
        said(&[("x-rate-limit-requests-left", "0"), ("x-rate-limit-time-reset-ms", "1500")]),
        Some(Duration::from_millis(1520))
    );
    assert_eq!(said(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
    assert_eq!(said(&[]), None);
}

#[test]
fn messages_are_found_wherever_they_are() {
    for (body, text) in [
        (json!({"code": 422, "data": {"errMsg": {"email": ["is taken"]}}}), "email: is taken"),
        (json!({"code": 422, "data": {"errors": [{"id": 7, "_detail": "no"}]}}), "_detail: no; id: 7"),
        (json!({"code": 400, "data": {}, "meta": {"message": "only here"}}), "only here"),
        (json!([{"status": 400, "message": "V2"}]), "V2"),
        (json!({"status": 422, "title": "V3", "errors": {"name": "missing"}}), "V3: name: missing"),
        (json!("<html>"), "<html>"),
    ] {
        assert_eq!(message(&body), text);
    }
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
        let page = page(Some(body)).unwrap();
        assert_eq!((page.rows.len(), page.total), (rows, total));
    }
    assert!(page(Some(json!({"data": {}}))).is_err());
    assert_eq!(page(None).unwrap().rows.len(), 0);
    let cursors = json!({"data": [], "meta": {"cursor_pagination": {"end_cursor": "c2", "links": {"next": "?after=c2"}}}});
    assert_eq!(page(Some(cursors)).unwrap().after.as_deref(), Some("c2"));
}
