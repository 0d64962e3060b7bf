use reqwest::header::HeaderMap;
use serde_json::json;

use super::*;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: Json) -> Answer {
    let headers: HeaderMap =
        headers.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect();
    Answer { status, headers, body }
}

#[test]
fn the_two_hosts_follow_from_one_url() {
    let store = |url: &str| {
        let token = SecretString::from("t".to_owned());
        // Without a default provider of its own, reqwest has no TLS; these clients are never used.
        let tls = crate::tls::client_config(vec![]).unwrap();
        let clients = api::Clients::new(tls).unwrap();
        Store::new(url, &token, clients.of(true).clone(), Duration::from_secs(1))
    };
    let real = store("https://api.bigcommerce.com/stores/abc123/").ok().unwrap();
    assert_eq!(real.url(Area::V2), "https://api.bigcommerce.com/stores/abc123/v2");
    assert_eq!(real.url(Area::B2b), "https://api-b2b.bigcommerce.com/api/v3/io");
    let fake = store("http://127.0.0.1:9/stores/abc123").ok().unwrap();
    assert_eq!(fake.url(Area::B2b), "http://127.0.0.1:9/api/v3/io");
    assert!(store("https://api.bigcommerce.com").err().unwrap().contains("/stores/<store hash>"));
}

#[test]
fn an_error_inside_of_200_is_an_error() {
    let inside = answer(200, &[], json!({"code": 404, "data": {"errMsg": "Company does not exist"}}));
    let error = judge(Area::B2b, inside, "x").unwrap_err();
    assert!(error.is(404) && error.message == "Company does not exist");
    assert!(judge(Area::B2b, answer(200, &[], json!({"code": 200, "data": {}})), "x").is_ok());
    assert_eq!(judge(Area::B2b, answer(200, &[], json!([])), "x").unwrap_err().kind, Kind::Garbled);
    assert!(judge(Area::V2, answer(204, &[], Json::Null), "x").is_ok());
}

#[test]
fn waits_are_what_the_headers_say() {
    let said = |headers| judge(Area::B2b, answer(429, headers, json!({"code": 429})), "x").unwrap_err().wait;
    assert_eq!(
        said(&[("x-requests-remaining", "0 times"), ("x-request-window-resets-after", "2.5 s")]),
        Some(Duration::from_millis(2500))
    );
    assert_eq!(
        said(&[("x-rate-limit-requests-left", "0"), ("x-rate-limit-time-reset-ms", "1500")]),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(said(&[]), Some(OVERLOADED));
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
