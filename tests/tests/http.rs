//! Delivery of HTTP calls, and every way in which that fails.

use std::time::Duration;

use tradeflow_tests::database::Database;
use tradeflow_tests::http::{Answer, HttpSink};
use tradeflow_tests::jobs::{watch_jobs, Target, POST};
use tradeflow_tests::sidecar::Sidecar;

const ONE_JOB: &str = "insert into jobs (id, n, amount) values (1, 1, 10.10)";

/// Waits until everything that fired is in a state. What is done has left the outbox.
async fn until_state(db: &Database, state: &str) {
    let everything = match state {
        "done" => "select (select bool_and(state = 'done') from tradeflow.outbox_history) and not exists (select from tradeflow.outbox)".to_owned(),
        _ => format!("select count(*) > 0 and count(*) = count(*) filter (where state = '{state}') from tradeflow.outbox"),
    };
    db.until(&format!("select coalesce(({everything}), false)")).await;
}

/// A database with one target and the action `params`, and its running sidecar.
async fn scene(target: &Target<'_>, params: &str) -> (Database, Sidecar) {
    let db = Database::with_extension().await;
    watch_jobs(&db, target, "http", params).await;
    let sidecar = Sidecar::command(&db)
        .env("HUBSPOT_TOKEN", "t0ken-word")
        .env("HUBSPOT_SIGNING", SIGNING_SECRET)
        .start();
    (db, sidecar)
}

const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn numbers_arrive_digit_for_digit() {
    let sink = HttpSink::start();
    let params = r#"{"path": "/x?y=1", "body": {"amount": "{{ facts.amount }}", "text": "{{ facts.amount }} EUR", "double": "{{ facts.amount * 2 }}",
                     "nested": [{"n": "{{ facts.n }}", "null": null, "true": true, "fixed": 0.10}]}}"#;
    let (db, _sidecar) = scene(&Target::http(sink.url()), params).await;
    db.sql("insert into jobs (id, n, amount) values (1, 7, 12345678901234567.89)").await;
    db.sql("update jobs set amount = 10.10").await;
    let requests = sink.wait_for(2).await;
    let [first, second] = [requests[0].text(), requests[1].text()];
    assert!(first.contains(r#""amount":12345678901234567.89"#), "{first}");
    assert!(first.contains(r#""double":24691357802469135.78"#), "{first}");
    assert!(second.contains(r#""amount":10.10"#) && second.contains(r#""text":"10.10 EUR""#), "{second}");
    assert!(second.contains(r#""fixed":0.10"#) && second.contains(r#""null":null"#), "{second}");
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].uri, "/x?y=1");
    assert!(requests[0].header("content-type").starts_with("application/json"));
}

#[tokio::test]
async fn a_request_is_signed_authorised_and_has_an_idempotency_key() {
    let sink = HttpSink::start();
    let target = Target {
        auth: "bearer",
        secret: Some("env:HUBSPOT_TOKEN"),
        signing_secret: Some("env:HUBSPOT_SIGNING"),
        ..Target::http(sink.url())
    };
    let (db, sidecar) = scene(&target, POST).await;
    db.sql(ONE_JOB).await;
    let request = sink.wait_for(1).await.remove(0);
    assert_eq!(request.header("authorization"), "Bearer t0ken-word");
    assert!(!request.header("idempotency-key").is_empty());
    standardwebhooks::Webhook::new(SIGNING_SECRET)
        .expect("a secret")
        .verify(&request.body, &request.headers)
        .expect("the signature is the body's");
    until_state(&db, "done").await;
    let rows: String = db.one("select jsonb_agg(h)::text from tradeflow.outbox_history h").await;
    assert!(!rows.contains("t0ken-word") && !rows.contains("MfKQ9r8"), "a secret is in a row: {rows}");
    assert!(!sidecar.log().contains("t0ken-word"), "a secret is in the log");
}

#[tokio::test]
async fn the_response_is_the_result_and_the_next_step_reads_it() {
    let sink = HttpSink::start();
    sink.script([Answer::json(201, r#"{"id": 9007199254740993, "price": 1.10}"#)]);
    let (db, _sidecar) = scene(&Target::http(sink.url()), POST).await;
    db.sql(
        r#"update tradeflow.actions set name = 'create';
           insert into tradeflow.actions (rule, step, kind, target, params) values
             ('job', 2, 'http', 'there', '{"method": "PUT", "path": "/jobs/{{ steps.create.body.id }}", "body": {"price": "{{ steps.create.body.price }}"}}')"#,
    )
    .await;
    db.sql(ONE_JOB).await;
    let requests = sink.wait_for(2).await;
    assert_eq!(requests[1].method, "PUT");
    assert_eq!(requests[1].uri, "/jobs/9007199254740993");
    assert_eq!(requests[1].text(), r#"{"price":1.10}"#);
    assert_ne!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    until_state(&db, "done").await;
    let status: i32 =
        db.one("select (result ->> 'status')::int from tradeflow.outbox_history where step = 1").await;
    assert_eq!(status, 201);
}

#[tokio::test]
async fn retry_after_is_honoured_and_the_key_stays() {
    let sink = HttpSink::start();
    sink.script([Answer::status(429).header("retry-after", "3")]);
    let (db, _sidecar) = scene(&Target::http(sink.url()), POST).await;
    db.sql(ONE_JOB).await;
    let requests = sink.wait_for(2).await;
    let pause = requests[1].at - requests[0].at;
    assert!(pause >= Duration::from_millis(2900), "asked to wait 3 s, waited {pause:?}");
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    assert_eq!(requests[0].body, requests[1].body);
    until_state(&db, "done").await;
}

#[tokio::test]
async fn server_errors_and_lost_connections_are_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let sink = HttpSink::start();
        sink.script([Answer::status(status)]);
        let (db, _sidecar) = scene(&Target::http(sink.url()), POST).await;
        db.sql(ONE_JOB).await;
        sink.wait_for(2).await;
        until_state(&db, "done").await;
        assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox_history").await, 2, "status {status}");
    }
}

#[tokio::test]
async fn other_answers_are_dead_at_once_with_an_incident() {
    for status in [301, 400, 401, 404, 409, 422] {
        let sink = HttpSink::start();
        sink.usually(Answer::json(status, r#"{"message": "the reason"}"#).header("location", "/elsewhere"));
        let (db, _sidecar) = scene(&Target::http(sink.url()), POST).await;
        db.sql(ONE_JOB).await;
        until_state(&db, "dead").await;
        let incident: String =
            db.one("select message from tradeflow.incidents where kind = 'dead_action'").await;
        assert!(incident.contains(&status.to_string()), "{incident}");
        assert!(incident.contains("the reason"), "the answer helps to mend it: {incident}");
        assert_eq!(sink.requests().len(), 1, "status {status}: neither repeated nor redirected");
    }
}

#[tokio::test]
async fn expect_decides_which_answers_are_good() {
    let sink = HttpSink::start();
    sink.usually(Answer::status(409));
    let params = r#"{"method": "DELETE", "path": "/jobs/{{ facts.id }}", "expect": [200, 404, 409]}"#;
    let (db, _sidecar) = scene(&Target::http(sink.url()), params).await;
    db.sql(ONE_JOB).await;
    until_state(&db, "done").await;
    let request = sink.wait_for(1).await.remove(0);
    assert_eq!((request.method.as_str(), request.text()), ("DELETE", ""));
}

#[tokio::test]
async fn a_slow_answer_is_given_up_and_tried_again() {
    let sink = HttpSink::start();
    sink.script([Answer::status(200).after(Duration::from_secs(30))]);
    let (db, _sidecar) = scene(&Target { timeout: 1.0, ..Target::http(sink.url()) }, POST).await;
    db.sql(ONE_JOB).await;
    until_state(&db, "done").await;
    assert_eq!(sink.requests().len(), 2);
}

#[tokio::test]
async fn a_private_address_is_refused_unless_the_target_allows_it() {
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0"] {
        let sink = HttpSink::start();
        let port = sink.url().rsplit_once(':').map(|(_, port)| port.to_owned()).expect("a port");
        let target = Target { refuse_private: true, ..Target::http(format!("http://{host}:{port}")) };
        let (db, _sidecar) = scene(&target, POST).await;
        db.sql(ONE_JOB).await;
        db.until("select error is not null from tradeflow.outbox").await;
        assert!(sink.requests().is_empty(), "{host} was called");
        let error: String = db.one("select error from tradeflow.outbox").await;
        assert!(error.contains("allow_private"), "the error says how to allow it: {error}");
    }
}

/// Bad input: an address that is none, a secret that cannot be read. The action says so, waits, and is sent once it is mended.
#[tokio::test]
async fn a_target_that_cannot_be_used_is_said_and_loses_nothing() {
    let sink = HttpSink::start();
    let reading = |reference| Target { auth: "bearer", secret: Some(reference), ..Target::http(sink.url()) };
    for (target, words) in [
        (Target::http("https://exa mple.com".into()), "base_url https://exa mple.com is no URL"),
        (Target::http("http://[::1".into()), "base_url http://[::1 is no URL"),
        (reading("env:TRADEFLOW_UNSET"), "env:TRADEFLOW_UNSET: the environment variable is not set"),
        (reading("env:HOME"), "env:HOME: its name is not allowed by secrets.env"),
        (reading("file:/etc/shadow"), "file:/etc/shadow: the file is outside of secrets.directories"),
    ] {
        let (db, _sidecar) = scene(&target, POST).await;
        let before = sink.requests().len();
        db.sql(ONE_JOB).await;
        db.until("select state = 'ready' and attempt > 0 from tradeflow.outbox").await;
        let error: String = db.one("select error from tradeflow.outbox").await;
        assert!(error.contains(words), "{words} is missing in: {error}");
        assert_eq!(sink.requests().len(), before, "nothing is sent");
        db.execute(
            "update tradeflow.targets set base_url = $1, auth = 'bearer', secret = 'env:HUBSPOT_TOKEN'",
            &[&sink.url()],
        )
        .await;
        db.sql("select tradeflow.retry(id) from tradeflow.outbox").await;
        until_state(&db, "done").await;
    }
}

#[tokio::test]
async fn a_request_goes_to_the_targets_host_and_nowhere_else() {
    let sink = HttpSink::start();
    let other = HttpSink::start();
    for place in [
        format!(r#""url": "{}/x""#, other.url()),
        r#""path": "//{{ facts.note }}/x""#.to_owned(),
        r#""path": "@{{ facts.note }}/x""#.to_owned(),
    ] {
        let (db, _sidecar) = scene(&Target::http(sink.url()), &format!("{{{place}}}")).await;
        let note = other.url().replace("http://", "");
        db.execute("insert into jobs (id, note) values (1, $1)", &[&note]).await;
        db.until("select count(*) = 1 from tradeflow.firings where state in ('dead', 'done')").await;
        assert!(other.requests().is_empty(), "{place} led to another host");
    }
}

#[tokio::test]
async fn a_parameter_that_does_not_render_names_its_path() {
    let sink = HttpSink::start();
    let params = r#"{"path": "/x", "body": {"deep": ["fine", "{{ facts.missing_name }}"]}}"#;
    let (db, _sidecar) = scene(&Target::http(sink.url()), params).await;
    db.sql(ONE_JOB).await;
    until_state(&db, "dead").await;
    let error: String = db.one("select error from tradeflow.outbox").await;
    assert!(error.contains("body.deep[1]"), "{error}");
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_a_broken_one_kept_as_text() {
    let sink = HttpSink::start();
    let huge = "x".repeat(3 * 1024 * 1024);
    sink.script([Answer::status(200).body(&huge), Answer::json(200, "{broken")]);
    let (db, _sidecar) = scene(&Target::http(sink.url()), POST).await;
    db.sql(ONE_JOB).await;
    db.sql("update jobs set n = 2").await;
    db.until("select count(*) = 2 from tradeflow.outbox_history where state = 'done'").await;
    let size: i32 = db.one("select max(length(result::text)) from tradeflow.outbox_history").await;
    assert!(size < 1_100_000, "{size} bytes are kept");
    let text: String = db.one("select string_agg(result::text, '' order by id desc) from tradeflow.outbox_history where length(result::text) < 1000").await;
    assert!(text.contains("{broken"), "{text}");
}

/// An API that takes tokens, and where its tokens come from.
async fn oauth(answers: impl IntoIterator<Item = Answer>) -> (Database, Sidecar, HttpSink, HttpSink) {
    let (api, tokens) = (HttpSink::start(), HttpSink::start());
    tokens.script(answers);
    tokens.usually(Answer::status(500));
    let target = Target {
        auth: "oauth2",
        username: Some("our-client"),
        secret: Some("env:HUBSPOT_TOKEN"),
        ..Target::http(api.url())
    };
    let (db, sidecar) = scene(&target, POST).await;
    db.execute("update tradeflow.targets set token_url = $1, scope = 'orders.write'", &[&tokens.url()]).await;
    (db, sidecar, api, tokens)
}

fn token(n: u32, lasts: u64) -> Answer {
    Answer::json(
        200,
        &format!(r#"{{"access_token": "token-{n}", "token_type": "Bearer", "expires_in": {lasts}}}"#),
    )
}

/// Which token each request bore.
fn borne(api: &HttpSink) -> Vec<String> {
    let token = |header: &str| header.trim_start_matches("Bearer ").to_owned();
    api.requests().iter().map(|request| token(request.header("authorization"))).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_taken_back() {
    let (db, sidecar, api, tokens) = oauth((1..4).map(|n| token(n, 3600))).await;
    db.sql("insert into jobs (id, n) select i, i from generate_series(1, 5) i").await;
    until_state(&db, "done").await;
    assert_eq!(borne(&api), ["token-1"; 5]);
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1, "one token for all of them");
    assert_eq!(
        asked[0].text(),
        "grant_type=client_credentials&client_id=our-client&client_secret=t0ken-word&scope=orders.write"
    );
    // Before its time the API does not take it any more.
    api.script([Answer::json(401, r#"{"error": "invalid_token"}"#)]);
    db.sql("insert into jobs (id, n) values (6, 6)").await;
    db.until("select count(*) = 6 from tradeflow.outbox_history where state = 'done' and attempt = 1").await;
    assert_eq!(borne(&api)[5..], ["token-1", "token-2"], "the same attempt goes on with a new token");
    // A new token that is refused as well is an answer.
    api.script([Answer::status(401), Answer::status(401)]);
    db.sql("insert into jobs (id, n) values (7, 7)").await;
    until_state(&db, "dead").await;
    assert_eq!(
        (borne(&api)[7..].to_vec(), tokens.requests().len()),
        (vec!["token-2".into(), "token-3".into()], 3)
    );
    let rows: String = db
        .one("select (select jsonb_agg(h)::text from tradeflow.outbox_history h) || (select jsonb_agg(o)::text from tradeflow.outbox o)")
        .await;
    for secret in ["t0ken-word", "token-1", "token-2", "token-3"] {
        assert!(!rows.contains(secret) && !sidecar.log().contains(secret), "{secret} is in a row or the log");
    }
}

#[tokio::test]
async fn a_token_is_not_used_beyond_its_time() {
    let (db, _sidecar, api, tokens) = oauth((1..4).map(|n| token(n, 1))).await;
    // Used for half of its second: sooner or later a request needs the next one, and then one more.
    for n in 1.. {
        db.sql(&format!("insert into jobs (id, n) values ({n}, {n})")).await;
        until_state(&db, "done").await;
        if tokens.requests().len() == 3 {
            break;
        }
    }
    let mut borne = borne(&api);
    borne.dedup();
    assert_eq!(borne, ["token-1", "token-2", "token-3"]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    // It is down, it does not know us, it answers nonsense; then all is well.
    let answers = [
        Answer::status(503),
        Answer::json(401, r#"{"error": "invalid_client", "error_description": "unknown client"}"#),
        Answer::json(200, r#"{"token": "?"}"#),
        token(1, 3600),
    ];
    let (db, sidecar, api, tokens) = oauth(answers).await;
    db.sql(ONE_JOB).await;
    until_state(&db, "done").await;
    assert_eq!((borne(&api), tokens.requests().len()), (vec!["token-1".to_owned()], 4));
    assert_eq!(db.one::<i32>("select attempt from tradeflow.outbox_history").await, 4);
    for says in
        ["token_url answered 503", "token_url answered 401: unknown client", "without an access_token"]
    {
        assert!(sidecar.log().contains(says), "{says}: {}", sidecar.log());
    }
}
