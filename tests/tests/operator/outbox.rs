//! `tradeflow outbox`.

use serde_json::json;
use tradeflow_tests::sidecar::Tradeflow;

use super::{bury, jobs, states, tradeflow};

#[tokio::test]
async fn lists_what_is_open_with_what_to_know() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (-3)").await;
    bury(&db, 1).await;
    let said = tradeflow(&db, ["outbox", "list"]);
    let lines: Vec<Vec<&str>> = said
        .success()
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["ID", "RULE", "SUBJECT", "ACTION", "TARGET", "STATE", "TRIES", "FIRED", "WHAT"]);
    assert_eq!(&lines[1][..6], ["3", "later", "-3", "1 email", "smtp", "waiting"]);
    assert_eq!(lines[1].last(), Some(&"in 2d"), "its time: {}", said.stdout);
    assert_eq!(&lines[2][..7], ["2", "job", "2", "call", "erp", "running", "1/20"]);
    assert_eq!(&lines[3][..7], ["1", "job", "1", "call", "erp", "dead", "1/20"]);
    assert_eq!(lines[3].last(), Some(&"the ERP said no"));
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn lists_by_every_filter() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (-3); select tradeflow.claim('w', 1, '1 minute'); select tradeflow.complete('{1}', '{1}', array['{\"status\": 200}'::jsonb])").await;
    let ids = |arguments: &[&str]| {
        let said = tradeflow(&db, ["outbox", "list", "--json"].iter().chain(arguments).copied());
        said.success();
        let ids: Vec<i64> =
            said.json()["actions"].as_array().unwrap().iter().map(|a| a["id"].as_i64().unwrap()).collect();
        (ids, said.json()["more"].as_bool().unwrap())
    };
    // 4 is the second step of 1.
    assert_eq!(ids(&[]), (vec![4, 3, 2], false));
    assert_eq!(ids(&["--limit", "2"]), (vec![4, 3], true));
    assert_eq!(ids(&["--rule", "later"]), (vec![3], false));
    assert_eq!(ids(&["--kind", "email"]), (vec![4, 3], false));
    assert_eq!(ids(&["--target", "erp"]), (vec![2], false));
    assert_eq!(ids(&["--lane", "public.jobs:2"]), (vec![2], false));
    assert_eq!(ids(&["--subject", "1", "--state", "all"]), (vec![4, 1], false));
    assert_eq!(ids(&["--state", "waiting,done"]), (vec![3, 1], false));
    assert_eq!(ids(&["--since", "1h", "--state", "all"]), (vec![4, 3, 2, 1], false));
    assert_eq!(ids(&["--since", "2100-01-01", "--state", "all"]), (vec![], false));
    assert_eq!(tradeflow(&db, ["outbox", "list", "--rule", "none"]).success().trim(), "there is none");
    let wrong = tradeflow(&db, ["outbox", "list", "--since", "yesterday"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("30d"), "{}", wrong.stderr);
}

#[tokio::test]
async fn shows_the_whole_firing() {
    let db = jobs().await;
    db.sql(
        "set tradeflow.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
         insert into jobs values (1, 7);
         select tradeflow.claim('the-worker', 1, '1 minute');
         select tradeflow.complete('{1}', '{1}', array['{\"status\": 201, \"request\": {\"method\": \"POST\", \"url\": \"https://erp.example.com/jobs/1\"}}'::jsonb])",
    )
    .await;
    let said = tradeflow(&db, ["outbox", "show", "2"]);
    for words in [
        "of rule \"job\" (version 1)",
        "about       1",
        "insert of public.jobs (enter)",
        "\"n\": 7",
        "trace       00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "step 1  call → erp: done",
        "worker      the-worker",
        "\"url\": \"https://erp.example.com/jobs/1\"",
        "\"status\": 201",
        "step 2  tell → smtp: ready",
        "waits for   a sidecar: none is running",
        "\"to\": \"a@example.com\"",
    ] {
        assert!(said.success().contains(words), "{words} is missing in:\n{}", said.stdout);
    }
    let json = tradeflow(&db, ["outbox", "show", "1", "--json"]).json();
    assert_eq!(json["firing"]["facts"], json!({"id": 1, "n": 7}));
    assert_eq!(json["actions"][0]["request"]["method"], "POST");
    assert_eq!(json["actions"][0]["attempt"], 1);
    assert_eq!(json["actions"][1]["waits_for"], "a sidecar: none is running");
    let none = tradeflow(&db, ["outbox", "show", "99"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("there is no action 99"), "{}", none.stderr);
}

/// The first step failed: the second is not begun, and the incident tells what to do.
#[tokio::test]
async fn shows_what_went_wrong_and_what_is_not_begun() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    bury(&db, 1).await;
    let said = tradeflow(&db, ["outbox", "show", "1"]);
    for words in [
        "error       the ERP said no",
        "waits for   a person: it is dead",
        "step 2  tell → smtp: not begun",
        "(open)",
        "tradeflow.retry(1)",
    ] {
        assert!(said.success().contains(words), "{words} is missing in:\n{}", said.stdout);
    }
}

#[tokio::test]
async fn says_why_an_action_waits() {
    let db = jobs().await;
    db.sql(
        "insert into jobs values (1), (2), (-3); update jobs set n = 1 where id = 1;
         insert into tradeflow.rules (name, source, condition) values ('fax', 'public.jobs', 'new.id = 50');
         insert into tradeflow.action_kinds (name, repeatable, description) values ('fax', true, 'sends a fax');
         insert into tradeflow.actions (rule, kind, target) values ('fax', 'fax', 'erp');
         delete from tradeflow.actions where rule = 'later'",
    )
    .await;
    let why = |id: &str| {
        let said = tradeflow(&db, ["outbox", "show", id, "--json"]);
        said.success();
        let json = said.json();
        let action = json["actions"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|a| a["id"].as_i64() == id.parse().ok())
            .expect("it is there");
        action["waits_for"].as_str().unwrap_or("nothing").to_owned()
    };
    assert_eq!(why("2"), "a sidecar: none is running");
    db.sql("select tradeflow.present('w', '{email,http}')").await;
    assert_eq!(why("2"), "a sidecar with room for it");
    assert!(why("3").starts_with("its time, "), "{}", why("3"));
    assert_eq!(why("4"), "action 1 of its lane, which is before it");
    db.sql("select tradeflow.claim('w', 1, '1 minute')").await;
    assert_eq!(why("4"), "action 1 of its lane, which is running");
    assert!(why("1").starts_with("worker w, which has it until "), "{}", why("1"));
    db.sql("select tradeflow.fail(1, 1, 'busy', 'retry', '1 hour')").await;
    assert!(why("1").starts_with("its next attempt, at "), "{}", why("1"));
    assert!(why("4").starts_with("action 1 of its lane, which is tried again at "), "{}", why("4"));
    db.sql("select tradeflow.hold('{2}', 'ask Ada')").await;
    assert!(why("2").starts_with("a person: it is held (ask Ada)"), "{}", why("2"));
    db.sql("insert into jobs values (50)").await;
    let fax: i64 = db.one("select id from tradeflow.outbox where kind = 'fax'").await;
    db.sql("delete from tradeflow.outbox where kind = 'http' and subject = '50'").await;
    assert_eq!(
        why(&fax.to_string()),
        "a sidecar that executes kind \"fax\": those that run execute email, http"
    );
}

#[tokio::test]
async fn cancels_holds_releases_and_says_what_it_left() {
    let db = jobs().await;
    db.sql("insert into jobs values (1), (2), (3), (-4)").await;
    let said = tradeflow(&db, ["outbox", "hold", "--rule", "job", "--reason", "ask Ada"]);
    assert_eq!(said.success().trim(), "3 actions held");
    assert_eq!(states(&db).await, ["1 held", "2 held", "3 held", "4 waiting"]);
    assert_eq!(db.one::<String>("select reason from tradeflow.outbox where id = 1").await, "ask Ada");

    assert_eq!(tradeflow(&db, ["outbox", "release", "1"]).success().trim(), "1 action released");
    assert_eq!(states(&db).await, ["1 ready", "2 held", "3 held", "4 waiting"]);

    let said = tradeflow(&db, ["outbox", "cancel", "2", "99", "--reason", "sent by hand", "--json"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.json(), json!({"changed": 1, "left": [{"id": 99, "why": "there is no such action"}]}));
    let kept: String =
        db.one("select state || ' ' || reason from tradeflow.outbox_history where id = 2").await;
    assert_eq!(kept, "cancelled sent by hand");

    db.sql("select tradeflow.claim('w', 1, '1 minute')").await;
    let said = tradeflow(&db, ["outbox", "cancel", "1"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("action 1 was left as it is: it is running"), "{}", said.stderr);
    let said = tradeflow(&db, ["outbox", "release", "2"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("it is cancelled; to release is for held"), "{}", said.stderr);

    // A timer that was held waits for its time again.
    tradeflow(&db, ["outbox", "hold", "4"]).success();
    tradeflow(&db, ["outbox", "release", "4"]).success();
    assert_eq!(states(&db).await, ["1 running", "3 held", "4 waiting"]);
}

#[tokio::test]
async fn retries_what_rests_and_hurries_what_retries() {
    let db = jobs().await;
    db.sql(
        "insert into jobs values (1), (2); select tradeflow.claim('w', 2, '1 minute');
            select tradeflow.fail(1, 1, 'busy', 'retry', '1 hour'), tradeflow.fail(2, 1, 'no', 'dead')",
    )
    .await;
    assert_eq!(
        tradeflow(&db, ["outbox", "retry", "--rule", "job"]).success().trim(),
        "2 actions made ready again"
    );
    let due: Vec<i64> = db.column("select id from tradeflow.outbox where state = 'ready' and run_at <= clock_timestamp() order by id").await;
    assert_eq!(due, [1, 2]);
    let said = tradeflow(&db, ["outbox", "retry", "1"]);
    assert!(
        said.failure().contains("it is ready, and is taken as soon as a sidecar has room"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_selection_must_be_meant() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    let said = tradeflow(&db, ["outbox", "cancel"]);
    assert!(said.failure().contains("--all"), "{}", said.stderr);
    // Nobody is at the terminal to ask.
    let said = tradeflow(&db, ["outbox", "cancel", "--all"]);
    assert!(said.failure().contains("say --yes"), "{}", said.stderr);
    assert_eq!(tradeflow(&db, ["outbox", "cancel", "1", "--all"]).code, 2);
    assert_eq!(states(&db).await, ["1 ready"]);
    assert_eq!(tradeflow(&db, ["outbox", "cancel", "--all", "--yes"]).success().trim(), "1 action cancelled");
    assert_eq!(states(&db).await, Vec::<String>::new());
}

/// Some thousands go in several transactions.
#[tokio::test]
async fn many_at_once() {
    let db = jobs().await;
    db.sql("insert into jobs select generate_series(1, 2500)").await;
    assert_eq!(tradeflow(&db, ["outbox", "hold", "--rule", "job"]).success().trim(), "2500 actions held");
    assert_eq!(
        tradeflow(&db, ["outbox", "release", "--all", "--yes"]).success().trim(),
        "2500 actions released"
    );
}

#[tokio::test]
async fn an_operator_may_and_others_are_told_what_they_lack() {
    let db = jobs().await;
    db.sql("insert into jobs values (1)").await;
    let as_role = |role: String, arguments: &'static [&'static str]| {
        let url = db.url_as(&role, &role);
        Tradeflow::new(arguments.iter().copied()).env("TRADEFLOW_DATABASE_URL", &url).run()
    };
    let operator = db.role(&["tradeflow_operator"]).await;
    as_role(operator.clone(), &["outbox", "list"]).success();
    as_role(operator.clone(), &["outbox", "show", "1"]).success();
    as_role(operator.clone(), &["outbox", "hold", "1"]).success();
    as_role(operator.clone(), &["outbox", "release", "1"]).success();
    as_role(operator.clone(), &["rules", "list"]).success();
    as_role(operator.clone(), &["targets", "list"]).success();
    as_role(operator.clone(), &["incidents", "list"]).success();
    as_role(operator, &["outbox", "cancel", "1"]).success();
    let author = db.role(&["tradeflow_author"]).await;
    as_role(author.clone(), &["outbox", "list"]).success();
    as_role(author.clone(), &["outbox", "show", "1"]).success();
    as_role(author.clone(), &["rules", "list"]).success();
    let said = as_role(author, &["outbox", "cancel", "1"]);
    assert!(
        said.failure().contains("permission denied") && said.stderr.contains("tradeflow_operator"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_name_that_there_is_not_is_told_and_only_what_can_be_retried_is_counted() {
    let db = jobs().await;
    for (option, name, message) in [
        ("--rule", "jbo", "there is no rule \"jbo\""),
        ("--kind", "htp", "there is no kind \"htp\""),
        ("--target", "epr", "there is no target \"epr\""),
    ] {
        let listed = tradeflow(&db, ["outbox", "list", option, name]);
        assert!(
            listed.success().contains("there is none") && listed.stderr.contains(message),
            "{}",
            listed.stderr
        );
        let said = tradeflow(&db, ["outbox", "cancel", option, name]);
        assert!(said.failure().contains(message), "{}", said.stderr);
    }
    assert_eq!(
        tradeflow(&db, ["dead", "retry", "--rule", "job"]).success().trim(),
        "0 actions made ready again"
    );

    db.sql("insert into jobs values (1), (2), (3)").await;
    bury(&db, 1).await;
    db.sql(
        "select tradeflow.fail(2, 1, 'busy', 'retry', '1 hour'), tradeflow.fail(3, 1, 'busy', 'retry', '0')",
    )
    .await;
    db.sql("update tradeflow.outbox set run_at = clock_timestamp() where id = 3").await;
    let asked = tradeflow(&db, ["outbox", "retry", "--all"]);
    assert!(
        asked.failure().contains("retry all 2 actions that are dead, held, retrying?"),
        "{}",
        asked.stderr
    );
    assert_eq!(
        tradeflow(&db, ["outbox", "retry", "--all", "--yes"]).success().trim(),
        "2 actions made ready again"
    );
}

/// Everything a target may be stopped by, the kind and the rule: each in a sentence, with what ends it.
#[tokio::test]
async fn says_what_stops_a_target_a_kind_or_a_rule() {
    let db = jobs().await;
    db.sql(
        "update tradeflow.targets set breaker_failures = 1 where name = 'erp'; select tradeflow.present('w', '{email,http}');
         insert into jobs values (1), (2), (3)",
    )
    .await;
    let why = async || -> String { db.one("select tradeflow.waits_for(3)").await };
    let begins = async |sentence: &str| {
        let said = why().await;
        assert!(said.starts_with(sentence), "{said}");
        said
    };
    db.sql("select tradeflow.claim('w', 1, '1 minute'); select tradeflow.fail(1, 1, 'ERP down', 'retry', '1 day')").await;
    let said = begins("target \"erp\", which failed 1 times in a row and is tried again at 2").await;
    assert!(said.ends_with(", or by tradeflow targets resume erp: ERP down"), "{said}");
    tradeflow(&db, ["targets", "resume", "erp"]).success();
    db.sql("select tradeflow.claim('w', 1, '1 minute')").await;
    begins("target \"erp\", which failed before and is being tried with one action").await;
    db.sql("select tradeflow.fail(2, 1, '429', 'retry', '1 day', throttle => true)").await;
    let said = begins("target \"erp\", which asked not to be called before 2").await;
    assert!(said.ends_with("(tradeflow targets resume erp does not wait)"), "{said}");
    tradeflow(&db, ["targets", "resume", "erp"]).success();
    begins("a sidecar with room for it").await;

    db.sql("update tradeflow.targets set rate_limit = 1, rate_period = '1 day' where name = 'erp';
            update tradeflow.target_states set tokens = 0, refilled_at = clock_timestamp() where target = 'erp'")
        .await;
    begins("target \"erp\", which takes 1 executions in 1 day").await;
    db.sql("update tradeflow.targets set rate_limit = null, concurrency = 1 where name = 'erp';
            insert into jobs values (4); select tradeflow.hold('{3}'); select tradeflow.claim('w', 1, '1 minute'); select tradeflow.release_held(ids => '{3}')")
        .await;
    begins("target \"erp\", where 1 of 1 allowed executions are under way").await;
    tradeflow(&db, ["kinds", "pause", "http", "--reason", "their API changed"]).success();
    begins("kind \"http\", which is paused (their API changed): tradeflow kinds resume http").await;
    tradeflow(&db, ["rules", "pause", "job", "--reason", "wrong price list"]).success();
    begins("rule \"job\", which is paused (wrong price list): tradeflow rules resume job").await;
    // A timer too, whose time has come.
    db.sql("insert into jobs values (-9); select tradeflow.pause('later'); update tradeflow.outbox set run_at = now() where state = 'waiting'").await;
    let timer: String =
        db.one("select tradeflow.waits_for(id) from tradeflow.outbox where state = 'waiting'").await;
    assert!(timer.starts_with("rule \"later\", which is paused"), "{timer}");
}
