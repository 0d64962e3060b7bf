use serde_json::json;

use super::*;
use crate::deliver::testing::Bench;
use crate::deliver::{Outcome, System};

fn bench() -> Bench {
    Bench::new(System::Http, "https://api.example.com/v3")
}

fn failure(bench: &Bench, params: Json) -> Failure {
    prepare(&bench.job(params)).unwrap_err()
}

fn text<'a>(prepared: &'a Prepared, header: &str) -> &'a str {
    prepared.headers.get(header).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

#[test]
fn a_path_goes_below_the_base() {
    let url = |params: Json| prepare(&bench().job(params)).unwrap().url.to_string();
    assert_eq!(url(json!({})), "https://api.example.com/v3");
    assert_eq!(url(json!({"path": "quotes/7"})), "https://api.example.com/v3/quotes/7");
    assert_eq!(url(json!({"path": "/quotes?full=1"})), "https://api.example.com/v3/quotes?full=1");
    assert_eq!(
        url(json!({"path": "q", "query": {"a": "x y", "b": 2, "c": null}})),
        "https://api.example.com/v3/q?a=x+y&b=2"
    );
    assert_eq!(url(json!({"url": "https://api.example.com:443/other#f"})), "https://api.example.com/other");
}

#[test]
fn requests_go_nowhere_but_to_the_host_of_the_target() {
    for params in [
        json!({"url": "https://evil.example.com/v3"}),
        json!({"url": "http://api.example.com/v3"}),
        json!({"url": "https://api.example.com:8443/v3"}),
        json!({"url": "https://api.example.com@evil.example.com/"}),
        json!({"url": "https://user:pass@api.example.com/"}),
        json!({"url": "//evil.example.com"}),
        json!({"path": "../v2"}),
        json!({"path": "a/%2e%2E/b"}),
        json!({"path": "..\\x"}),
        json!({"path": "a", "url": "https://api.example.com/"}),
    ] {
        assert_eq!(failure(&bench(), params.clone()).outcome, Outcome::Dead, "{params}");
    }
    let stays = prepare(&bench().job(json!({"path": "//evil.example.com/x"}))).unwrap().url;
    assert_eq!(stays.host_str(), Some("api.example.com"));
}

#[test]
fn private_addresses_need_leave() {
    for base in [
        "http://127.0.0.1:8080",
        "http://[::1]/",
        "http://169.254.169.254/",
        "http://2130706433/",
        "http://0x7f.1/",
    ] {
        let mut bench = Bench::new(System::Http, base);
        let failure = failure(&bench, json!({}));
        assert!(failure.message.contains("allow_private") && failure.outcome == Outcome::Dead, "{failure}");
        bench.target.allow_private = true;
        assert!(prepare(&bench.job(json!({}))).is_ok(), "{base}");
    }
}

#[test]
fn a_body_is_json_digit_for_digit() {
    let body: Json = serde_json::from_str(r#"{"amount":10.10,"big":12345678901234567.89}"#).unwrap();
    let prepared = prepare(&bench().job(json!({"body": body}))).unwrap();
    assert_eq!(prepared.body, br#"{"amount":10.10,"big":12345678901234567.89}"#);
    assert_eq!(text(&prepared, "content-type"), "application/json");
    assert_eq!(prepared.method, Method::POST);
    assert_eq!(text(&prepared, "idempotency-key"), "2f1e-7");
    let form = json!({"body": "a=1&b=2", "headers": {"Content-Type": "application/x-www-form-urlencoded"}});
    assert_eq!(prepare(&bench().job(form)).unwrap().body, b"a=1&b=2");
    let get = prepare(&bench().job(json!({"method": "get"}))).unwrap();
    assert!(get.body.is_empty() && get.headers.get("content-type").is_none() && get.method == Method::GET);
}

#[test]
fn secrets_authorize_and_are_never_shown() {
    let secret = env!("CARGO_PKG_NAME");
    for (auth, header, expected) in [
        ("bearer", "authorization", format!("Bearer {secret}")),
        ("basic", "authorization", format!("Basic {}", base64(&format!("me:{secret}")))),
        ("header:X-Auth-Token", "x-auth-token", secret.to_owned()),
    ] {
        let mut bench = bench();
        bench.target.auth = auth.into();
        bench.target.username = Some("me".into());
        bench.target.secret = Some("env:CARGO_PKG_NAME".into());
        // The target's authorization wins over what a rule's author writes.
        let prepared = prepare(&bench.job(json!({"headers": {header: "mine"}}))).unwrap();
        assert_eq!(text(&prepared, header), expected);
        assert!(!prepared.shown.to_string().contains(secret), "{}", prepared.shown);
        assert!(!format!("{prepared:?}").contains(secret));
    }
}

#[test]
fn what_an_operator_can_mend_is_tried_again() {
    let mut bench = bench();
    bench.target.auth = "bearer".into();
    assert!(failure(&bench, json!({})).message.contains("names no secret"));
    bench.target.secret = Some("env:CARGO_PKG_ABSENT".into());
    let failure = failure(&bench, json!({}));
    assert_eq!(failure.outcome, Outcome::Retry);
    assert!(failure.message.contains("env:CARGO_PKG_ABSENT"), "{failure}");
}

#[test]
fn signatures_are_those_of_standard_webhooks() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let mut bench = bench();
    bench.secrets = crate::secret::Secrets::new(&crate::config::Secrets {
        env: vec![],
        directories: vec![file.path().parent().unwrap().to_owned()],
    });
    bench.target.signing_secret = Some(format!("file:{}", file.path().display()));
    let prepared = prepare(&bench.job(json!({"body": {"a": 1.50}}))).unwrap();
    let webhook = Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let stamp = text(&prepared, "webhook-timestamp").parse().unwrap();
    assert_eq!(text(&prepared, "webhook-signature"), webhook.sign("2f1e-7", stamp, &prepared.body).unwrap());
    assert_eq!(text(&prepared, "webhook-id"), "2f1e-7");
    std::fs::write(file.path(), "not base64!").unwrap();
    let failure = failure(&bench, json!({}));
    assert!(failure.message.contains("base64") && !failure.message.contains("not base64!"), "{failure}");
}

#[test]
fn wrong_parameters_say_where() {
    for (params, place) in [
        (json!({"method": "BREW"}), "params.method"),
        (json!({"headers": {"Host": "x"}}), "params.headers.Host"),
        (json!({"headers": {"X Y": "x"}}), "params.headers"),
        (json!({"headers": {"X-A": "x\ny"}}), "params.headers.X-A"),
        (json!({"headers": []}), "params.headers"),
        (json!({"query": {"a": {}}}), "params.query.a"),
        (json!({"expect": "ok"}), "params.expect"),
        (json!({"expect": [200, 9999]}), "params.expect"),
        (json!({"timeout": "soon"}), "params.timeout"),
        (json!({"timeout": -1}), "params.timeout"),
        (json!({"url": "nowhere"}), "params.url"),
    ] {
        let failure = failure(&bench(), params);
        assert!(failure.message.contains(place) && failure.outcome == Outcome::Dead, "{failure}");
    }
}

#[test]
fn the_shorter_timeout_counts() {
    let timeout = |params: Json| prepare(&bench().job(params)).unwrap().timeout.as_millis();
    assert_eq!(timeout(json!({})), 30_000);
    assert_eq!(timeout(json!({"timeout": 2.5})), 2_500);
    assert_eq!(timeout(json!({"timeout": "100ms"})), 100);
    assert_eq!(timeout(json!({"timeout": "5m"})), 30_000);
}
