use serde_json::json;

use super::*;
use crate::deliver::testing::Bench;
use crate::deliver::{Outcome, System};

fn bench() -> Bench {
    Bench::new(System::Smtp, "smtp://localhost:25")
}

fn compose(job: &Job<'_>) -> Result<Composed, Failure> {
    super::compose(job, recipients(&job.params)?, Vec::new())
}

fn formatted(params: Json) -> String {
    String::from_utf8(compose(&bench().job(params)).unwrap().mail.formatted()).unwrap()
}

fn failure(params: Json) -> Failure {
    compose(&bench().job(params)).unwrap_err()
}

#[test]
fn a_template_becomes_a_mail_with_two_bodies() {
    let composed = compose(&bench().job(json!({"to": "A <a@example.com>", "template": "hello"}))).unwrap();
    let mail = String::from_utf8(composed.mail.formatted()).unwrap();
    assert!(mail.contains("From: Shop <shop@example.com>\r\n"), "{mail}");
    assert!(mail.contains("To: A <a@example.com>\r\n"), "{mail}");
    assert!(mail.contains("Content-Type: multipart/alternative"), "{mail}");
    assert!(mail.contains("X-Tradeflow-Id: 2f1e-7\r\n"), "{mail}");
    assert_eq!(composed.request["subject"], "Hello Zoë & Co");
    assert_eq!(composed.request["html"], "<p>Zoë &amp; Co</p>");
}

#[test]
fn the_message_id_is_the_same_at_every_attempt() {
    let bench = bench();
    let params = json!({"to": "a@example.com", "subject": "s", "text": "t"});
    let (first, second) =
        (compose(&bench.job(params.clone())).unwrap(), compose(&bench.job(params)).unwrap());
    assert_eq!(first.id, "<2f1e-7@example.com>");
    assert_eq!(first.id, second.id);
    assert!(String::from_utf8(first.mail.formatted())
        .unwrap()
        .contains("Message-ID: <2f1e-7@example.com>\r\n"));
}

#[test]
fn parameters_override_the_template_and_text_alone_is_plain() {
    let mail = formatted(
        json!({"to": "a@example.com", "subject": "Only text", "text": "body", "reply_to": "r@example.com"}),
    );
    assert!(mail.contains("Subject: Only text\r\n") && mail.contains("Reply-To: r@example.com"), "{mail}");
    assert!(!mail.contains("multipart"), "{mail}");
    let composed =
        compose(&bench().job(json!({"to": "a@example.com", "template": "hello", "subject": "Mine"})))
            .unwrap();
    assert_eq!(composed.request["subject"], "Mine");
    assert_eq!(composed.request["text"], "Dear Zoë & Co");
}

#[test]
fn recipients_come_as_text_or_list_and_bcc_is_not_shown() {
    let params = json!({"to": ["a@example.com, \"B, C\" <b@example.com>", null, ""], "cc": "c@example.com",
                        "bcc": ["d@example.com"], "subject": "s", "text": "t", "headers": {"X-Campaign": "spring", "X-N": 3}});
    let composed = compose(&bench().job(params)).unwrap();
    let envelope: Vec<String> = composed.mail.envelope().to().iter().map(|a| a.to_string()).collect();
    assert_eq!(envelope, ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]);
    let mail = String::from_utf8(composed.mail.formatted()).unwrap();
    assert!(!mail.contains("d@example.com") && mail.contains("X-Campaign: spring\r\n"), "{mail}");
    assert_eq!(composed.request["bcc"], json!(["d@example.com"]));
}

#[test]
fn a_name_that_customers_gave_themselves_becomes_no_other_address() {
    let name = "Smith, \"Bob\" <evil@example.com>,\r\nBcc: more@example.com";
    let params = json!({"to": {"name": name, "email": "a@example.com"}, "cc": [{"email": " c@example.com "}, {"name": "D", "email": null}, "e@example.com"],
                        "reply_to": {"name": "Zoë", "email": "z@example.com"}, "subject": "s", "text": "t"});
    let composed = compose(&bench().job(params)).unwrap();
    let envelope: Vec<String> = composed.mail.envelope().to().iter().map(|a| a.to_string()).collect();
    assert_eq!(envelope, ["a@example.com", "c@example.com", "e@example.com"]);
    let mail = String::from_utf8(composed.mail.formatted()).unwrap();
    assert!(!mail.contains("\r\nBcc:") && !mail.contains("<evil@example.com>"), "{mail}");
}

#[test]
fn what_cannot_be_a_mail_is_final_and_says_where() {
    for (params, place) in [
        (json!({"to": "nobody", "subject": "s", "text": "t"}), "params.to: \"nobody\""),
        (json!({"to": ["a@example.com", "x y"], "subject": "s", "text": "t"}), "params.to[1]"),
        (json!({"to": 5, "subject": "s", "text": "t"}), "params.to"),
        (json!({"to": [{"email": "x y"}], "subject": "s", "text": "t"}), "params.to[0].email: \"x y\""),
        (json!({"to": {"mail": "a@example.com"}, "subject": "s", "text": "t"}), "unknown field `mail`"),
        (json!({"to": {"name": "A", "email": ""}, "subject": "s", "text": "t"}), "no recipient"),
        (json!({"to": "", "subject": "s", "text": "t"}), "no recipient"),
        (json!({"subject": "s", "text": "t"}), "no recipient"),
        (json!({"to": "a@example.com", "text": "t"}), "no subject"),
        (json!({"to": "a@example.com", "template": "absent"}), "\"absent\""),
        (json!({"to": "a@example.com", "subject": ["s"], "text": "t"}), "params.subject"),
        (
            json!({"to": "a@example.com", "subject": "s", "text": "t", "headers": {"Subject": "x"}}),
            "params.headers.Subject",
        ),
        (
            json!({"to": "a@example.com", "subject": "s", "text": "t", "headers": {"X-A": "x\r\nBcc: e@e.com"}}),
            "params.headers.X-A",
        ),
        (
            json!({"to": "a@example.com", "subject": "s", "text": "t", "from": "a@e.com, b@e.com"}),
            "params.from",
        ),
    ] {
        let failure = failure(params);
        assert_eq!(failure.outcome, Outcome::Dead, "{failure}");
        assert!(failure.message.contains(place), "{failure}");
    }
}

#[test]
fn a_target_without_sender_can_be_mended() {
    let mut bench = bench();
    bench.target.sender = None;
    let failure =
        compose(&bench.job(json!({"to": "a@example.com", "subject": "s", "text": "t"}))).unwrap_err();
    assert_eq!(failure.outcome, Outcome::Retry);
    assert!(failure.message.contains("sender of target \"there\""), "{failure}");
}

#[test]
fn a_subject_cannot_begin_a_header() {
    let mail =
        formatted(json!({"to": "a@example.com", "subject": "s\r\nBcc: evil@example.com", "text": "t"}));
    assert!(mail.contains("Subject: s Bcc: evil@example.com\r\n"), "{mail}");
}

#[test]
fn a_mail_says_how_to_get_no_more_of_it() {
    let params = |way: &str| json!({"to": "a@example.com", "subject": "s", "text": "t", "unsubscribe": way});
    let mail = formatted(params("https://shop.example.com/bye?a=b"));
    assert!(mail.contains("List-Unsubscribe: <https://shop.example.com/bye?a=b>\r\n"), "{mail}");
    assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{mail}");
    assert!(!formatted(params("mailto:bye@example.com")).contains("One-Click"));
    assert!(failure(params("http://x")).message.contains("https://… or mailto:…"));
}
