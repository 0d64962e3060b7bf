use super::*;

fn receiver(key: Option<&str>, header: Option<&str>) -> Receiver {
    let config = Config::load(crate::config::Sources {
        env: vec![("TRADEFLOW_DATABASE_URL".into(), "postgres://nobody@localhost/none".into())],
        ..Default::default()
    })
    .unwrap();
    Receiver {
        pool: db::Pool::new(&config).unwrap(),
        producer: "stores/abc".into(),
        key: key.map(|key| key.to_owned().into()),
        header_secret: header.map(|secret| secret.to_owned().into()),
        require_signature: key.is_some(),
        tolerance: Duration::from_secs(300),
        wake: Arc::new(Notify::new()),
    }
}

const BODY: &str = r#"{"scope":"store/quote/updated","store_id":"1","data":{"quote_id":7},"hash":"h1","created_at":1,"producer":"stores/abc"}"#;
const NOW: i64 = 1_793_523_600;

fn signed(secret: &str, at: i64, body: &str) -> HeaderMap {
    let signature =
        Webhook::from_bytes(secret.as_bytes().to_vec()).unwrap().sign("msg_1", at, body.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "msg_1".parse().unwrap());
    headers.insert("webhook-timestamp", at.to_string().parse().unwrap());
    // More than one signature may be there, while a secret is being changed.
    headers.insert("webhook-signature", format!("v1,AAAA {signature}").parse().unwrap());
    headers
}

#[test]
fn a_good_signature_is_believed() {
    let told =
        receiver(Some("secret"), None).believe(&signed("secret", NOW, BODY), BODY.as_bytes(), NOW + 299);
    let expected = Told {
        id: "msg_1".into(),
        scope: "store/quote/updated".into(),
        data: serde_json::json!({"quote_id": 7}),
    };
    assert_eq!(told, Ok(expected));
}

#[test]
fn anything_else_is_refused() {
    let receiver = receiver(Some("secret"), None);
    let believe = |headers: &HeaderMap, body: &str, now| receiver.believe(headers, body.as_bytes(), now);
    assert_eq!(believe(&HeaderMap::new(), BODY, NOW), Err(Refusal::Unsigned));
    assert_eq!(believe(&signed("other", NOW, BODY), BODY, NOW), Err(Refusal::Signature));
    assert_eq!(believe(&signed("secret", NOW, BODY), &BODY.replace('7', "8"), NOW), Err(Refusal::Signature));
    assert_eq!(believe(&signed("secret", NOW, BODY), BODY, NOW + 301), Err(Refusal::Time));
    assert_eq!(believe(&signed("secret", NOW, BODY), BODY, NOW - 301), Err(Refusal::Time));
    let other = BODY.replace("abc", "xyz");
    assert_eq!(believe(&signed("secret", NOW, &other), &other, NOW), Err(Refusal::Store));
    assert_eq!(believe(&signed("secret", NOW, "[]"), "[]", NOW), Err(Refusal::Store));
    assert_eq!(believe(&signed("secret", NOW, "{"), "{", NOW), Err(Refusal::Body));
}

#[test]
fn a_secret_header_counts_beside_or_instead_of_a_signature() {
    let mut headers = HeaderMap::new();
    let only = receiver(None, Some("hush"));
    assert_eq!(only.believe(&headers, BODY.as_bytes(), NOW), Err(Refusal::Secret));
    headers.insert(SECRET_HEADER, "hush".parse().unwrap());
    assert_eq!(only.believe(&headers, BODY.as_bytes(), NOW).map(|told| told.id), Ok("h1".into()));
    let both = receiver(Some("secret"), Some("hush"));
    assert_eq!(both.believe(&headers, BODY.as_bytes(), NOW), Err(Refusal::Unsigned));
}
